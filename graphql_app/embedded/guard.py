"""A tiny process that outlives a killed owner just long enough to end one server."""

import os
import signal
import subprocess

# Its standard input is a pipe that only the owner holds open: `read` returns when the owner is gone, however it went.
# $1 is the server's process, $2 the signal.
SCRIPT = """
read -r _
kill -s "$2" "$1"
kill -s CONT "$1"
tries=0
while [ "$tries" -lt 30 ] && kill -s 0 "$1"; do sleep 0.1; tries=$((tries + 1)); done
kill -s KILL -- "-$1"
"""


class OwnerWatch:
    """Not prctl(PR_SET_PDEATHSIG): that fires when the thread that started the server ends, which for a test that
    restarts Valkey in `asyncio.to_thread` is long before the process; it needs a preexec_fn, unsafe beside threads;
    and macOS has none. A shell costs 1 MB and no waiting."""

    def __init__(self, pid: int, last_signal: signal.Signals) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the script is the one above, its arguments a pid and a signal
            ["/bin/sh", "-c", SCRIPT, "guard", str(pid), last_signal.name.removeprefix("SIG")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """To be called when the server is gone and before its pid can be given to another process."""
        # Killed first: a closed pipe would set it off.
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
