"""The workers of one `serve`: started, watched, replaced when they die, and told to stop.

Not uvicorn's own supervisor: that one kills a worker for being slow to import, which it is on a busy machine again and
again, and says nothing of it.
"""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from graphql_app.ops import logs

LOOK_SECONDS = 0.25
BEAT_SECONDS = 0.25
# Looks, not seconds: while the parent itself got no turn, nobody was looked at.
SILENT_LOOKS = 14
# An import takes 1.5 s, and on a machine with fifty times the work that it can do more than a minute.
READY_SECONDS = 180.0
END_SECONDS = 15.0  # uvicorn gives requests under way 10 s
# One that ends again and again is started less and less often.
RESTART_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)

multiprocessing.allow_connection_pickling()
_SPAWN = multiprocessing.get_context("spawn")


class WorkersFailed(Exception):
    """The workers do not start; the log says why."""


class Verdict(Enum):
    """What becomes of a worker. The values are what the log says."""

    FINE = "is fine"
    DEAD = "has ended"
    LATE = f"was not ready within {READY_SECONDS:.0f} s"
    SILENT = f"has not been heard for {SILENT_LOOKS * LOOK_SECONDS:g} s"
    BROKEN = "cannot start"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the parent knows of a worker at one look. `exit_code`: None while it lives, negative for a signal."""

    exit_code: int | None
    is_ready: bool
    age_seconds: float
    silent_looks: int


def verdict(seen: Seen) -> Verdict:
    """A worker that imports says nothing, and is given all the time that it may take; one that is ready beats."""
    if seen.exit_code is not None:
        return Verdict.BROKEN if seen.exit_code > 0 and not seen.is_ready else Verdict.DEAD
    if not seen.is_ready:
        return Verdict.LATE if seen.age_seconds > READY_SECONDS else Verdict.FINE
    return Verdict.SILENT if seen.silent_looks >= SILENT_LOOKS else Verdict.FINE


@dataclass(slots=True, eq=False)
class Worker:
    """One process, as its parent sees it."""

    process: BaseProcess
    beats: Connection
    started_at: float
    is_ready: bool = False
    is_leaving: bool = False
    silent_looks: int = 0

    def listen(self) -> None:
        """Takes in what it has said since the last look. Once it is heard it is ready."""
        self.silent_looks += 1
        try:
            while self.beats.poll():
                self.beats.recv_bytes()
                self.silent_looks = 0
                if not self.is_ready:
                    self.is_ready = True
                    logs.logger.info("worker %d is ready, after %.1f s", self.pid, time.monotonic() - self.started_at)
        except (EOFError, OSError):
            pass  # it has ended, and the look at its exit code says so

    def seen(self) -> Seen:
        age = time.monotonic() - self.started_at
        return Seen(self.process.exitcode, self.is_ready, age, self.silent_looks)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def leave(self) -> None:
        """In good order: it drains first."""
        self.is_leaving = True
        self.process.terminate()

    def end(self) -> None:
        """At once, if it has not ended by itself."""
        self.process.kill()
        self.process.join()
        self.beats.close()


@dataclass(slots=True, eq=False)
class WorkerSlot:
    """Where one worker after the other serves. `failures` in a row: those that ended before they had been ready."""

    worker: Worker | None = None
    failures: int = 0
    due_at: float = field(default_factory=time.monotonic)

    def vacate(self) -> None:
        assert self.worker is not None
        self.failures = 0 if self.worker.is_ready else self.failures + 1
        self.worker = None
        self.due_at = time.monotonic() + RESTART_SECONDS[min(self.failures, len(RESTART_SECONDS) - 1)]


class Workers:
    """As many as the configuration says, on one listening socket. A parent that is gone takes them with it."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket) -> None:
        self._config = config
        self._listening = listening
        self._slots = [WorkerSlot() for _ in range(config.workers)]
        self._is_told_to_stop = False
        self._renewed_at = 0.0  # whoever was started before is to be replaced

    def serve(self) -> None:
        """Returns when it was told to stop and all have ended. Raises WorkersFailed when none of them can start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        signal.signal(signal.SIGHUP, self._told_to_renew)
        try:
            while not self._is_told_to_stop:
                self._look()
                self._renew()
                self._rest()
        finally:
            self._end()

    def _told_to_stop(self, *_: object) -> None:
        self._is_told_to_stop = True

    def _told_to_renew(self, *_: object) -> None:
        self._renewed_at = time.monotonic()

    def _renew(self) -> None:
        """One after the other, while the others serve."""
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        if len(workers) < len(self._slots) or any(one.is_leaving or not one.is_ready for one in workers):
            return
        oldest = min(workers, key=lambda one: one.started_at)
        if oldest.started_at < self._renewed_at:
            oldest.leave()

    def _rest(self) -> None:
        """Until the next look; a worker that ends is looked at at once."""
        wait([slot.worker.process.sentinel for slot in self._slots if slot.worker is not None], LOOK_SECONDS)

    def _look(self) -> None:
        for slot in self._slots:
            if slot.worker is not None:
                self._judge(slot, slot.worker)
            if slot.worker is None and time.monotonic() >= slot.due_at:
                slot.worker = self._started()

    def _judge(self, slot: WorkerSlot, worker: Worker) -> None:
        worker.listen()
        found = verdict(worker.seen())
        if found is Verdict.FINE:
            return
        worker.end()
        slot.vacate()
        if found is Verdict.BROKEN and not any(other.worker and other.worker.is_ready for other in self._slots):
            raise WorkersFailed("the workers do not start: the log says why")
        logs.logger.warning("worker %d %s%s: starting another", worker.pid, found.value, _how(worker, found))

    def _started(self) -> Worker:
        beats, theirs = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(target=work, args=(self._config, self._listening, theirs), name="worker")
        process.start()
        theirs.close()  # so that this end hears when theirs is gone
        return Worker(process, beats, time.monotonic())

    def _end(self) -> None:
        """Whoever connects while they drain is refused, and goes elsewhere at once, instead of waiting in the queue of
        a socket that only the parent still holds."""
        self._listening.close()
        left = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in left:
            worker.leave()
        _joined(left)


def _how(worker: Worker, found: Verdict) -> str:
    code = worker.process.exitcode
    if found not in (Verdict.DEAD, Verdict.BROKEN) or code is None:
        return ""
    return f", by {signal.Signals(-code).name}" if code < 0 else f", with exit code {code}"


def _joined(workers: Sequence[Worker]) -> None:
    """Kills those that do not come to an end by themselves."""
    deadline = time.monotonic() + END_SECONDS
    for worker in workers:
        worker.process.join(max(deadline - time.monotonic(), 0))
        worker.end()


# --- in the worker ---------------------------------------------------------------------------------------------------


def work(config: uvicorn.Config, listening: socket.socket, beats: Connection) -> None:
    """What a worker process does: serves, and says from the moment when it is ready that it lives."""
    server = uvicorn.Server(config)
    threading.Thread(target=_beat, args=(server, beats), name="beat", daemon=True).start()
    try:
        server.run([listening])
    except KeyboardInterrupt:
        return  # Ctrl-C reaches the whole group, and the parent ends as well
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _beat(server: uvicorn.Server, beats: Connection) -> None:
    """A thread of its own: a loop that is held up for a while is no reason to be killed."""
    while True:
        try:
            if server.started:
                beats.send_bytes(b"")
        except OSError:  # the parent is gone: nobody would start another, nor stop this one
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(BEAT_SECONDS)
