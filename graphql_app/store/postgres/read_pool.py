"""A pool of asyncpg's connections for the reads that cost least: last in, first out, and none used again in doubt.

SQLAlchemy's engine and asyncpg's own pool cost more than such a read itself (docs/decisions/0006). Nothing is left on a
connection that would have to be reset: whoever is interrupted in the middle of something ends it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

import asyncpg

from graphql_app.store.postgres.driver import Connection, said_goodbye
from graphql_app.store.postgres.engine import PoolTimes
from graphql_app.store.postgres.failures import Trouble, trouble_of
from graphql_app.store.postgres.idle import IdleConnections


class ReadPool:
    """At most `size` at once; whoever finds none free waits their turn, for `times.acquire` at most.

    `changed` is called with the number in use whenever that changes, and `met` with what an error says of the server:
    it returns whether the connection is to be ended for it, as one that is lost is anyway.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        size: int,
        times: PoolTimes,
        changed: Callable[[int], None],
        met: Callable[[Trouble], bool],
    ) -> None:
        self._size = size
        self._connect = connect
        self._times = times
        self._changed = changed
        self._met = met
        self._free = size  # how many more may be taken; those that are idle or not even open
        self._told = 0
        self._idle: list[Connection] = []
        self._lying = IdleConnections(times.idle)
        self._born: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._queue: deque[asyncio.Future[None]] = deque()
        self._ending: dict[Connection, asyncio.Task[None]] = {}
        self._is_closed = False

    async def take(self) -> Connection:
        """A connection, to be given back. Raises TimeoutError, and what asyncpg raises."""
        if self._free:
            self._free -= 1
        else:
            await self._turn()
        try:
            connection = self._alive() or await self._made()
        except BaseException:
            self._leave()
            raise
        self._tell()
        return connection

    def give(self, connection: Connection) -> None:
        """One that was interrupted must have been told so."""
        if self._is_closed:
            connection.terminate()
        elif not connection.is_closed() and connection not in self._ending:
            self._idle.append(connection)
            self._lying.lay(connection)
        self._leave()
        self._tell()

    def interrupted(self, connection: Connection, error: BaseException) -> None:
        """Ends a connection of which, after this error, nobody knows what it would say next."""
        if isinstance(error, asyncio.CancelledError):
            # Not by just hanging up: PostgreSQL notices that only when it has something to say, and goes on till then.
            ending = self._ending[connection] = asyncio.create_task(
                said_goodbye([connection]), name="end of a statement"
            )
            ending.add_done_callback(lambda _: self._ending.pop(connection))
            return
        trouble = trouble_of(error)
        is_left = trouble is not None and self._met(trouble)
        if is_left or trouble is Trouble.LOST or not isinstance(error, Exception) or isinstance(error, TimeoutError):
            connection.terminate()
        # The statements that others have prepared are outdated as well.
        if isinstance(error, (TimeoutError, asyncpg.InvalidCachedStatementError)):
            self.drop_idle()

    def drop_idle(self) -> None:
        """For when a connection turned out to be dead: those that lay beside it may be as well."""
        self._idle.clear()
        self._lying.drop()

    async def close(self) -> None:
        """Ends what is idle now, and all else when it is given back."""
        self._is_closed = True
        self._idle.clear()
        await asyncio.gather(said_goodbye(self._lying.clear()), *self._ending.values())

    def _alive(self) -> "Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if not self._lying.take(connection):
                continue
            if time.monotonic() - self._born[connection] < self._times.lifetime:
                return connection
            connection.terminate()
        return None

    async def _made(self) -> Connection:
        connection = await self._connect()
        self._born[connection] = time.monotonic()
        return connection

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append(turn)
        # Not asyncio.timeout, which costs as much as all the rest of taking and giving back.
        timer = loop.call_later(self._times.acquire, _give_up, turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and not turn.exception():
                self._leave()  # it came at the very moment of giving up
            raise
        finally:
            timer.cancel()

    def _leave(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _tell(self) -> None:
        """Where all are wanted, one that is given back is taken at once: no news."""
        in_use = self._size - self._free
        if in_use != self._told:
            self._told = in_use
            self._changed(in_use)


def _give_up(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
