"""How fresh what this process knows is: when the feed was last heard, and which transactions it has passed."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from graphql_app.domain.change import Change, Head
from graphql_app.domain.workstation import Place

CURRENT_SECONDS = (
    2.0  # the leader is heard every 0.5 s, or its head is read; a longer silence says that something is wrong
)
TRANSACTIONS_MOST = 10_000
AWAITED_MOST = 1_000


class Staleness:
    """Kept by the relay. What it does not know of counts as not passed: then the database is asked, which is right."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard_at: float | None = None
        self._alive_at: float | None = None  # when anything came of the feed, were it only a part of what is to come
        self._below = 0  # every transaction with a smaller id has ended, and what it logged is delivered
        self._whole: dict[int, None] = {}  # others that are delivered as a whole, oldest first
        self._begun: dict[int, None] = {}  # delivered at least in part: the leader numbers only so many changes at once
        self._awaited: dict[Place | None, set[int]] = {}  # own writes that have not come back yet
        self._awaited_anywhere: dict[int, None] = {}  # likewise, of what any floor may show

    # --- told by the feed --------------------------------------------------------------------------------------------

    def delivered(self, changes: Sequence[Change[Any]], head: Head) -> None:
        self._alive_at = self._clock()
        for change in changes:
            self._begun[change.transaction_id] = None
        _forget(self._begun, TRANSACTIONS_MOST)

    def restarted(self, head: Head) -> None:
        """Ids of another history mean nothing here."""
        self._heard_at = None
        self._below = 0
        self._whole.clear()
        self._begun.clear()
        self._awaited.clear()
        self._awaited_anywhere.clear()

    def settled(self, below: int) -> None:
        """All that had been committed at some moment is delivered; `below` is the oldest transaction then open."""
        self._below = max(self._below, below)
        self._whole.update(self._begun)
        self._begun.clear()
        _forget(self._whole, TRANSACTIONS_MOST)
        for place, written in list(self._awaited.items()):
            written.difference_update([one for one in written if self.has_passed(one)])
            if not written:
                del self._awaited[place]
        for transaction_id in filter(self.has_passed, list(self._awaited_anywhere)):
            del self._awaited_anywhere[transaction_id]

    def heard(self) -> None:
        """What is delivered was the present a moment ago."""
        self._heard_at = self._alive_at = self._clock()

    # --- told by writers ---------------------------------------------------------------------------------------------

    def wrote(self, transaction_id: int, places: Iterable[Place | None]) -> None:
        """This process committed a change there: until it comes back through the feed, what is known is older."""
        if not self.has_passed(transaction_id):
            for place in places:  # they need not come back in the order in which they are told here
                self._awaited.setdefault(place, set()).add(transaction_id)
            _forget(self._awaited, AWAITED_MOST)

    def wrote_anywhere(self, transaction_id: int) -> None:
        """The same of a change that any floor may show, such as a name."""
        if not self.has_passed(transaction_id):
            self._awaited_anywhere[transaction_id] = None
            _forget(self._awaited_anywhere, AWAITED_MOST)

    # --- asked -------------------------------------------------------------------------------------------------------

    @property
    def is_current(self) -> bool:
        return self._heard_at is not None and self._clock() - self._heard_at < CURRENT_SECONDS

    @property
    def silent_seconds(self) -> float | None:
        """How long ago what is delivered was the present; None when it never was."""
        return None if self._heard_at is None else self._clock() - self._heard_at

    @property
    def unheard_seconds(self) -> float | None:
        """How long ago anything of the feed was heard; None when nothing ever was."""
        return None if self._alive_at is None else self._clock() - self._alive_at

    def has_passed(self, transaction_id: int) -> bool:
        """Whether everything that the transaction changed is delivered. False also for what is too old to know."""
        return transaction_id < self._below or transaction_id in self._whole

    def awaits(self, place: Place | None) -> bool:
        """Whether an own write there has not come back yet."""
        return bool(self._awaited_anywhere) or (bool(self._awaited) and place in self._awaited)

    def awaits_any(self, places: frozenset[Place] | None) -> bool:
        """The same of several floors; of all there are when given None."""
        return bool(self._awaited_anywhere) or (
            bool(self._awaited) and (places is None or not places.isdisjoint(self._awaited))
        )


def _forget(oldest_first: dict[Any, Any], most: int) -> None:
    for _ in range(len(oldest_first) - most):
        del oldest_first[next(iter(oldest_first))]
