"""seed, import."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphql_app.cli.session import Stop, run_with_database, settled
from graphql_app.domain.caller import by_command
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


@click.command(
    name="import",
    help="Read the office from CSV or JSON. A CSV holds buildings, floors, departments, employees or workstations; JSON"
    " may hold all of them.",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kind", help="What the rows are (buildings, floors, …), where the file does not say so itself.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.option("--skip-bad", is_flag=True, help="Import the good rows even if there are bad ones.")
def import_(file: Path, kind: str | None, dry_run: bool, skip_bad: bool) -> None:
    from graphql_app.domain.importing import ImportOutcome
    from graphql_app.services.importing.importing import Importing

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
    if report.outcome is ImportOutcome.REFUSED:
        way_out = "" if report.unreadable else ", or give --skip-bad to leave them out"
        raise Stop(f"nothing was imported: correct what is said above{way_out}")
    if report.outcome is ImportOutcome.DRY_RUN:
        click.echo("Nothing was written: this was a dry run.")
