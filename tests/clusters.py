"""PostgreSQL clusters of a test's own, to be filled, frozen, demoted and replaced by a standby."""

import asyncio
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from graphql_app.embedded import Postgres, ownership, wheels
from graphql_app.embedded.account import account_for, admit
from graphql_app.embedded.wheels import Programs


class Cluster(Postgres):
    """With settings of its own besides those of the embedded one."""

    def __init__(self, programs: Programs, directory: Path, port: int, password: str, **settings: str) -> None:
        account = account_for(directory)
        admit(account, programs.installed, directory.parent)
        super().__init__(programs, directory, port, password, account, durable=False)
        self.settings: dict[str, str] = settings

    def command(self) -> list[str]:
        return super().command() + [part for pair in self.settings.items() for part in ("-c", f"{pair[0]}={pair[1]}")]

    def freeze(self) -> None:
        """Every process of it is stopped: connections stay open, new ones are taken by the kernel, nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        import psutil  # noqa: PLC0415  # only where it is needed

        assert self.pid is not None
        first = psutil.Process(self.pid)
        for one in (first, *first.children()):
            one.send_signal(number)

    def copy(self, directory: Path, port: int) -> "Cluster":
        """A standby of this one, not started yet."""
        standby = Cluster(self._programs, directory, port, self.password, **self.settings)
        backup = self._programs.postgres.with_name("pg_basebackup")
        directory.mkdir(0o700)
        self.account.own(directory)
        self._run(
            [str(backup), "-D", str(directory), "-d", self.url, "--write-recovery-conf", "--checkpoint=fast"], directory
        )
        return standby

    async def execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    async def become_read_only(self) -> None:
        """As an operator does it before the switch: for all sessions, those that are open among them."""
        await self.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")

    async def recovered(self) -> None:
        """Returns when it takes writes: until it has read all of its log it answers reads alone."""
        connection = await asyncpg.connect(self.url)
        try:
            async with asyncio.timeout(60):
                while await connection.fetchval("SELECT pg_is_in_recovery()"):  # noqa: ASYNC110  # only it knows
                    await asyncio.sleep(0.02)
        finally:
            await connection.close()

    async def promote(self) -> None:
        await self.execute("SELECT pg_promote()")


@contextmanager
def cluster(**settings: str) -> Iterator[Cluster]:
    """One that runs, with no tables in it."""
    with tempfile.TemporaryDirectory(prefix="graphql-app-") as data:
        Path(data).chmod(0o711)
        made = Cluster(wheels.find(), Path(data) / "primary", ownership.free_port(0), "secret", **settings)
        made.prepare(password_is_known=False)
        with started(made):
            yield made


@contextmanager
def pair(**settings: str) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary, and a standby that follows it."""
    with cluster(**settings) as primary:
        standby = primary.copy(primary.directory.with_name("standby"), ownership.free_port(0, primary.port))
        with started(standby):
            yield primary, standby


@contextmanager
def started(one: Cluster) -> Iterator[None]:
    with ExitStack() as stack:
        stack.callback(one.stop)
        one.start()
        yield


def both(urls: Sequence[str]) -> str:
    """One URL that names the hosts of several."""
    first, *others = (urlsplit(url) for url in urls)
    hosts = [one.netloc.rpartition("@")[2] for one in (first, *others)]
    account = first.netloc.rpartition("@")[0]
    return first._replace(netloc=f"{account}@{','.join(hosts)}").geturl()
