"""A subscriber's place among those who see the same, for as long as its viewer's login lasts."""

import asyncio
from collections.abc import Awaitable, Callable

from graphql_app.domain.access import Viewer
from graphql_app.domain.errors import Refusal
from graphql_app.services.following.cohorts import Subscriber
from graphql_app.services.identity.identify import Identify

MAY_SEE_OTHER = "what you may see has changed"

Leave = Callable[[], None]
Join = Callable[[Viewer, str | None], Awaitable[Leave]]  # as this viewer, and with a RESYNC if there is a reason


async def reauthorised(identify: Identify, viewer: Viewer, join: Join, subscriber: Subscriber) -> Leave:
    """Joins as the viewer, and again with a RESYNC whenever they may see other things than before. When their login is
    over the subscription fails. Both happen before any later change is handed out. Returns what leaves.

    Raises what `join` raises, and Unauthenticated.
    """
    if viewer.sign_in is None:  # nothing about them changes
        return await join(viewer, None)
    moving = _Reauthorisation(identify, viewer, join, subscriber)
    await moving.begin()
    return moving.end


class _Reauthorisation:
    __slots__ = ("_has_ended", "_identify", "_join", "_leave", "_moving", "_subscriber", "_unwatch", "_viewer")

    def __init__(self, identify: Identify, viewer: Viewer, join: Join, subscriber: Subscriber) -> None:
        self._identify = identify
        self._viewer = viewer
        self._join = join
        self._subscriber = subscriber
        self._leave: Leave | None = None  # while it has joined
        self._moving: asyncio.Task[None] | None = None
        self._has_ended = False
        self._unwatch = identify.watch(viewer, self._changed)

    async def begin(self) -> None:
        try:
            await self._enter(None)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        self._has_ended = True
        self._unwatch()
        self._go()
        if self._moving is not None:
            self._moving.cancel()

    async def _enter(self, resync: str | None) -> None:
        """Joins as whom the viewer is by then."""
        while not self._has_ended:
            viewer = self._viewer
            leave = await self._join(viewer, resync)
            if viewer is self._viewer and not self._has_ended:
                self._leave = leave
                return
            leave()
            resync = MAY_SEE_OTHER

    def _changed(self) -> None:
        try:
            present = self._identify.present(self._viewer)
        except Refusal as refusal:
            self._fail(refusal)
            return
        if _sight(present) == _sight(self._viewer):
            return
        self._viewer = present
        if self._leave is not None:  # otherwise who is about to join looks again
            self._go()
            self._moving = asyncio.create_task(self._move(), name="moving to another cohort")

    async def _move(self) -> None:
        try:
            await self._enter(MAY_SEE_OTHER)
        except Exception as error:  # noqa: BLE001  # the supervisor of one subscription: told to the client
            self._fail(error)

    def _go(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
            self._subscriber.forget()

    def _fail(self, error: Exception) -> None:
        self._moving = None  # it may be what fails
        self.end()
        self._subscriber.failed(error)


def _sight(viewer: Viewer) -> tuple[object, ...]:
    """What a stream shows a viewer depends on no more than this."""
    return viewer.view, viewer.roles, viewer.employee_key
