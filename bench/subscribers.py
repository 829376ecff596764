"""The subscribers: load/subscribers.c as a process, and what it counts."""

import json
import mmap
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stage import stop


class Counters:
    """What load/subscribers.c counts, read from the file that it keeps up to date."""

    NAMES = (
        "connected", "acknowledged", "begun", "payloads", "states", "repeated", "bytes", "marks", "closed", "errors"
    )  # fmt: skip

    def __init__(self, path: Path) -> None:
        size = len(self.NAMES) * 8
        with path.open("a+b") as file:
            file.truncate(size)
            self._numbers = memoryview(mmap.mmap(file.fileno(), size)).cast("Q")

    def __getattr__(self, name: str) -> int:
        return int(self._numbers[self.NAMES.index(name)])

    def now(self) -> dict[str, int]:
        return dict(zip(self.NAMES, self._numbers, strict=True))


@dataclass(frozen=True, slots=True)
class Subscribers:
    """A process of load/subscribers.c."""

    process: "subprocess.Popen[bytes]"
    counters: Counters
    count: int
    files: Path

    def stop(self) -> None:
        """Afterwards `arrivals`, `begun` and `last` are there."""
        stop(self.process)

    def check(self) -> None:
        if self.process.poll() not in (None, 0) or self.counters.closed or self.counters.errors:
            raise SystemExit(f"the subscribers were let down: {self.counters.now()}")

    @property
    def progress(self) -> float:
        """The newest mark that a subscriber has seen, as a mean over all."""
        return self.counters.marks / self.count


@contextmanager
def subscribed(
    binary: Path,
    ports: list[int],
    count: int,
    token: str,
    payload: Mapping[str, object],
    *,
    over: float = 0,
    arrivals: bool = False,
    counters: Path | None = None,
) -> Iterator[Subscribers]:
    """So many sockets, started, not yet connected; over so many seconds, or as fast as they are acknowledged."""
    files = binary.parent / f"subscribers-{secrets.token_hex(4)}"
    files.mkdir()
    (files / "subscribe").write_text(json.dumps(payload).replace('"%N"', "%N"))
    counted = counters or files / "counters"
    command: list[object] = [binary, "--ports", ",".join(map(str, ports)), "--sockets", count, "--token", token]
    command += ["--subscribe", files / "subscribe", "--counters", counted, "--over", over]
    command += ["--begun", files / "begun", "--last", files / "last"]
    if arrivals:
        command += ["--arrivals", files / "arrivals"]
    mapped = Counters(counted)
    process = subprocess.Popen([str(part) for part in command])
    try:
        yield Subscribers(process, mapped, count, files)
    finally:
        stop(process)
