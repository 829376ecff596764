"""psql: a prompt on the database that the server uses."""

import os
import shutil
import signal
import subprocess
import sys
from urllib.parse import unquote, urlsplit

import click

from graphql_app.cli.session import Stop, settled
from graphql_app.domain.urls import without_password


@click.command(
    "psql",
    context_settings={"ignore_unknown_options": True},
    add_help_option=False,
    help="Open psql on the server's database. What follows goes to psql, as in `psql -c 'TABLE buildings'`.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    with settled() as settings:
        assert settings.database_url is not None
        program = client()
        if program is None:
            raise Stop(
                "psql is not installed: install it (Debian: `apt install postgresql-client`), or open"
                f" {without_password(settings.database_url)} with a client of your own"
            )
        url, password = parted(settings.database_url)
        if password:
            os.putenv("PGPASSWORD", password)  # for psql alone: nothing here looks there
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is psql's, which cancels a statement by it
        ended = subprocess.run([program, "-d", url, *arguments], check=False)  # noqa: S603
    sys.exit(ended.returncode)


def client() -> str | None:
    """Returns the path of psql: the wheel's, which is as new as the embedded server, or else the machine's."""
    from graphql_app.embedded import EmbeddedError, wheels

    try:
        return str(wheels.find().psql)
    except EmbeddedError:
        return shutil.which("psql")


def parted(url: str) -> tuple[str, str]:
    """Returns the URL without its password, and the password: what stands in a command is seen by everybody."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    name, _, password = user.partition(":")
    return url.replace(f"{user}{at}", f"{name}{at}", 1), unquote(password)
