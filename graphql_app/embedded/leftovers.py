"""Servers whose owner is dead: told from strangers, and stopped."""

import signal
import time
from pathlib import Path

import psutil

from graphql_app.embedded.errors import EmbeddedError
from graphql_app.embedded.server import Server


def stop(server: Server) -> None:
    """Stops what an earlier run left. Raises EmbeddedError when that cannot be stopped.

    The pid is read from the file that the server itself wrote: that is true also if its owner died before it could
    note the pid, or if the server was restarted since.
    """
    process = _ours(server.pid_file, server.directory)
    if process is None:
        return
    try:
        _end(process, server.farewell)
    except psutil.NoSuchProcess:
        return
    except (psutil.AccessDenied, psutil.TimeoutExpired) as error:
        raise EmbeddedError(f"{server.name} of an earlier run cannot be stopped: end process {process.pid}") from error


def _ours(pid_file: Path, directory: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int(pid_file.read_text().split()[0]))
        return process if str(directory) in process.cmdline() else None
    except (FileNotFoundError, ValueError, IndexError, psutil.Error):
        return None


def _end(process: psutil.Process, farewell: tuple[tuple[signal.Signals, float], ...]) -> None:
    for number, seconds in farewell:
        process.send_signal(number)
        process.resume()
        if _is_gone(process, seconds):
            return
    raise psutil.TimeoutExpired(sum(seconds for _, seconds in farewell), process.pid)


def _is_gone(process: psutil.Process, seconds: float) -> bool:
    """Not process.wait(): it takes a zombie for alive, and in a container nobody may ever bury the orphans."""
    deadline = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
