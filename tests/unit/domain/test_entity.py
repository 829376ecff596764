"""What an entity is, and who can notice a change of one."""

from dataclasses import replace

import pytest

from graphql_app.domain.change import Change
from graphql_app.domain.entity import Entities, Entity, FloorRole, LoginRole
from graphql_app.store.schema.entities import ENTITIES
from tests.examples import THEN, change, view, workstation

ROW = {"public_key": "1", "name": "Ada", "employee_number": "E-1", "department_id": 1}
MOVED = change(workstation(), workstation(x_position=99.0, version=2))


def entity(name: str) -> Entity:
    return Entity(name, dict, login=LoginRole.ACCOUNT if name == "a" else None)


def test_two_entities_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        Entities(entity("a"), entity("b"), entity("a"))


def test_entities_are_found_by_their_roles() -> None:
    assert Entities(entity("a"), entity("b")).with_login_role(*LoginRole) == ("a",)
    assert ENTITIES.with_floor_role(FloorRole.CONTENT) == {"workstation"}
    assert ENTITIES.with_floor_role(FloorRole.FLOOR) == {"floor"}
    assert set(ENTITIES.with_login_role(*LoginRole)) == {"account", "login_session", "employee"}


@pytest.mark.parametrize(("role", "noticed"), [("visitor", False), ("hr", False), ("employee", True), ("admin", True)])
def test_a_move_is_noticed_by_who_sees_coordinates(role: str, noticed: bool) -> None:
    assert ENTITIES.can_be_noticed(view(role), MOVED) is noticed


def test_who_sees_the_version_notices_every_change() -> None:
    same = change(workstation(), replace(workstation(), version=2))

    assert ENTITIES.can_be_noticed(view("facilities"), same)
    assert not ENTITIES.can_be_noticed(view("visitor"), same)


@pytest.mark.parametrize(
    ("after", "role", "noticed"),
    [
        ({"employee_number": "E-2"}, "visitor", False),
        ({"employee_number": "E-2"}, "hr", True),
        ({"name": "Ada L."}, "visitor", True),
        ({"of_a_newer_release": 1}, "visitor", True),
    ],
)
def test_a_new_number_of_a_person_is_noticed_by_who_sees_numbers(
    after: dict[str, object], role: str, noticed: bool
) -> None:
    changed = Change(1, "employee", 1, THEN, ROW, {**ROW, **after})

    assert ENTITIES.can_be_noticed(view(role), changed) is noticed


@pytest.mark.parametrize("name", ENTITIES)
def test_what_comes_or_goes_is_noticed_by_everybody(name: str) -> None:
    assert ENTITIES.can_be_noticed(view("visitor"), Change(1, name, 1, THEN, None, {"id": 1}))
    assert ENTITIES.can_be_noticed(view("visitor"), Change(1, name, 1, THEN, {"id": 1}, None))
