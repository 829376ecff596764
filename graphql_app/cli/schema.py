"""export-schema."""

import difflib
from pathlib import Path

import click

from graphql_app.cli.session import Stop


@click.command(name="export-schema", help="Write the GraphQL schema. PATH is schema.graphql unless given.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when the file differs.")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default="schema.graphql")
def export_schema(check: bool, path: Path) -> None:
    from graphql_app.graph.api.schema import build, printed

    text = printed(build())
    try:
        if not check:
            path.write_text(text)
            click.echo(f"Wrote {path}.")
            return
        written = path.read_text(errors="replace") if path.exists() else ""
    except OSError as error:
        raise Stop(f"{path} cannot be used: {error.strerror}") from error
    if written != text:
        click.echo("".join(difflib.unified_diff(written.splitlines(True), text.splitlines(True), str(path), "code")))
        raise Stop(f"{path} is not the schema of the code: run `graphql-app export-schema`")
    click.echo(f"{path} is up to date.")
