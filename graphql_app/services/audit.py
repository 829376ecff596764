"""Who did what to which workstation: for administrators, and no more of it than they may see."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from graphql_app.domain.access import Scope, View, redact, require
from graphql_app.domain.audit import AuditFilter, Entry
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.seal import BrokenSeal, Numbers
from graphql_app.domain.texts import plain
from graphql_app.services.cursors import PageCursors
from graphql_app.services.listing import Listing, Paging
from graphql_app.store.log import audit
from graphql_app.store.postgres.database import Database


class Audit:
    """The audit log. The database writes it by itself, beside each change."""

    def __init__(self, database: Database, cursors: PageCursors, secret: str, *, page_most: int) -> None:
        self._database = database
        self._cursors = cursors
        self._names = Numbers(secret, "audit entry")
        self._page_most = page_most

    async def log(self, caller: Caller, matching: AuditFilter, paging: Paging) -> Listing[Entry]:
        """Returns a page of entries, the newest first. Raises Forbidden, InvalidInput, TooMany, UnknownCursor."""
        require(caller.viewer, Scope.ADMIN, Scope.READ)
        listing = ["audit by time", matching.normalised()]
        window = paging.window(self._cursors, listing, most=self._page_most)
        page = await audit.page(self._database, caller.view, matching, window)
        shown = [self._shown(caller.view, entry) for entry in page.rows]

        def seal(entry: Entry) -> str:
            return self._cursors.encode([entry.at.isoformat(), entry.seq], listing)

        return Listing(shown, seal, has_next=page.has_next, has_previous=page.has_previous)

    async def by_seq(self, caller: Caller, numbers: Collection[int]) -> Mapping[int, Entry]:
        """Raises Forbidden."""
        require(caller.viewer, Scope.ADMIN, Scope.READ)
        found = await audit.by_seq(self._database, caller.view, numbers)
        return {seq: self._shown(caller.view, entry) for seq, entry in found.items()}

    def seq(self, key: str) -> int:
        """Returns the number behind the key of an entry. Raises InvalidInput for an invalid one."""
        try:
            return self._names.open(key)
        except BrokenSeal as error:
            raise InvalidInput("This is not the id of an audit entry here.", field="id") from error

    def _shown(self, view: View, entry: Entry) -> Entry:
        """Returns the entry under its public name, with no more of its images than the view may see."""
        before, after = (None if image is None else redact(view, image) for image in (entry.before, entry.after))
        # What SQL or an older release wrote may be any text.
        request_id = entry.request_id and plain(entry.request_id)
        return replace(entry, key=self._names.close(entry.seq), before=before, after=after, request_id=request_id)
