"""The commands: serve, migrate, seed, import, export-schema, token, account, doctor."""

import asyncio
import difflib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from graphql_app import development
from graphql_app import settings as configuration
from graphql_app.domain.access import Viewer, by_command
from graphql_app.domain.errors import Refusal
from graphql_app.services.keys import BadKey
from graphql_app.settings import Settings, SettingsError
from graphql_app.store.database import Database
from graphql_app.store.migrations import MigrationError, require_current, upgrade

if TYPE_CHECKING:
    from graphql_app.domain.importing import Report
    from graphql_app.services.administer import Administer

T = TypeVar("T")
ROLE_HELP = "visitor, employee, facilities, hr, operator, admin, or one of your own."


class Stop(Exception):
    """Ends the command with one line and exit code 1."""


def main() -> None:
    """The console script: what goes wrong in a known way is one line, not a traceback."""
    try:
        commands.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except (Stop, SettingsError, MigrationError, Refusal, BadKey) as error:
        click.echo(f"graphql-app: {error}", err=True)
        sys.exit(1)


@click.group(help="A live GraphQL server for office workstations.")
@click.version_option(package_name="graphql-app")
def commands() -> None:
    pass


@commands.command(help="Serve HTTP and WebSockets. Without DATABASE_URL and REDIS_URL it starts both servers itself.")
def serve() -> None:
    from graphql_app.serving import CannotServe, run

    with settled() as settings:
        try:
            run(settings)
        except CannotServe as error:
            raise Stop(str(error)) from error


@commands.command(help="Bring the database to this release's tables.")
def migrate() -> None:
    with settled() as settings:
        before, after = run_with_database(settings, lambda database: upgrade(database.engine))
    click.echo(f"The database was at migration {before or 'none'} and is at {after}.")


@commands.command(help="Fill an empty database with a demo office.")
def seed() -> None:
    with settled() as settings:
        click.echo(run_with_database(settings, seeded))


async def seeded(database: Database) -> str:
    """Seeds the database if it is empty; says what was done."""
    from graphql_app.services.seeding import seed

    await require_current(database)
    report = await seed(database, by_command("seed"))
    return tallied(report) if report is not None else "There are workstations already: nothing was changed."


def tallied(report: "Report") -> str:
    """How many of each kind, in one line."""
    parts = []
    for kind, tally in report.kinds.items():
        figures = {"added": tally.added, "changed": tally.changed, "unchanged": tally.unchanged, "bad": tally.bad}
        parts.append(f"{kind}: {', '.join(f'{n:,} {what}' for what, n in figures.items() if n) or 'none'}")
    return "; ".join(parts)


@commands.command(
    name="import", help="Read buildings, floors, departments, employees or workstations from CSV or JSON."
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kind", help="What the rows are, where the file does not say so itself.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.option("--skip-bad", is_flag=True, help="Import the good rows even if there are bad ones.")
def import_(file: Path, kind: str | None, dry_run: bool, skip_bad: bool) -> None:
    from graphql_app.domain.importing import Outcome
    from graphql_app.services.importing import Importing

    size = file.stat().st_size

    async def work(database: Database) -> "Report":
        await require_current(database)
        with click.progressbar(length=size, label=file.name, file=sys.stderr) as bar:
            return await Importing(database).run(
                by_command("import"),
                file,
                kind=kind,
                dry_run=dry_run,
                skip_bad=skip_bad,
                progress=lambda done, _: bar.update(done - bar.pos),
            )

    with settled() as settings:
        report = run_with_database(settings, work)
    for problem in report.problems:
        click.echo(problem, err=True)
    if (unsaid := report.problem_count - len(report.problems)) > 0:
        click.echo(f"… and {unsaid:,} more", err=True)
    click.echo(tallied(report))
    if report.outcome is Outcome.REFUSED:
        way_out = "" if report.unreadable else ", or give --skip-bad to leave them out"
        raise Stop(f"nothing was imported: correct what is said above{way_out}")
    if report.outcome is Outcome.DRY_RUN:
        click.echo("Nothing was written: this was a dry run.")


@commands.command(name="export-schema", help="Write the GraphQL schema, or check that the file is up to date.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when the file differs.")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default="schema.graphql")
def export_schema(check: bool, path: Path) -> None:
    from graphql_app.graph.schema import build, printed

    text = printed(build())
    if not check:
        path.write_text(text)
        click.echo(f"Wrote {path}.")
        return
    written = path.read_text() if path.exists() else ""
    if written != text:
        click.echo("".join(difflib.unified_diff(written.splitlines(True), text.splitlines(True), str(path), "code")))
        raise Stop(f"{path} is not the schema of the code: run `graphql-app export-schema`")
    click.echo(f"{path} is up to date.")


@commands.command(help="Print a token for a role.")
@click.option("--role", required=True, help=ROLE_HELP)
@click.option("--employee", "number", help="Number of the employee that the token is for.")
@click.option("--seconds", type=float, help="How long it is valid.")
def token(role: str, number: str | None, seconds: float | None) -> None:
    from graphql_app.app.identity import identify
    from graphql_app.store import queries

    settings = keyed()
    key = None
    if number is not None:

        async def find(database: Database) -> Any:
            return await queries.employee_by_number(database, number)

        with settled() as settings:
            employee = run_with_database(settings, find)
        if employee is None:
            raise Stop(f"there is no employee with the number {number}")
        key = employee.key
    issued = identify(settings).issue(
        role if key is None else f"employee:{key}",  # a subject is no secret, an employee number is
        [role],
        seconds=seconds or settings.token_seconds,
        employee_key=key,
        employee_number=number,
    )
    click.echo(issued)


@commands.group(help="Keep the accounts that log in with a password.")
def account() -> None:
    pass


def password_given() -> str:
    """Asked for twice at a terminal, else one line of standard input: what stands in a command is seen by everybody."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


def administered(work: Callable[["Administer", Viewer], Coroutine[Any, Any, T]]) -> T:
    """Does it, on a database that is at this release's tables."""
    from graphql_app.app.identity import administer
    from graphql_app.services.passwords import Passwords

    with settled() as settings, closing(Passwords()) as passwords:

        async def done(database: Database) -> T:
            await require_current(database)
            return await work(administer(settings, database, passwords), by_command("account"))

        return run_with_database(settings, done)


@account.command(name="add", help="Make one; the password is asked for, or read from standard input.")
@click.argument("name")
@click.option("--role", required=True, help=ROLE_HELP)
@click.option("--employee", "number", help="Number of the employee whose account it is.")
def account_add(name: str, role: str, number: str | None) -> None:
    password = password_given()
    administered(lambda accounts, viewer: accounts.add(viewer, name, password, role, number))
    click.echo(f"Made the account {name} ({role}).")


@account.command(name="list", help="Print all of them: name, role, employee.")
def account_list() -> None:
    for one in administered(lambda accounts, viewer: accounts.accounts(viewer)):
        number, state = one.employee_number or "-", "disabled" if one.is_disabled else ""
        click.echo(f"{one.name:<30} {one.role:<12} {number:<12} {state}".rstrip())


@account.command(name="disable", help="Let nobody in with it any more; whoever is in is out at once.")
@click.argument("name")
def account_disable(name: str) -> None:
    administered(lambda accounts, viewer: accounts.set_disabled(viewer, name, True))
    click.echo(f"Disabled {name}.")


@account.command(name="enable", help="Let it be used again.")
@click.argument("name")
def account_enable(name: str) -> None:
    administered(lambda accounts, viewer: accounts.set_disabled(viewer, name, False))
    click.echo(f"Enabled {name}.")


@account.command(name="role", help="Give it another role; whoever is in has that at once.")
@click.argument("name")
@click.argument("role")
def account_role(name: str, role: str) -> None:
    administered(lambda accounts, viewer: accounts.set_role(viewer, name, role))
    click.echo(f"{name} has the role {role}.")


@account.command(name="password", help="Set another password, asked for as by `add`; all its sessions end.")
@click.argument("name")
def account_password(name: str) -> None:
    password = password_given()
    administered(lambda accounts, viewer: accounts.set_password(viewer, name, password))
    click.echo(f"{name} has a new password, and must log in again.")


@commands.command(
    help="Show every setting and check them. Tells whether they fit together, and whether each server is reachable."
)
def doctor() -> None:
    from graphql_app.diagnosis import report

    settings = keyed()
    lines, healthy = asyncio.run(report(settings))
    for line in lines:
        click.echo(line)
    if not healthy:
        raise Stop("not all is well: see the checks above")


def keyed() -> Settings:
    """The settings with their keys, and no server started."""
    settings = configuration.read()
    return settings if settings.mode == "production" else development.with_keys(settings)


@contextmanager
def settled() -> Iterator[Settings]:
    """The settings with their servers, embedded ones started where no URL is set."""
    with development.completed(configuration.read()) as settings:
        yield settings


def run_with_database(settings: Settings, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with connected(settings) as database:
            return await work(database)

    return asyncio.run(run())


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Database]:
    """The database, known to answer. Raises Stop."""
    assert settings.database_url is not None
    database = Database(settings.database_url, pool=2, timeout_seconds=settings.database_timeout_seconds)
    try:
        problem = await database.problem()
        if problem is not None:
            raise Stop(f"DATABASE_URL: {problem}")
        yield database
    finally:
        await database.close()
