"""What is remembered of the newest changes, and what it costs to find those of one floor."""

from datetime import timedelta

from graphql_app.domain.change import Change
from graphql_app.domain.workstation import Place, Workstation
from graphql_app.live.feed.recent import Recent
from tests.examples import change, workstation

FIRST, SECOND = Place("HQ", 1), Place("HQ", 2)


def on(place: Place | None, id: int = 1) -> Workstation:
    return workstation(id=id, building=place and place.building, floor_number=place and place.number)


def within(place: Place, revision: int) -> Change[Workstation]:
    return change(on(place), on(place), revision)


def remembering(most: int, *changes: Change[Workstation]) -> Recent:
    recent = Recent(most)
    for one in changes:
        recent.append(one)
    return recent


def found(recent: Recent, place: Place | None, after: int = 0, last: int = 10_000) -> list[int] | None:
    changes = recent.since(after, last, "workstation", place)
    return None if changes is None else [one.revision for one in changes]


class Counted:
    """A list of changes that counts how many of them were looked at."""

    def __init__(self, changes: list[Change[Workstation]]) -> None:
        self.changes = changes
        self.looked_at = 0

    def __reversed__(self):  # type: ignore[no-untyped-def]
        for one in reversed(self.changes):
            self.looked_at += 1
            yield one


def test_a_floor_has_the_changes_that_it_and_who_left_or_came_made() -> None:
    moved = change(on(FIRST), on(SECOND), 2)
    recent = remembering(10, within(FIRST, 1), moved, within(SECOND, 3), change(on(None), on(None), 4))

    assert (found(recent, FIRST), found(recent, SECOND), found(recent, None)) == ([1, 2], [2, 3], [1, 2, 3, 4])
    assert found(recent, FIRST, after=1) == [2]
    assert found(recent, SECOND, last=2) == [2]
    assert found(recent, Place("HQ", 9)) == []


def test_what_others_did_is_not_looked_at() -> None:
    recent = remembering(10_000, *(within(SECOND if n % 1000 else FIRST, n) for n in range(1, 5001)))
    key = ("workstation", FIRST)
    counted = Counted(list(recent._by_key[key]))
    recent._by_key[key] = counted  # type: ignore[assignment]

    assert found(recent, FIRST, after=1000) == [2000, 3000, 4000, 5000]
    assert counted.looked_at == 5


def test_what_is_too_much_is_forgotten_everywhere() -> None:
    recent = remembering(2, within(FIRST, 1), change(on(FIRST), on(SECOND), 2), within(SECOND, 3))

    assert (found(recent, FIRST), found(recent, FIRST, after=1)) == (None, [2])
    recent.append(within(SECOND, 4))
    assert (found(recent, FIRST, after=2), found(recent, SECOND, after=2)) == ([], [3, 4])
    assert ("workstation", FIRST) not in recent._by_key


def test_what_happened_earlier_is_taken_in_as_far_as_there_is_room() -> None:
    recent = Recent(4)
    recent.clear(5)
    recent.append(within(FIRST, 6))
    assert recent.room == 3

    recent.prepend([within(SECOND, 4), within(FIRST, 5)], 3)
    assert (recent.begins, found(recent, FIRST), found(recent, FIRST, after=3)) == (3, None, [5, 6])
    recent.prepend([within(SECOND, 2), within(SECOND, 3)], 1)

    assert (recent.begins, recent.room, found(recent, None, after=2)) == (2, 0, [3, 4, 5, 6])


def test_what_is_older_than_the_log_is_forgotten() -> None:
    recent = remembering(10, within(FIRST, 1), within(SECOND, 2))
    recent.drop_before(within(FIRST, 1).logged_at + timedelta(days=1))

    assert (recent.begins, recent.room, found(recent, None, after=2)) == (2, 10, [])


def test_a_history_that_ended_is_forgotten() -> None:
    recent = remembering(10, within(FIRST, 1))
    recent.clear(7)

    assert (found(recent, FIRST, after=6), found(recent, FIRST, after=7)) == (None, [])
