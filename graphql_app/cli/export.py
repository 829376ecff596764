"""export."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphql_app.cli.accounts import ROLE_HELP
from graphql_app.cli.output import written
from graphql_app.cli.session import Stop, run_with_database, settled
from graphql_app.domain.access import View, scopes_of
from graphql_app.domain.caller import Caller, by_command
from graphql_app.domain.exporting import ExportFormat
from graphql_app.domain.importing import ImportKind
from graphql_app.settings import Settings
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.migrations import require_current

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command(
    help="Write the office as a file that `import` reads: KIND is buildings, floors, departments, employees or"
    " workstations; --all are all of them, as JSON. What the role may not see is left out."
)
@click.argument("kind", type=click.Choice([kind.value for kind in ImportKind]), required=False)
@click.option("--all", "all_kinds", is_flag=True, help="All kinds in one file.")
@click.option("--format", "form", type=click.Choice([form.value for form in ExportFormat]), help="csv unless --all.")
@click.option("--role", help=f"For whom it is: {ROLE_HELP} Everything unless given.")
@click.option("--output", type=click.Path(path_type=Path), help="The file; standard output unless given.")
def export(kind: str | None, all_kinds: bool, form: str | None, role: str | None, output: Path | None) -> None:
    kinds = _kinds(kind, all_kinds)
    chosen = ExportFormat(form or ("json" if all_kinds else "csv"))
    if all_kinds and chosen is ExportFormat.CSV:
        raise Stop("a CSV holds one kind: name it, or write all of them with --format json")
    with settled() as settings:
        caller = _caller(settings, role)

        async def work(database: Database) -> int:
            return await _exported(database, caller, kinds, chosen, output)

        left_out = run_with_database(settings, work)
    if left_out:
        click.echo(f"{left_out:,} workstations stand on no floor, and no file can tell them apart: left out.", err=True)


def _kinds(kind: str | None, all_kinds: bool) -> "Sequence[ImportKind]":
    if all_kinds == (kind is not None):
        raise click.UsageError("Name one kind, or say --all.")
    return [ImportKind(kind)] if kind is not None else list(ImportKind)


def _caller(settings: Settings, role: str | None) -> Caller:
    from graphql_app.app.identity import role_table

    everything = by_command("export")
    if role is None:
        return everything
    roles = role_table(settings)
    if role not in roles:
        raise Stop(f"there is no role {role}; there are {', '.join(roles)}")
    return everything._replace(viewer=replace(everything.viewer, roles=(role,), view=View(scopes_of([role], roles))))


async def _exported(
    database: Database, caller: Caller, kinds: "Sequence[ImportKind]", form: ExportFormat, output: Path | None
) -> int:
    """Returns how many workstations were left out."""
    from graphql_app.services.importing.exporting import Exporting

    await require_current(database)
    export = Exporting(database).begin(caller, kinds, form)
    with written(output) as file:
        async for piece in export.pieces():
            file.write(piece)
    return export.left_out
