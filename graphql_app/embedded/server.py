"""One server process of ours: in a session of its own, awaited until it answers, stopped for certain."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from graphql_app.embedded.account import SystemAccount
from graphql_app.embedded.errors import EmbeddedError
from graphql_app.embedded.guard import OwnerWatch

POLL_SECONDS = 0.01


class Server(ABC):
    """May be stopped and started again at will: port, password and data stay. Not for use from two threads at once."""

    name: ClassVar[str]
    # What is sent to stop it, each with the seconds that it gets.
    farewell: ClassVar[tuple[tuple[signal.Signals, float], ...]]
    # What the guard sends when we are dead: the servers must be gone soon, the data whole.
    last_signal: ClassVar[signal.Signals]
    patience_seconds: ClassVar[float]
    # Words in the log of a failed start that a second start may not meet.
    passing_faults: ClassVar[tuple[str, ...]] = ()

    def __init__(self, directory: Path, port: int, password: str, account: SystemAccount) -> None:
        self.directory = directory
        self.port = port
        self.password = password
        self.account = account
        self.log = directory.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: OwnerWatch | None = None

    @property
    @abstractmethod
    def url(self) -> str: ...

    @property
    @abstractmethod
    def pid_file(self) -> Path: ...

    @abstractmethod
    def command(self) -> list[str]:
        """The arguments name `directory`: by that a left-over process is recognised. No secrets: `ps` shows them."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes connections now. May raise OSError for no."""

    def secrets(self) -> bytes:
        """What it reads from its standard input."""
        return b""

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    def start(self) -> None:
        """Returns when it takes connections."""
        if self._process is not None:
            # A SIGKILL that was sent a moment ago may not have ended it yet.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.2)
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Does nothing if it runs."""
        if self.pid is not None:
            return
        self._forget()
        # We hold the lock, and what was left over is stopped: after a reboot the pid in it is that of a stranger,
        # whose life would keep PostgreSQL from starting.
        self.pid_file.unlink(missing_ok=True)
        self._process = self._spawn()
        self._guard = OwnerWatch(self._process.pid, self.last_signal)

    def wait(self) -> None:
        """Returns when it takes connections. Raises EmbeddedError when it ends before that, or takes too long."""
        deadline = time.monotonic() + self.patience_seconds
        while not self._is_ready():
            late = time.monotonic() > deadline
            if self.pid is None and not late and any(fault in self.last_words() for fault in self.passing_faults):
                self.launch()
            elif self.pid is None or late:
                self.stop()
                how = f"took longer than {self.patience_seconds:.0f} s to start" if late else "did not start"
                raise EmbeddedError(f"{self.name} {how}; {self.log} ends with: {self.last_words()}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Returns when the process is gone; nothing happens if it is gone already."""
        if self._process is not None:
            for number, seconds in self.farewell:
                self._process.send_signal(number)
                self._process.send_signal(signal.SIGCONT)  # a stopped process (SIGSTOP) hears nothing but SIGKILL
                try:
                    self._process.wait(seconds)
                    break
                except subprocess.TimeoutExpired:
                    continue
        self._forget()

    def last_words(self) -> str:
        """The end of the log, on one line."""
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        return " | ".join(line.strip() for line in lines[-8:] if line.strip()) or "nothing"

    def _spawn(self) -> subprocess.Popen[bytes]:
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.before"))
        try:
            with open(self.log, "wb", opener=private) as log:
                process = run_as(self.account, self.command(), log.fileno(), self.directory)
        except OSError as error:
            raise EmbeddedError(f"{self.name} cannot be run: {error}") from error
        hand(process, self.secrets())
        return process

    def _is_ready(self) -> bool:
        # Without a process of ours, whatever answers on that port is not our server.
        if self.pid is None:
            return False
        try:
            return self.answers()
        except OSError:
            return False

    def _forget(self) -> None:
        if self._guard is not None:
            self._guard.dismiss()
        self._process = self._guard = None


def run_as(account: SystemAccount, command: list[str], output: int, directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the programs are those of the wheels, the arguments ours
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=directory,  # ours may be closed to the account
        env={"PATH": os.defpath},  # PGPORT, TZ, LC_ALL and their like change what the servers do
        start_new_session=True,  # Ctrl-C goes to the terminal's whole group: the app ends first, and then ends them
        user=account.uid,
        group=account.gid,
        extra_groups=None if account.uid is None else [],
    )


def hand(process: subprocess.Popen[bytes], secrets: bytes) -> None:
    assert process.stdin is not None
    try:
        with process.stdin as stdin:
            stdin.write(secrets)
    except BrokenPipeError:
        pass  # it is dead already, and whoever waits for it says why


def private(path: str, flags: int) -> int:
    """An opener for files that nobody else reads."""
    return os.open(path, flags, 0o600)
