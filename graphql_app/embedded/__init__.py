"""A real PostgreSQL and a real Valkey from wheels, under our own supervision, for development and tests.

Below `data`: postgres/ and valkey/, their logs, state.json (ports, passwords, owner) and the lock file. Data are kept
between runs. The wheels' own supervision is not used: it leaves servers behind when their owner is killed, forgets the
port, and cannot be joined by a second process.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from graphql_app.embedded import ownership, wheels
from graphql_app.embedded.account import account_for, admit
from graphql_app.embedded.errors import EmbeddedError
from graphql_app.embedded.postgres import Postgres
from graphql_app.embedded.server import Server
from graphql_app.embedded.valkey import Valkey

__all__ = ["Embedded", "EmbeddedError", "Postgres", "Servers", "Valkey", "found", "running"]

# The slowest start (a recovery) and the slowest stop of another owner.
JOIN_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Servers:
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    owner: int  # the process that runs them


@contextmanager
def running(data: Path, *, durable: bool = True) -> Iterator[Servers]:
    """Starts both servers and stops them at the end, or joins those that another live process runs there, and then
    stops nothing. Raises EmbeddedError."""
    embedded = Embedded(data, durable=durable)
    deadline = time.monotonic() + JOIN_SECONDS
    while not embedded.claim():
        if servers := _of_another(embedded.data):
            yield servers
            return
        if time.monotonic() > deadline:
            raise EmbeddedError(f"the process that holds {embedded.data}/lock neither starts nor stops: end it")
        time.sleep(0.05)
    with embedded:
        yield embedded.servers


def found(data: Path) -> Servers | None:
    """Returns the servers that another live process runs there, if one does; starts none. Raises EmbeddedError when
    none could be started there either."""
    embedded = Embedded(data)
    if embedded.claim():
        embedded.stop()
        return None
    return _of_another(embedded.data)


def _of_another(data: Path) -> Servers | None:
    """Raises EmbeddedError."""
    try:
        state = ownership.load(data)
    except OSError as error:
        raise EmbeddedError(f"{data} cannot be used: {error.strerror}: choose another place") from error
    if state is None or not state.database_url or not ownership.is_alive(state.owner):
        return None
    return Servers(state.database_url, state.redis_url, state.owner)


class Embedded:
    """The owner of both servers of one data directory. After start(), `postgres` and `valkey` can be stopped and
    started one by one, on the same port and with the same password."""

    postgres: Postgres
    valkey: Valkey

    def __init__(self, data: Path, *, durable: bool = True) -> None:
        self.data = data.expanduser().resolve()
        self._durable = durable
        self._programs = wheels.find()
        self._claim = ownership.OwnershipClaim(self.data / "lock")
        self._started = ExitStack()

    @property
    def servers(self) -> Servers:
        return Servers(self.postgres.url, self.valkey.url, os.getpid())

    def claim(self) -> bool:
        """Tells whether the data directory is ours, not another owner's; stop() gives it back. Raises EmbeddedError
        when it cannot be used."""
        try:
            # Root's servers are somebody else (account.py), who must get in. All that lies within has modes of its own.
            self.data.mkdir(0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            return self._claim.take()
        except OSError as error:
            raise EmbeddedError(f"{self.data} cannot be used: {error.strerror}: choose another place") from error

    def start(self) -> Servers:
        """Returns when both take connections. Raises EmbeddedError, with nothing left running."""
        if not self.claim():
            raise EmbeddedError(f"another process runs the servers in {self.data}: stop it, or choose another place")
        try:
            self._start()
        except OSError as error:
            self.stop()
            raise EmbeddedError(f"{self.data} cannot be used: {error}") from error
        except BaseException:  # Ctrl-C too: what has started so far is stopped
            self.stop()
            raise
        return self.servers

    def stop(self) -> None:
        """Returns when both are gone; to be called as often as you like. If it is itself interrupted, the guards end
        the servers as soon as this process is gone."""
        try:
            self._started.close()
        finally:
            self._claim.drop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _start(self) -> None:
        from graphql_app.embedded import leftovers  # noqa: PLC0415 - needs psutil, which find() has seen, in the extra

        kept = ownership.load(self.data)
        state = replace(kept or ownership.new_state(), owner=os.getpid(), database_url="", redis_url="")
        ownership.save(self.data, state)
        self._build(state)
        for server in (self.postgres, self.valkey):
            leftovers.stop(server)
        self.postgres.port = ownership.free_port(state.postgres_port)
        self.valkey.port = ownership.free_port(state.valkey_port, self.postgres.port)
        state = replace(state, postgres_port=self.postgres.port, valkey_port=self.valkey.port)
        # Both are launched before either is awaited, so that they start at the same time.
        self._launch(self.valkey)
        self.postgres.prepare(password_is_known=kept is not None)
        self._launch(self.postgres)
        self.valkey.wait()
        self.postgres.wait()
        self._announce(state)

    def _build(self, state: ownership.State) -> None:
        cluster = self.data / "postgres"
        account = account_for(cluster)
        admit(account, self._programs.installed, self.data)
        self.postgres = Postgres(
            self._programs, cluster, state.postgres_port, state.postgres_password, account, durable=self._durable
        )
        self.valkey = Valkey(self._programs, self.data / "valkey", state.valkey_port, state.valkey_password, account)

    def _launch(self, server: Server) -> None:
        self._started.callback(server.stop)
        server.launch()

    def _announce(self, state: ownership.State) -> None:
        """From now on others join; and they no longer do once we begin to stop."""
        self._started.callback(ownership.save, self.data, state)
        ready = replace(state, database_url=self.postgres.url, redis_url=self.valkey.url)
        ownership.save(self.data, ready)
