"""What benchmarks that have parts are told on the command line, and the servers that all of them run on."""

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any

import stage

from graphql_app.embedded import running

# The options, the URLs of PostgreSQL and Redis, and a folder for what is made.
Measure = Callable[[argparse.Namespace, str, str, Path], Coroutine[Any, Any, None]]


def parser(description: str | None, parts: Collection[str]) -> argparse.ArgumentParser:
    """With the options that all of them take; each adds its own."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--only", default=",".join(parts), help=f"some of {','.join(parts)}")
    made.add_argument("--seconds", type=int, default=10, help="how long each is measured")
    made.add_argument("--settings", nargs="*", default=[], metavar="KEY=VALUE", help="for our server's environment")
    return made


def parsed(parser: argparse.ArgumentParser, parts: Collection[str]) -> argparse.Namespace:
    """`only` as the names of parts, `settings` as what they set."""
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(parts):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if wrong := [setting for setting in options.settings if "=" not in setting]:
        parser.error(f"takes KEY=VALUE, not {wrong[0]}")
    options.settings = dict(setting.split("=", 1) for setting in options.settings)
    return options


def run(measure: Measure, options: argparse.Namespace) -> None:
    stage.take_the_stage()
    with tempfile.TemporaryDirectory(prefix="graphql-app-") as data, running(Path(data)) as servers:
        asyncio.run(measure(options, servers.database_url, servers.redis_url, Path(data)))
