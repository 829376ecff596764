"""A real nginx with the shipped configuration."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SHIPPED = Path(__file__).parents[2] / "docker" / "nginx.conf"


@dataclass(frozen=True)
class Front:
    """A running nginx."""

    url: str
    log: Path

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/graphql"


StartNginx = Callable[..., Front]


def rewritten(first: str, second: str, port: int, folder: Path) -> str:
    """docker/nginx.conf with the addresses, the port and the folder of this test; all else as shipped."""
    text = SHIPPED.read_text()
    for shipped, here in {
        "app1:8080 resolve": urlsplit(first).netloc,
        "app2:8080 resolve": urlsplit(second).netloc,
        "listen 8080": f"listen 127.0.0.1:{port}",
        "/tmp/": f"{folder}/",
        "/dev/stdout": f"{folder}/access.log",  # after /tmp/, as the folder is in there
    }.items():
        assert shipped in text, f"docker/nginx.conf has no `{shipped}` to replace"
        text = text.replace(shipped, here)
    return text


@contextmanager
def starting() -> Iterator[StartNginx]:
    """Starts nginx in front of two addresses, without root's rights also when the tests have them."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program, "nginx is missing. On Debian: apt-get install nginx (for CI: in .ci/run)"
    started: list[subprocess.Popen[bytes]] = []
    # Not below pytest's own temporary folder: another user could not enter it.
    with tempfile.TemporaryDirectory(prefix="graphql-app-nginx-") as name:
        folder = Path(name)
        account: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(folder, "nobody", "nogroup")

        def start(first: str, second: str, changed: Callable[[str], str] = str) -> Front:
            port = free_port()
            front = Front(f"http://127.0.0.1:{port}", folder / "error.log")
            (folder / "nginx.conf").write_text(changed(rewritten(first, second, port, folder)))
            with front.log.open("wb") as log:
                command = [program, "-p", name, "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **account)
            started.append(process)
            listens(process, port, front.log)
            return front

        yield start
        for process in started:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Waits until somebody takes connections on the port."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise AssertionError(f"nginx did not start:\n{log.read_text()}")
