"""From the process to its subscribers: who is interested in a change, and the recent ones for those who come back."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence

from graphql_app.domain.change import Change, Head
from graphql_app.domain.workstation import Place
from graphql_app.live.mailbox import Mailbox


class Hub:
    """Everything up to `head` has been delivered to the mailboxes. Cost per change: those interested, not all."""

    def __init__(self, recent: int) -> None:
        self.head: Head | None = None
        self._recent: deque[Change] = deque(maxlen=recent)
        self._recent_from = 0  # every change after this revision is in `_recent`
        self._by_place: defaultdict[Place, set[Mailbox]] = defaultdict(set)
        self._anywhere: set[Mailbox] = set()
        self._arrivals: list[tuple[int, asyncio.Future[None]]] = []

    def open(self, place: Place | None, window_seconds: float, most: int) -> Mailbox:
        """A mailbox for the changes of one floor, or of all of them, from now on."""
        mailbox = Mailbox(window_seconds, most)
        (self._by_place[place] if place else self._anywhere).add(mailbox)
        return mailbox

    def close(self, place: Place | None, mailbox: Mailbox) -> None:
        if place is None:
            self._anywhere.discard(mailbox)
            return
        self._by_place[place].discard(mailbox)
        if not self._by_place[place]:
            del self._by_place[place]

    def deliver(self, changes: Sequence[Change], head: Head) -> None:
        """Takes the changes between the present head and the new one, in order."""
        for change in changes:
            if len(self._recent) == self._recent.maxlen:
                self._recent_from = self._recent[0].revision
            self._recent.append(change)
            for mailbox in self._interested(change):
                mailbox.put(change)
        self._arrive(head)

    def restart(self, head: Head) -> None:
        """Another history, or a gap that cannot be filled: all who listen must start anew."""
        self._recent.clear()
        self._recent_from = head.revision
        for mailbox in [*self._anywhere, *(m for group in self._by_place.values() for m in group)]:
            mailbox.lose()
        self._arrive(head)

    def since(self, revision: int, last: int) -> list[Change] | None:
        """The changes with revision < r <= last from memory, or None when it does not reach back so far."""
        if revision < self._recent_from:
            return None
        found: list[Change] = []
        for change in reversed(self._recent):
            if change.revision <= revision:
                break
            if change.revision <= last:
                found.append(change)
        return found[::-1]

    async def reached(self, revision: int) -> Head:
        """Waits until this process has delivered everything up to the revision."""
        if self.head is not None and self.head.revision >= revision:
            return self.head
        arrival = asyncio.get_running_loop().create_future()
        self._arrivals.append((revision, arrival))
        try:
            await arrival
        finally:
            self._arrivals = [entry for entry in self._arrivals if entry[1] is not arrival]
        assert self.head is not None
        return self.head

    def _interested(self, change: Change) -> set[Mailbox]:
        interested = set(self._anywhere)
        for place in change.places():
            if place is not None:
                interested |= self._by_place.get(place, set())
        return interested

    def _arrive(self, head: Head) -> None:
        self.head = head
        for revision, arrival in self._arrivals:
            if revision <= head.revision and not arrival.done():
                arrival.set_result(None)
