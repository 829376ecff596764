"""PostgreSQL: its cluster, its settings, and how to tell that it takes connections."""

import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from graphql_app.embedded.account import SystemAccount
from graphql_app.embedded.errors import EmbeddedError
from graphql_app.embedded.server import Server, hand, private, run_as
from graphql_app.embedded.wheels import Programs

NAME = "graphql_app"  # of the database and of the role that owns it

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may have 107 bytes, and the data may lie deeper
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",  # a row that is refused is not repeated: some of it is hidden from most
}
DURABLE = {"fsync": "on"}
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# The builtin provider sorts and folds Unicode alike on every machine. LC_CTYPE still matters beside it: under C
# pg_trgm takes no Chinese character for a letter, and show_trgm('张三') is empty.
LOCALE = [
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--lc-ctype=" + ("en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"),
]
ACCESS = ["--auth-local=reject", "--auth-host=scram-sha-256"]

# The password is 32 random bytes, which nobody guesses with or without stretching. asyncpg stretches in Python, several
# milliseconds for each connection of every pool.
ITERATIONS = "scram_iterations=1"


class Postgres(Server):
    name = "PostgreSQL"
    # SIGINT ends sessions and writes a checkpoint. SIGQUIT gives up; then it kills its children itself after 5 s.
    farewell = ((signal.SIGINT, 10), (signal.SIGQUIT, 8), (signal.SIGKILL, 5))
    last_signal = signal.SIGINT
    patience_seconds = 60  # recovery after a crash takes its time
    # The children of a killed server live on for a moment.
    passing_faults = ("pre-existing shared memory block",)

    def __init__(
        self, programs: Programs, directory: Path, port: int, password: str, account: SystemAccount, *, durable: bool
    ) -> None:
        super().__init__(directory, port, password, account)
        self._programs = programs
        self._durable = durable

    @property
    def url(self) -> str:
        return f"postgresql://{NAME}:{self.password}@127.0.0.1:{self.port}/{NAME}"

    @property
    def pid_file(self) -> Path:
        return self.directory / "postmaster.pid"

    def command(self) -> list[str]:
        settings = SETTINGS | (DURABLE if self._durable else FORGETFUL) | {"port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._programs.postgres), "-D", str(self.directory), *options]

    def answers(self) -> bool:
        """Sends what opens every session. Asked for the password (R) we are welcome; while it starts or recovers,
        it sends an error (E). The port alone is open earlier."""
        body = struct.pack("!i", 196608) + f"user\0{NAME}\0database\0{NAME}\0\0".encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(struct.pack("!i", len(body) + 4) + body)
            # Read whole, for a connection closed over unread bytes is reset, and the log complains.
            return connection.recv(4096).startswith(b"R")

    def wait(self) -> None:
        """Returns when it takes connections. Raises EmbeddedError, also for data of another major version."""
        try:
            super().wait()
        except EmbeddedError as error:
            if "database files are incompatible with server" not in str(error):
                raise
            made_by = (self.directory / "PG_VERSION").read_text().strip()
            raise EmbeddedError(
                f"{self.directory} was made by PostgreSQL {made_by}, and the installed wheel is another major version:"
                " dump it with the old one, or move it away to begin anew"
            ) from error

    def prepare(self, *, password_is_known: bool) -> None:
        """Makes the cluster if there is none. To be called while it does not run."""
        if not self.directory.exists():
            self._create()
        elif not password_is_known:
            self._run_alone(self.directory, self._password_statement())

    def _create(self) -> None:
        """Makes cluster, role and database under another name first: a cluster that is there is always complete."""
        unfinished = self.directory.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(0o700)
        self.account.own(unfinished)
        speed = [] if self._durable else ["--no-sync"]
        self._run([str(self._programs.initdb), "-D", str(unfinished), "-U", NAME, *LOCALE, *ACCESS, *speed], unfinished)
        self._run_alone(unfinished, f"CREATE DATABASE {NAME}", self._password_statement())
        unfinished.rename(self.directory)

    def _password_statement(self) -> str:
        return f"ALTER ROLE {NAME} PASSWORD '{self.password}'"

    def _run_alone(self, cluster: Path, *statements: str) -> None:
        # A server without connections, which needs no password and reads its statements, a line each, from its input.
        options = ["-c", "exit_on_error=on", "-c", ITERATIONS]
        if not self._durable:
            options += ["-c", "fsync=off"]
        command = [str(self._programs.postgres), "--single", "-D", str(cluster), *options, "postgres"]
        self._run(command, cluster, "\n".join([*statements, ""]).encode())

    def _run(self, command: list[str], directory: Path, secrets: bytes = b"") -> None:
        log_path = self.directory.with_name("initdb.log")
        with open(log_path, "ab", opener=private) as log:
            process = run_as(self.account, command, log.fileno(), directory)
        try:
            hand(process, secrets)
            failed = process.wait(120) != 0
        except subprocess.TimeoutExpired:
            failed = True
        finally:
            process.kill()
            process.wait()
        if failed:
            megabytes = shutil.disk_usage(log_path).free // 1_000_000  # on a full disk the log is cut short
            raise EmbeddedError(
                f"the database cluster could not be made: {log_path} says why; {megabytes:,} MB are free there"
            )
