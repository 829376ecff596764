"""Accounts, as an operator keeps them: the commands, and what a development server makes for itself."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result

from graphql_app import cli
from graphql_app.app import serving
from graphql_app.app.identity import administer, refused_passwords
from graphql_app.domain.access import ROLES, View, Viewer
from graphql_app.domain.account import DEMO_PASSWORD
from graphql_app.domain.caller import Caller, by_command
from graphql_app.domain.errors import Conflict, Forbidden, InvalidInput, NotFound, Refusal
from graphql_app.embedded import Servers
from graphql_app.services.identity.passwords import Passwords, verified
from graphql_app.store.postgres.database import Database
from tests.graphql_client import SEED, settings_for

PASSWORD = "correct horse 电池"
Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", servers.redis_url)

    def run(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(cli.commands, ["account", *arguments], input=typed)

    return run


def rows(url: str) -> dict[str, dict[str, Any]]:
    async def read() -> dict[str, dict[str, Any]]:
        connection = await asyncpg.connect(url)
        found = await connection.fetch("SELECT * FROM accounts")
        await connection.close()
        return {row["name"]: dict(row) for row in found}

    return asyncio.run(read())


def test_an_account_is_made_listed_changed_and_disabled(run: Run, database_url: str) -> None:
    async def furnish() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(SEED)
        await connection.close()

    asyncio.run(furnish())
    made = run("add", "ada", "--role", "hr", "--employee", "E-1002", typed=f"{PASSWORD}\n")
    assert made.exit_code == 0, made.output
    assert PASSWORD not in made.output
    before = rows(database_url)["ada"]
    assert verified(before["password_hash"], PASSWORD)

    assert run("role", "Ada", "admin").exit_code == 0
    assert run("disable", "ada").exit_code == 0
    assert run("list").output.split() == ["ada", "admin", "E-1002", "disabled"]
    assert run("enable", "ada").exit_code == 0
    assert run("password", "ada", typed="another one of them\n").exit_code == 0

    after = rows(database_url)["ada"]
    assert (after["role"], after["disabled"]) == ("admin", False)
    assert verified(after["password_hash"], "another one of them")
    assert after["tokens_from"] > before["tokens_from"]


@pytest.mark.parametrize(
    ("arguments", "typed", "refused"),
    [
        (("add", "ada", "--role", "king"), PASSWORD, InvalidInput),
        (("add", "ada", "--role", "hr"), "short", InvalidInput),
        (("add", " ada", "--role", "hr"), PASSWORD, InvalidInput),
        (("add", "ada", "--role", "hr", "--employee", "E-9"), PASSWORD, NotFound),
        (("add", "BOB", "--role", "hr"), PASSWORD, Conflict),
        (("role", "bob", "king"), "", InvalidInput),
        (("role", "nobody", "hr"), "", NotFound),
        (("disable", "nobody"), "", NotFound),
        (("password", "nobody"), PASSWORD, NotFound),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(
    run: Run, database_url: str, arguments: tuple[str, ...], typed: str, refused: type[Refusal]
) -> None:
    assert run("add", "bob", "--role", "hr", typed=f"{PASSWORD}\n").exit_code == 0
    before = rows(database_url)

    result = run(*arguments, typed=f"{typed}\n")

    assert isinstance(result.exception, refused)
    assert rows(database_url) == before


async def test_only_administrators_keep_accounts(database: Database, servers: Servers) -> None:
    passwords = Passwords()
    accounts = administer(settings_for(database.url, servers), database, passwords)
    caller = Caller(Viewer("ada", ("facilities",), View(ROLES["facilities"]), None, None, 0))

    for refused in (
        accounts.accounts(caller),
        accounts.add(caller, "eve", PASSWORD, "admin", None),
        accounts.set_role(caller, "ada", "admin"),
        accounts.set_disabled(caller, "ada", True),
        accounts.set_password(caller, "ada", PASSWORD),
    ):
        with pytest.raises(Forbidden):
            await refused
    passwords.close()


async def test_a_developer_has_an_account_for_each_role_and_nobody_else_has(
    database: Database, servers: Servers
) -> None:
    settings = settings_for(database.url, servers)
    passwords = Passwords()

    assert await serving.demo_accounts(settings, database)
    assert not await serving.demo_accounts(settings, database)

    accounts = administer(settings, database, passwords)
    made = await accounts.accounts(by_command("test"))
    assert {one.name: one.role for one in made} == {role: role for role in ROLES}
    assert refused_passwords(settings) == frozenset()
    exposed = settings.model_copy(update={"host": "0.0.0.0"})
    assert refused_passwords(exposed) == {DEMO_PASSWORD}
    assert refused_passwords(settings.model_copy(update={"mode": "production"})) == {DEMO_PASSWORD}
    with pytest.raises(InvalidInput):
        await administer(exposed, database, passwords).set_password(by_command("test"), "admin", DEMO_PASSWORD)
    passwords.close()
