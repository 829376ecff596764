"""Consistency tokens: whoever shows one is shown the write that it stands for, on any process."""

from struct import Struct

from graphql_app.domain.caller import Consistency
from graphql_app.domain.errors import InvalidInput, UnknownCursor
from graphql_app.domain.seal import BrokenSeal, Seal
from graphql_app.domain.workstation import Place
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.staleness import Staleness
from graphql_app.services.cursors import FeedCursors

_LAYOUT = Struct("!Q")  # transaction id


class ConsistencyTokens:
    """Issues and reads the tokens. They are opaque: a reader of transaction ids would learn how many others there were
    in between."""

    def __init__(self, secret: str, cursors: FeedCursors, hub: Hub, staleness: Staleness) -> None:
        self._seal = Seal(secret, "receipt")
        self._cursors = cursors
        self.hub = hub
        self._staleness = staleness

    def issue(self, transaction_id: int, *places: Place | None) -> str:
        """Returns the token of a transaction that this process committed, and that changed what is at these places."""
        self._staleness.wrote(transaction_id, places)
        return self._seal.close_text(_LAYOUT.pack(transaction_id))

    def issue_anywhere(self, transaction_id: int) -> str:
        """The same of a transaction that changed what any floor may show, such as a name."""
        self._staleness.wrote_anywhere(transaction_id)
        return self._seal.close_text(_LAYOUT.pack(transaction_id))

    def consistency(self, given: str | None) -> Consistency:
        """Returns LATEST where this process may know less than a receipt or a cursor of a feed speaks of.

        Raises InvalidInput.
        """
        return Consistency.CACHED if given is None or self._knows(given) else Consistency.LATEST

    def _knows(self, given: str) -> bool:
        try:
            (transaction_id,) = _LAYOUT.unpack(self._seal.open_text(given))
        except BrokenSeal:
            return self._has_reached(given)
        return self._staleness.has_passed(transaction_id)

    def _has_reached(self, cursor: str) -> bool:
        try:
            asked = self._cursors.head(cursor)
        except UnknownCursor as error:
            raise InvalidInput(
                "`X-Min-Cursor` takes the `receipt` of a mutation or the `cursor` of a feed, as this server gave it.",
                field="X-Min-Cursor",
            ) from error
        here = self.hub.head
        return here is not None and here.epoch == asked.epoch and here.revision >= asked.revision
