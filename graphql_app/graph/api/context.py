"""What the resolvers of one operation are given: the caller, the use cases, and loaders that live no longer than it."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from strawberry.types import Info

from graphql_app.domain.access import Viewer
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Unauthenticated
from graphql_app.services.audit import Audit
from graphql_app.services.booking.book import Book
from graphql_app.services.booking.look import Look
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.following.follow import Follow
from graphql_app.services.identity.authenticate import Authenticate
from graphql_app.services.identity.identify import Identify
from graphql_app.services.importing.exporting import Exporting
from graphql_app.services.notifications import Notify
from graphql_app.services.office.arrange import Arrange
from graphql_app.services.office.arrange_several import ArrangeSeveral
from graphql_app.services.office.browse import Browse
from graphql_app.services.office.directory import Directory
from graphql_app.services.office.register import Register


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, built once in app.py."""

    identify: Identify
    browse: Browse
    arrange: Arrange
    book: Book
    look: Look
    follow: Follow
    notify: Notify
    tokens: ConsistencyTokens
    audit: Audit
    authenticate: Authenticate
    directory: Directory
    register: Register
    several: ArrangeSeveral
    exporting: Exporting


Fetch = Callable[[list[Any]], Awaitable[Mapping[Any, Any]]]


class Loader:
    """Fetches the values of all keys that are asked for in one moment at once, and each only once.

    It does not keep how to fetch: that knows the context, which has the loader, and of such a circle only the collector
    of garbage would find the way out, with all that was fetched in it.
    """

    def __init__(self) -> None:
        self._values: dict[Any, asyncio.Future[Any]] = {}
        self._asked: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, key: Any, fetch: Fetch) -> Any:
        value = self._values.get(key)
        if value is None:
            loop = asyncio.get_running_loop()
            value = self._values[key] = loop.create_future()
            if not self._asked:
                loop.call_soon(self._dispatch, fetch)
            self._asked.append(key)
        # Shielded: graphql-core cancels the siblings of a field that fails, but others may wait for the same value.
        return value.result() if value.done() else await asyncio.shield(value)

    def _dispatch(self, fetch: Fetch) -> None:
        keys, self._asked = self._asked, []
        task = asyncio.create_task(self._load(keys, fetch))
        self._tasks.add(task)  # the loop itself holds on to none
        task.add_done_callback(self._tasks.discard)

    async def _load(self, keys: list[Any], fetch: Fetch) -> None:
        futures = [self._values[key] for key in keys]
        try:
            found = await fetch(keys)
            values = [found.get(key) for key in keys]
        except Exception as error:  # noqa: BLE001  # handed to all who wait
            for future in futures:
                future.set_exception(error)
                future.exception()  # nobody may be left who waits for it: no reason for asyncio to complain
        else:
            for future, value in zip(futures, values, strict=True):
                future.set_result(value)


@dataclass(slots=True)
class Context:
    """One operation, or one event of a subscription."""

    caller: Caller
    services: Services
    idempotency_key: str | None = None
    last_event_id: str | None = None  # where a browser's EventSource comes back from; beats `after`
    user_agent: str | None = None
    renew: Callable[[Viewer], None] | None = None  # of a connection that lasts: it is good for as long as this viewer
    exact_floors: bool = False  # a floor's cursor is asked for: its workstations must be as of that very moment
    is_alone: bool = False  # one resolver is all that runs: nobody else loads anything in the same moment
    _loaders: dict[Hashable, Loader] = field(default_factory=dict)

    def load(self, name: Hashable, key: Any, fetch: Fetch) -> Awaitable[Any]:
        """Loads the value of the key together with all others of that name asked for in the same moment."""
        loader = self._loaders.get(name)
        if loader is None:
            loader = self._loaders[name] = Loader()
        return loader.load(key, fetch)


AppInfo = Info[Context, None]


def authorization(payload: Mapping[str, Any] | None, header: str | None) -> str | None:
    """Returns how a socket identifies itself: by the payload of connection_init, else by the upgrade request's header.

    Raises Unauthenticated.
    """
    named = [name for name in ("authorization", "Authorization") if payload is not None and name in payload]
    if payload is None or not named:
        return header
    if len(named) > 1:
        raise Unauthenticated("Send one token in connection_init: two are none.")
    value = payload[named[0]]
    if not isinstance(value, str):
        raise Unauthenticated(f"`{named[0]}` in connection_init must be a text: `Bearer …`.")
    return value
