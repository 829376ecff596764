"""Rows of the log as changes: of this release, of another, and of entities that nobody here knows."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from graphql_app import observe
from graphql_app.domain.access import View
from graphql_app.ops import metrics
from graphql_app.store.log.outbox import UnreadableChange, decoded
from graphql_app.store.schema.entities import ENTITIES
from tests.examples import THEN

NOW = THEN.isoformat()
# An image of each entity as its trigger writes it.
IMAGES: Mapping[str, Mapping[str, Any]] = {
    "workstation": {
        "id": 1,
        "name": "A-01",
        "status": "occupied",
        "building": "HQ",
        "floor_number": 1,
        "department_id": 1,
        "employee_id": 1,
        "labels": {"floor": "Lobby", "department": {"id": 1, "name": "IT"}, "employee": None},
        "x_position": 1.5,
        "y_position": 2,
        "width": 3,
        "height": 4,
        "equipment": "{}",
        "notes": "by the window",
        "created_at": NOW,
        "updated_at": NOW,
        "version": 3,
    },
    "floor": {"id": 1, "building": "HQ", "number": 1, "name": "Lobby", "version": 2},
    "building": {"id": 1, "name": "HQ", "time_zone": "UTC", "version": 2},
    "department": {"id": 1, "name": "IT", "version": 2},
    "employee": {
        "id": 1,
        "public_key": "00000000-0000-0000-0000-000000000001",
        "name": "Ada",
        "employee_number": "E-1",
        "department_id": 1,
        "version": 2,
    },
    "notification": {
        "id": 1,
        "level": "info",
        "title": "t",
        "body": "",
        "building": None,
        "floor_number": None,
        "department_id": None,
        "role": "admin",
        "created_at": NOW,
        "expires_at": None,
    },
    "reservation": {
        "id": 1,
        "workstation_id": 1,
        "floor_id": 1,
        "desk_name": "A-01",
        "holder_id": 1,
        "department_id": 1,
        "booked_by": "ada",
        "state": "confirmed",
        "starts_at": NOW,
        "ends_at": NOW,
        "local_start": "2026-06-01T09:00:00",
        "local_end": "2026-06-01T17:00:00",
        "time_zone": "UTC",
        "check_in_from": None,
        "check_in_by": None,
        "checked_in_at": None,
        "ended_at": None,
        "ended_why": None,
        "visibility": "nobody",
        "note": None,
        "version": 1,
    },
    "account": {
        "id": 1,
        "name": "ada",
        "role": "admin",
        "disabled": False,
        "tokens_from": NOW,
        "employee_key": None,
        "employee_number": None,
        "version": 1,
    },
    "login_session": {
        "id": 1,
        "key": "00000000-0000-0000-0000-000000000001",
        "account_id": 1,
        "created_at": NOW,
        "revoked_at": None,
    },
}
# Those that are null, or empty, where another release has not written them: nothing is shown to more people by that.
DEFAULTED = {
    "workstation": {"labels", "x_position", "y_position", "width", "height", "equipment", "notes"},
    "floor": {"name"},
}
# Those that nobody here asks for.
UNREAD = {
    "workstation": {"department_id", "employee_id"},
    "floor": {"version"},
    "building": {"id", "name", "time_zone", "version"},
    "department": {"version"},
    "employee": {"id", "name", "version"},
}
FIELDS = [(entity, field) for entity, image in IMAGES.items() for field in image]


def record(entity: str, after: Any) -> dict[str, Any]:
    return {
        "revision": 7,
        "transaction_id": 1,
        "entity": entity,
        "entity_id": "1",
        "logged_at": NOW,
        "before": None,
        "after": after,
    }


@pytest.fixture
def noted() -> Iterator[list[observe.News]]:
    found: list[observe.News] = []
    end = observe.listen(found.append)
    yield found
    end()


def test_every_registered_entity_is_read_here() -> None:
    assert set(IMAGES) == set(ENTITIES)


@pytest.mark.parametrize("entity", ENTITIES)
def test_an_image_with_a_field_more_is_read_as_without_it(entity: str) -> None:
    more = {**IMAGES[entity], "of_a_newer_release": [1]}

    (change,), (plain,) = decoded([record(entity, more)]), decoded([record(entity, IMAGES[entity])])

    assert change.after is not None
    read_whole = isinstance(change.after, Mapping)
    assert change.after == (more if read_whole else plain.after)


@pytest.mark.parametrize(("entity", "field"), FIELDS)
def test_an_image_with_a_field_less_is_read_with_a_default_or_read_anew(entity: str, field: str) -> None:
    less = record(entity, {name: value for name, value in IMAGES[entity].items() if name != field})

    if field in DEFAULTED.get(entity, set()) | UNREAD.get(entity, set()):
        (change,) = decoded([less])
        assert change.after is not None
    else:
        with pytest.raises(UnreadableChange, match=field):
            decoded([less])


@pytest.mark.parametrize("entity", ENTITIES)
def test_who_is_shown_an_image_with_a_field_less_can_be_told_what_changed(entity: str) -> None:
    """A column that is only in one of the two: the redaction and the comparison find no fault with it."""
    less = {
        name: value
        for name, value in IMAGES[entity].items()
        if name not in DEFAULTED.get(entity, set()) | UNREAD.get(entity, set())
    }
    (change,) = decoded([record(entity, IMAGES[entity]) | {"before": less}])

    assert ENTITIES.can_be_noticed(View(frozenset()), change) in (True, False)


def test_a_row_of_an_unknown_entity_is_noted_counted_and_passed_over(noted: list[observe.News]) -> None:
    rows = [record("unheard_of", {"id": 1}), record("floor", IMAGES["floor"]), record("unheard_of", {"id": 2})]
    before = _counted()

    changes = decoded(rows)

    assert [change.entity for change in changes] == ["floor"]
    assert noted == [observe.EntriesUnknown("unheard_of", 2)]
    metrics.count(noted[0])
    assert _counted() == before + 2


def _counted() -> float:
    name = "graphql_app_log_entries_unknown_total "
    lines = metrics.exposition(None)[0].decode().splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))
