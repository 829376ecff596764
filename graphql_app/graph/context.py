"""What the resolvers of one operation are given: who asks, the use cases, and loaders that live no longer than it."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from strawberry.dataloader import DataLoader
from strawberry.types import Info

from graphql_app.domain.access import Viewer
from graphql_app.domain.errors import Unauthenticated
from graphql_app.services.arrange import Arrange
from graphql_app.services.browse import Browse
from graphql_app.services.follow import Follow
from graphql_app.services.identify import Identify
from graphql_app.services.notify import Notify
from graphql_app.services.receipts import Receipts


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, built once in app.py."""

    identify: Identify
    browse: Browse
    arrange: Arrange
    follow: Follow
    notify: Notify
    receipts: Receipts


@dataclass(slots=True)
class Context:
    """One operation, or one event of a subscription."""

    viewer: Viewer
    services: Services
    idempotency_key: str | None = None
    last_event_id: str | None = None  # where a browser's EventSource comes back from; beats `after`
    exact_floors: bool = False  # a floor's cursor is asked for: its workstations must be as of that very moment
    _loaders: dict[Hashable, DataLoader[Any, Any]] = field(default_factory=dict)

    def load(
        self, name: Hashable, key: Any, fetch: Callable[[list[Any]], Awaitable[Mapping[Any, Any]]]
    ) -> Awaitable[Any]:
        """The value of the key, fetched together with all others of that name asked for in the same moment."""
        return self.loader(name, fetch).load(key)

    def loader(
        self, name: Hashable, fetch: Callable[[list[Any]], Awaitable[Mapping[Any, Any]]]
    ) -> DataLoader[Any, Any]:
        """What load() asks; it can be told a value that came along with another."""
        loader = self._loaders.get(name)
        if loader is None:

            async def batch(keys: list[Any]) -> list[Any]:
                found = await fetch(keys)
                return [found.get(key) for key in keys]

            loader = self._loaders[name] = DataLoader(load_fn=batch)
        return loader


AppInfo = Info[Context, None]


def viewer_from_init(identify: Identify, payload: Mapping[str, Any] | None, header: str | None) -> Viewer:
    """The viewer of a socket: from the payload of connection_init, else from the upgrade request's header.

    Raises Unauthenticated.
    """
    if payload is None:
        return identify.from_header(header)
    for name in ("authorization", "Authorization"):
        if name in payload:
            value = payload[name]
            if not isinstance(value, str):
                raise Unauthenticated(f"`{name}` in connection_init must be a text: `Bearer …`.")
            return identify.from_header(value)
    return identify.from_header(header)
