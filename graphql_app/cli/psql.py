"""psql: a prompt on the database that the server uses."""

import os
import shutil
import signal
import subprocess
import sys
from urllib.parse import unquote, unquote_plus, urlsplit

import click

from graphql_app.cli.session import Stop, settled
from graphql_app.domain.urls import advice, without_password


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
        own = wheels.find().psql
    except EmbeddedError:
        own = None
    return str(own) if own is not None and own.exists() else shutil.which("psql")


def parted(url: str) -> tuple[str, str]:
    """Returns the URL without its password, and the password: what stands in a command is seen by everybody. Raises
    Stop for a URL whose parts cannot be told apart, and for a secret that psql takes by its command alone."""
    if (unclear := advice(url)) is not None:
        raise Stop(f"DATABASE_URL: {unclear}")
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    kept, in_query = _parted_query(parts.query)
    bare = f"{parts.scheme}://{name}{at}{hosts}{parts.path}{f'?{kept}' if kept else ''}"
    return bare, unquote(password) if in_query is None else in_query


def _parted_query(query: str) -> tuple[str, str | None]:
    """Returns the parameters without a password, and that password as the server reads it. Raises Stop."""
    kept, password = [], None
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        match unquote(name).lower():
            case "password":
                password = unquote_plus(value)
            case "sslpassword":
                raise Stop("psql takes an sslpassword by its command alone, which everybody sees: use a key without")
            case _:
                kept.append(pair)
    return "&".join(kept), password
