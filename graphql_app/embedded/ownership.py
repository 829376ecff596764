"""Who owns the servers of a data directory, and what everybody else needs to reach them."""

import fcntl
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from graphql_app.embedded.server import private


@dataclass(frozen=True, slots=True)
class State:
    """What is kept between runs in `state.json`. The URLs hold passwords: the file is the owner's alone."""

    postgres_port: int
    postgres_password: str
    valkey_port: int
    valkey_password: str
    owner: int = 0
    database_url: str = ""
    redis_url: str = ""


def new_state() -> State:
    return State(0, secrets.token_urlsafe(32), 0, secrets.token_urlsafe(32))


def load(data: Path) -> State | None:
    """None if there is none yet, or none that can be read."""
    try:
        return State(**json.loads((data / "state.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def save(data: Path, state: State) -> None:
    draft = data / "state.json.new"
    with open(draft, "w", opener=private) as file:
        json.dump(asdict(state), file, indent=1)
    draft.replace(data / "state.json")


def free_port(kept: int, *taken: int) -> int:
    """The port of the last run if nobody took it. Else one below those that the kernel gives to outgoing connections
    (32768 and up on Linux, 49152 on macOS): from there, a client that calls a stopped server again and again ends up
    connected to itself."""
    port = kept
    while not port or port in taken or not _is_free(port):
        port = 20_000 + secrets.randbelow(12_000)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: connections that linger in TIME_WAIT are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class OwnershipClaim:
    """The lock of a data directory. flock, because the kernel gives it back however its holder ends, and because,
    other than lockf, it also keeps apart two owners inside one process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Whether it is ours now, or was already. Never waits."""
        if self._descriptor is not None:
            return True
        descriptor = private(str(self._path), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def drop(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
