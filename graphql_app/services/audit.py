"""Who did what to which workstation: for administrators, and no more of it than they may see."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from graphql_app.domain.access import Scope, View, Viewer, redact, require
from graphql_app.domain.audit import AuditFilter, Entry
from graphql_app.services.cursors import PageCursors
from graphql_app.services.listing import Listing, Paging
from graphql_app.store import audit
from graphql_app.store.database import Database


class Audit:
    """The audit log. What is written there, the database writes by itself, beside each change."""

    def __init__(self, database: Database, cursors: PageCursors, *, page_most: int) -> None:
        self._database = database
        self._cursors = cursors
        self._page_most = page_most

    async def log(self, viewer: Viewer, matching: AuditFilter, paging: Paging) -> Listing[Entry]:
        """A page of it, the newest entry first. Raises Forbidden, InvalidInput, TooMany, UnknownCursor."""
        require(viewer, Scope.ADMIN)
        listing = ["audit by time", matching.normalised()]
        window = paging.window(self._cursors, listing, most=self._page_most)
        page = await audit.page(self._database, viewer.view, matching, window)
        shown = [_redacted(viewer.view, entry) for entry in page.rows]

        def seal(entry: Entry) -> str:
            return self._cursors.encode([entry.at.isoformat(), entry.id], listing)

        return Listing(shown, seal, has_next=page.has_next, has_previous=page.has_previous)

    async def by_id(self, viewer: Viewer, ids: Collection[int]) -> Mapping[int, Entry]:
        """Raises Forbidden."""
        require(viewer, Scope.ADMIN)
        found = await audit.by_id(self._database, viewer.view, ids)
        return {key: _redacted(viewer.view, entry) for key, entry in found.items()}


def _redacted(view: View, entry: Entry) -> Entry:
    before, after = (None if image is None else redact(view, image) for image in (entry.before, entry.after))
    return replace(entry, before=before, after=after)
