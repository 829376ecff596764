"""The commands: serve, migrate, seed, import, export, export-schema, token, account, psql, doctor."""

import sys

import click

from graphql_app.cli.accounts import account, token
from graphql_app.cli.export import export
from graphql_app.cli.office import import_, seed
from graphql_app.cli.psql import psql
from graphql_app.cli.schema import export_schema
from graphql_app.cli.server import doctor, migrate, serve
from graphql_app.cli.session import Stop
from graphql_app.domain.errors import Refusal
from graphql_app.services.identity.keys import BadKey
from graphql_app.settings import SettingsError
from graphql_app.store.postgres.migrations import MigrationError


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


@click.group(
    help="A live GraphQL server for office workstations. Settings are environment variables: `doctor` lists them."
)
@click.version_option(package_name="graphql-app")
def commands() -> None:
    pass


for command in (serve, migrate, seed, import_, export, export_schema, token, account, psql, doctor):
    commands.add_command(command)
