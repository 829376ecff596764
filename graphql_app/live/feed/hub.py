"""From the process to its subscribers: who is interested in a change, and the recent ones for those who come back."""

import asyncio
from collections.abc import Hashable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from graphql_app.domain.change import Change, Head
from graphql_app.domain.interest import Interest
from graphql_app.domain.workstation import Place
from graphql_app.live.feed.interests import Interests
from graphql_app.live.feed.isolation import isolated
from graphql_app.live.feed.recent import Recent
from graphql_app.observe import IsolatedFailure, note

FOR_EVER = timedelta(days=36_500)


class Listener(Protocol):
    """Hears of all that is delivered, before any mailbox does: what is kept true by the feed. One that raises is told
    that it is to start anew."""

    def delivered(self, changes: Sequence[Change[Any]], head: Head) -> None: ...

    def restarted(self, head: Head) -> None:
        """Nothing of what was known before counts any more."""


class Box(Hashable, Protocol):
    """What one follower has not been told yet: a mailbox, or something simpler for what cannot be merged. One that
    raises is told that it has lost its history."""

    def put(self, change: Change[Any]) -> None: ...

    def lose(self) -> None:
        """The history that was followed has ended."""


class Hub:
    """Everything up to `head` has been delivered to the mailboxes. Cost per change: those interested, not all."""

    def __init__(self, recent: int, kept: timedelta = FOR_EVER) -> None:
        self.head: Head | None = None
        self._kept = kept
        self.recent = Recent(recent)
        self._interests: Interests[Box] = Interests()
        self._listeners: list[Listener] = []
        self._arrivals: list[tuple[int, asyncio.Future[None]]] = []

    def listen(self, listener: Listener) -> None:
        """From now on, for as long as the hub lives."""
        self._listeners.append(listener)

    def open(self, interest: Interest, box: Box) -> None:
        """From now on the box is given all changes of interest."""
        self._interests.add(box, interest)

    def close(self, box: Box) -> None:
        self._interests.remove(box)

    def deliver(self, changes: Sequence[Change[Any]], head: Head) -> None:
        """Takes the changes between the present head and the new one, in order. Whoever fails holds up nobody else."""
        for listener in self._listeners:
            if not isolated("hub", listener.delivered, changes, head):  # what it kept is void
                isolated("hub", listener.restarted, head)
        for change in changes:
            self.recent.append(change)
            for box in self._interested(change):
                if not isolated("hub", box.put, change):
                    isolated("hub", box.lose)
        self._arrive(head)

    def restart(self, head: Head) -> None:
        """Another history, or a gap that cannot be filled: all who listen must start anew."""
        self.recent.clear(head.revision)
        for listener in self._listeners:
            isolated("hub", listener.restarted, head)
        self._lose_all()
        self._arrive(head)

    @property
    def oldest(self) -> Head | None:
        """The oldest head from which all changes are in memory."""
        return self.head and Head(self.head.epoch, self.recent.begins)

    def remembers(self, head: Head) -> bool:
        """Whether all changes from there to here are in memory; none is remembered for longer than the log is kept."""
        self.recent.drop_before(datetime.now(UTC) - self._kept)
        here = self.head
        return here is not None and head.epoch == here.epoch and self.recent.begins <= head.revision <= here.revision

    def since(self, revision: int, last: int, entity: str, place: Place | None = None) -> list[Change[Any]] | None:
        """The entity's changes with revision < r <= last from memory, of one floor or of all, or None when it does not
        reach back so far."""
        return self.recent.since(revision, last, entity, place)

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

    def _interested(self, change: Change[Any]) -> Iterable[Box]:
        try:
            return self._interests.of(change)
        except Exception as error:  # noqa: BLE001  # noted; whom it concerns cannot be known, so that all look anew
            note(IsolatedFailure("hub", error))
            self._lose_all()
            return ()

    def _lose_all(self) -> None:
        for box in list(self._interests):  # some of them close others
            isolated("hub", box.lose)

    def _arrive(self, head: Head) -> None:
        self.head = head
        for revision, arrival in self._arrivals:
            if revision <= head.revision and not arrival.done():
                arrival.set_result(None)
