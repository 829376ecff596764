"""Other people's packages from npm: Node and what package-lock.json pins, installed once, and a client to drive."""

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "frontend" / "build.py"

INSTALL_SECONDS = 600
EVENT_SECONDS = 10
LINE_BYTES = 16 * 1024 * 1024  # a snapshot is one line


@cache
def node(folder: Path = HERE) -> str:
    """The path of a Node, with the folder's `node_modules` as its package-lock.json, or else package.json, says."""
    build = _frontend_build()
    found = build.find_node()
    says = [one for one in (folder / "package.json", folder / "package-lock.json") if one.exists()]
    wanted, installed_from = build.digest(says), folder / "node_modules" / "installed-from"
    if build.recorded(installed_from) != wanted:
        install = "ci" if len(says) > 1 else "install"
        run(*found.npm, install, "--no-audit", "--no-fund", seconds=INSTALL_SECONDS, folder=folder)
        installed_from.write_text(wanted)
    return str(found.node)


def run(
    *command: str,
    seconds: float = 120,
    exit_codes: Collection[int] = (0,),
    folder: Path = HERE,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What the command says, run in the folder. Fails, with what it said, when it ends with another exit code."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode in exit_codes, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def compile_relay(node: str) -> None:
    """What relay-compiler makes of real/relay, in compiled. Fails for what it finds wrong with the schema."""
    (HERE / "compiled").mkdir(exist_ok=True)
    run(node, "node_modules/relay-compiler/cli.js", "relay.config.json")


def relay_manifest(node: str) -> Path:
    """The list of hashes and documents that relay-compiler writes for real/relay."""
    manifest = HERE / "compiled-by-hash" / "documents.json"
    shutil.rmtree(manifest.parent, ignore_errors=True)  # it lists only what it compiles anew
    manifest.parent.mkdir()
    manifest.write_text("{}")
    run(node, "node_modules/relay-compiler/cli.js", "relay.persisted.config.json")
    return manifest


def _frontend_build() -> ModuleType:
    """frontend/build.py, which is no package, as a module: it knows how to find a Node."""
    spec = importlib.util.spec_from_file_location("frontend_build", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


Event = dict[str, Any]


class Client:
    """A Node process with a client in it. Its script says what it can do and tell."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: list[Event] = []

    def do(self, command: str, **options: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **options}).encode() + b"\n")

    async def event(self, *kinds: str, id: str | None = None) -> Event:
        """The next event of one of the kinds (and of that operation); those before it are kept for later."""
        async with asyncio.timeout(EVENT_SECONDS):
            seen = 0
            while True:
                for index in range(seen, len(self._waiting)):
                    event = self._waiting[index]
                    if event["event"] in kinds and id in (None, event.get("id")):
                        return self._waiting.pop(index)
                seen = len(self._waiting)
                self._waiting.append(await self._read())

    async def _read(self) -> Event:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line.startswith(b"{"), f"node said: {line.decode()}{(await self._process.stdout.read()).decode()}"
        event: Event = json.loads(line)
        return event


class GraphqlWs(Client):
    """A client of the package graphql-ws, by `driver.js`."""

    async def connect(self, url: str, payload: object, **options: Any) -> None:
        """Returns when the server has acknowledged the connection."""
        self.do("connect", url=url, payload=payload, **options)
        await self.event("connected")

    async def data(self, id: str) -> Any:
        """The data of the operation's next result. Fails for anything else that it may be told."""
        event = await self.event("next", "error", "complete", id=id)
        assert event["event"] == "next", event
        assert "errors" not in event["payload"], event
        return event["payload"]["data"]


class Kit(Client):
    """One of the clients in `real/`, by `real/driver.js`. Each answer and each payload comes as it hands it on."""

    async def ask(self, command: str, name: str, variables: dict[str, Any] | None = None) -> Any:
        """The data of a query or mutation."""
        self.do(command, id=name, name=name, variables=variables)
        return await self.data(name)

    async def data(self, id: str) -> Any:
        event = await self.event("next", "error", id=id)
        assert event["event"] == "next", event
        return event["data"]

    async def refusal(self, id: str) -> str:
        """All that the client says of what went wrong."""
        said: str = (await self.event("error", id=id))["said"]
        return said


@asynccontextmanager
async def graphql_ws(node: str) -> AsyncIterator[GraphqlWs]:
    async with _process(node, "driver.js") as process:
        yield GraphqlWs(process)


@asynccontextmanager
async def kit(node: str, name: str) -> AsyncIterator[Kit]:
    async with _process(node, "real/driver.js", name) as process:
        yield Kit(process)


@asynccontextmanager
async def _process(node: str, script: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Node, which ends with the block."""
    process = await asyncio.create_subprocess_exec(
        node,
        str(HERE / script),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LINE_BYTES,
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()  # which it takes as its end
        try:
            await asyncio.wait_for(process.communicate(), timeout=5)
        except TimeoutError:
            process.kill()
            await process.communicate()
