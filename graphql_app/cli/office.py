"""seed, import."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphql_app.cli.session import Stop, run_with_database, settled
from graphql_app.domain.caller import by_command
from graphql_app.domain.importing import COLUMNS, ImportKind
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.migrations import require_current

if TYPE_CHECKING:
    from graphql_app.domain.importing import Report


@click.command(help="Fill an empty database with a demo office.")
def seed() -> None:
    with settled() as settings:
        click.echo(run_with_database(settings, seeded))


async def seeded(database: Database) -> str:
    """Seeds the database if it is empty; says what was done."""
    from graphql_app.services.importing.seeding import seed

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


class Delimiter(click.ParamType[str]):
    """One character; `tab` is a tab."""

    name = "delimiter"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        mark = {"tab": "\t", "\\t": "\t"}.get(value, value)
        if len(mark) != 1 or mark in '"\r\n':
            self.fail("it is one character, no quote and no line break; or tab", param, ctx)
        return mark


def begun(kind: ImportKind) -> str:
    """Returns a CSV with all columns of the kind, and a row of the demo office to put one's own in place of."""
    from graphql_app.domain.exporting import CsvWriter
    from graphql_app.services.importing.seeding import demo_office

    names = tuple(column.name for column in COLUMNS[kind])
    example = demo_office()[kind][0]
    row = [json.dumps(value) if isinstance(value, dict) else value for value in (example.get(name) for name in names)]
    writer = CsvWriter()
    return b"".join([writer.begin(), writer.begin_kind(kind, names), writer.rows([row])]).decode()


@click.command(
    name="import",
    help="Read the office from CSV, Excel or JSON. A CSV holds buildings, floors, departments, employees or"
    " workstations; a workbook or JSON may hold all of them. `-` is standard input.",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path), required=False)
@click.option("--kind", help="What the rows are (buildings, floors, …), where the file does not say so itself.")
@click.option("--template", type=click.Choice([kind.value for kind in ImportKind]), help="Print a CSV to begin with.")
@click.option("--encoding", help="Of the file; UTF-8, UTF-16 and GB18030 (GBK) are recognised.")
@click.option(
    "--delimiter", type=Delimiter(), help="What separates cells: one character, or tab; , ; | and tabs are recognised."
)
@click.option(
    "--decimal-comma/--decimal-point",
    default=None,
    help="Whether 10,5 is ten and a half; it is where commas do not separate cells.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.option("--diff", is_flag=True, help="List what would be added and changed; a dry run.")
@click.option("--skip-bad", is_flag=True, help="Import the good rows even if there are bad ones.")
def import_(
    file: Path | None,
    kind: str | None,
    template: str | None,
    encoding: str | None,
    delimiter: str | None,
    decimal_comma: bool | None,
    dry_run: bool,
    diff: bool,
    skip_bad: bool,
) -> None:
    if template is not None:
        click.echo(begun(ImportKind(template)), nl=False)
        return
    if file is None:
        raise click.UsageError("Name a file, - for standard input, or --template.")
    from graphql_app.domain.importing import ImportOutcome
    from graphql_app.domain.importing.sheets import Dialect
    from graphql_app.services.importing.files import ReadOptions
    from graphql_app.services.importing.importing import Importing

    reading = ReadOptions(encoding, Dialect(delimiter, decimal_comma))

    async def work(database: Database) -> "Report":
        await require_current(database)
        with click.progressbar(length=100, label=file.name, file=sys.stderr) as bar:
            return await Importing(database).run(
                by_command("import"),
                file,
                kind=kind,
                dry_run=dry_run or diff,
                skip_bad=skip_bad,
                lists_differences=diff,
                progress=lambda done, total: bar.update(100 * done // max(total, 1) - bar.pos),
                reading=reading,
            )

    with settled() as settings:
        report = run_with_database(settings, work)
    if report.read_as is not None:
        click.echo(report.read_as, err=True)
    for problem in report.problems:
        click.echo(problem, err=True)
    if (unsaid := report.problem_count - len(report.problems)) > 0:
        click.echo(f"… and {unsaid:,} more", err=True)
    for difference in report.differences:
        click.echo(difference)
    if (unlisted := report.difference_count - len(report.differences)) > 0 and diff:
        click.echo(f"… and {unlisted:,} more")
    click.echo(tallied(report))
    if report.outcome is ImportOutcome.REFUSED:
        way_out = "" if report.unreadable else ", or give --skip-bad to leave them out"
        raise Stop(f"nothing was imported: correct what is said above{way_out}")
    if report.outcome is ImportOutcome.DRY_RUN:
        click.echo("Nothing was written: this was a dry run.")
