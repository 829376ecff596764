"""serve, migrate, doctor."""

import asyncio

import click

from graphql_app.cli.session import Stop, keyed, run_with_database, settled
from graphql_app.store.postgres.migrations import upgrade


@click.command(help="Serve HTTP and WebSockets. Without DATABASE_URL and REDIS_URL it starts both servers itself.")
def serve() -> None:
    from graphql_app.app.serving import CannotServe, run
    from graphql_app.app.workers import WorkersFailed

    with settled(say_joined) as settings:
        try:
            run(settings)
        except (CannotServe, WorkersFailed) as error:
            raise Stop(str(error)) from error


def say_joined(owner: int) -> None:
    click.echo(
        f"Using the PostgreSQL and Valkey of process {owner}, which has the same GRAPHQL_APP_DATA: they end with it."
        " Another GRAPHQL_APP_DATA has its own.",
        err=True,
    )


@click.command(help="Bring the database to this release's tables.")
def migrate() -> None:
    with settled() as settings:
        before, after = run_with_database(settings, lambda database: upgrade(database.engine))
    click.echo(f"The database was at migration {before or 'none'} and is at {after}.")


@click.command(
    help="Show every setting and check them. Tells whether they fit together, and whether each server is reachable."
)
def doctor() -> None:
    from graphql_app.app.doctor import report

    settings = keyed()
    lines, healthy = asyncio.run(report(settings))
    for line in lines:
        click.echo(line)
    if not healthy:
        raise Stop("not all is well: see the checks above")
