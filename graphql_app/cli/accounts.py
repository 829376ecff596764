"""token, account: who may come in."""

import sys
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from graphql_app.cli.session import Stop, keyed, run_with_database, settled
from graphql_app.domain.caller import Caller, by_command
from graphql_app.domain.names import normal
from graphql_app.domain.workstation import Employee
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.migrations import require_current

if TYPE_CHECKING:
    from graphql_app.services.identity.administer import Administer

T = TypeVar("T")
ROLE_HELP = "visitor, employee, facilities, hr, operator, admin, or one of your own."


@click.command(help="Print a token for a role.")
@click.option("--role", required=True, help=ROLE_HELP)
@click.option("--employee", "number", help="Number of the employee that the token is for.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="How long it is valid; GRAPHQL_APP_TOKEN_SECONDS unless given.",
)
def token(role: str, number: str | None, seconds: float | None) -> None:
    from graphql_app.app.identity import identify

    settings = keyed(warn_of_new_key)
    employee = employee_with(number) if number is not None else None
    issued = identify(settings).issue(
        role if employee is None else f"employee:{employee.key}",  # a subject is no secret, an employee number is
        [role],
        seconds=seconds or settings.token_seconds,
        employee_key=None if employee is None else employee.key,
        employee_number=number,
    )
    click.echo(issued)


def warn_of_new_key(file: Path) -> None:
    """Warns of a key that signs tokens: a server that runs with another takes none of them."""
    if file.suffix == ".pem":
        click.echo(
            f"{file} was made: this token opens servers that are started with the same GRAPHQL_APP_DATA. For one that"
            " runs already, make it in the folder where that was started.",
            err=True,
        )


def employee_with(number: str) -> Employee:
    """Raises Stop."""
    from graphql_app.store import office as queries

    async def find(database: Database) -> Employee | None:
        return await queries.employee_by_number(database, normal(number))

    with settled() as settings:
        employee = run_with_database(settings, find)
    if employee is None:
        raise Stop(f"there is no employee with the number {number}")
    return employee


@click.group(help="Keep the accounts that log in with a password.")
def account() -> None:
    pass


def password_given() -> str:
    """Asked for twice at a terminal, else one line of standard input: what stands in a command is seen by everybody."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


def administered(work: Callable[["Administer", Caller], Coroutine[Any, Any, T]]) -> T:
    """Does it, on a database that is at this release's tables."""
    from graphql_app.app.identity import administer
    from graphql_app.services.identity.passwords import Passwords

    with settled() as settings, closing(Passwords()) as passwords:

        async def done(database: Database) -> T:
            await require_current(database)
            return await work(administer(settings, database, passwords), by_command("account"))

        return run_with_database(settings, done)


@account.command(name="add", help="Make an account. The password is asked for, or read from standard input.")
@click.argument("name")
@click.option("--role", required=True, help=ROLE_HELP)
@click.option("--employee", "number", help="Number of the employee whose account it is.")
def account_add(name: str, role: str, number: str | None) -> None:
    password = password_given()
    administered(lambda accounts, caller: accounts.add(caller, name, password, role, number))
    click.echo(f"Made the account {name} ({role}).")


@account.command(name="list", help="List all accounts. A line has name, role and employee.")
def account_list() -> None:
    for one in administered(lambda accounts, caller: accounts.accounts(caller)):
        number, state = one.employee_number or "-", "disabled" if one.is_disabled else ""
        click.echo(f"{one.name:<30} {one.role:<12} {number:<12} {state}".rstrip())


@account.command(name="disable", help="Let nobody in with an account. Whoever is in is out at once.")
@click.argument("name")
def account_disable(name: str) -> None:
    administered(lambda accounts, caller: accounts.set_disabled(caller, name, True))
    click.echo(f"Disabled {name}.")


@account.command(name="enable", help="Let an account be used again.")
@click.argument("name")
def account_enable(name: str) -> None:
    administered(lambda accounts, caller: accounts.set_disabled(caller, name, False))
    click.echo(f"Enabled {name}.")


@account.command(name="role", help="Give an account another role. Whoever is in has that at once.")
@click.argument("name")
@click.argument("role")
def account_role(name: str, role: str) -> None:
    administered(lambda accounts, caller: accounts.set_role(caller, name, role))
    click.echo(f"{name} has the role {role}.")


@account.command(
    name="password", help="Set another password. It is asked for as by `add`; all sessions of the account end."
)
@click.argument("name")
def account_password(name: str) -> None:
    password = password_given()
    administered(lambda accounts, caller: accounts.set_password(caller, name, password))
    click.echo(f"{name} has a new password, and must log in again.")
