"""A made value cannot be told from one that its class made."""

import pickle
from copy import copy
from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from graphql_app.domain.frozen import copier, maker


@dataclass(frozen=True, slots=True)
class Desk:
    name: str
    place: int | None
    seen: int = field(compare=False)

    @property
    def title(self) -> str:
        return f"desk {self.name}"


def test_it_is_one() -> None:
    made = maker(Desk)("a", 1, 5)
    assert type(made) is Desk
    assert made == Desk("a", 1, 7)
    assert hash(made) == hash(Desk("a", 1, 9))
    assert repr(made) == repr(Desk("a", 1, 5))
    assert made.title == "desk a"
    assert copy(made) == pickle.loads(pickle.dumps(made)) == made  # its own


def test_it_is_frozen() -> None:
    made = maker(Desk)("a", 1, 5)
    with pytest.raises(FrozenInstanceError):
        made.name = "b"  # type: ignore[misc]  # that is the point


def test_it_takes_every_field() -> None:
    with pytest.raises(TypeError):
        maker(Desk)("a", 1)


def test_a_copy_differs_in_what_was_to_be_changed_alone() -> None:
    hidden = copier(Desk, {"place": lambda _: None, "seen": lambda seen: seen + 1})
    before = Desk("a", 1, 5)
    after = hidden(before)
    assert (type(after), after.name, after.place, after.seen) == (Desk, "a", None, 6)
    assert (before.place, before.seen) == (1, 5)
