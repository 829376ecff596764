"""Valkey: in memory only, behind a password."""

import signal
import socket
from pathlib import Path

from graphql_app.embedded.account import SystemAccount
from graphql_app.embedded.server import Server
from graphql_app.embedded.wheels import Programs

SETTINGS = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "set-proc-title": "no",  # the title would hide the arguments, by which a left-over server is recognised
}


class Valkey(Server):
    name = "Valkey"
    farewell = ((signal.SIGTERM, 3), (signal.SIGKILL, 5))
    last_signal = signal.SIGKILL  # nothing is kept, so nothing is lost
    patience_seconds = 15

    def __init__(self, programs: Programs, directory: Path, port: int, password: str, account: SystemAccount) -> None:
        super().__init__(directory, port, password, account)
        self._programs = programs

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def pid_file(self) -> Path:
        return self.directory / "valkey.pid"

    def command(self) -> list[str]:
        settings = SETTINGS | {"port": str(self.port), "dir": str(self.directory), "pidfile": str(self.pid_file)}
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return [str(self._programs.valkey), "-", *options]  # "-": the rest of the configuration comes by the input

    def secrets(self) -> bytes:
        return f"requirepass {self.password}\n".encode()

    def answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            return connection.makefile("rb").read(12) == b"+OK\r\n+PONG\r\n"

    def launch(self) -> None:
        self.directory.mkdir(0o700, exist_ok=True)
        self.account.own(self.directory)
        super().launch()
