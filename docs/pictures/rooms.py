"""Draws docs/pictures/rooms.svg: the rooms and their layers, as the import contracts in pyproject.toml have them.

    .venv/bin/python docs/pictures/rooms.py [--check]

A room is a box with the first sentence of its package and the folders in it; an arrow is an import from a room to one
further down, thicker the more of them there are. --check says by the exit code whether the picture is up to date.
"""

import ast
import sys
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "graphql_app"
PICTURE = Path(__file__).with_name("rooms.svg")

WIDTH, MARGIN, GAP, HEAD, LINE = 1080, 24, 16, 30, 16
LETTERS = 6.4  # a letter of the small text takes so many units
OFTEN = 12  # imports between two rooms, from which an arrow is drawn in full


def layers() -> list[list[str]]:
    """The rooms from top to bottom, those of one line side by side."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lines = next(one["layers"] for one in contracts if one["type"] == "layers" and one["containers"] == ["graphql_app"])
    return [line.split(" | ") for line in lines if not line.startswith("__")]


def sentence(room: str) -> str:
    """What the package says it is for."""
    path = PACKAGE / room / "__init__.py"
    text = ast.get_docstring(ast.parse((path if path.exists() else PACKAGE / f"{room}.py").read_text())) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def folders(room: str) -> list[str]:
    return sorted(path.parent.name for path in (PACKAGE / room).glob("*/__init__.py"))


def arrows() -> Counter[tuple[str, str]]:
    """How often a module of one room imports from another room."""
    found: Counter[tuple[str, str]] = Counter()
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("graphql_app."):
                found[room, str(node.module).split(".")[1]] += 1
    return found


class Box:
    """A room on the sheet."""

    def __init__(self, room: str, x: float, y: float, width: float) -> None:
        self.room, self.x, self.y, self.width = room, x, y, width
        letters = int((width - 2 * GAP) / LETTERS)
        self.said = textwrap.wrap(sentence(room), letters)
        self.within = textwrap.wrap(" · ".join(folders(room)), letters)
        self.height = HEAD + LINE * (len(self.said) + len(self.within)) + 6

    def lines(self) -> Iterator[str]:
        yield f'<rect x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}" rx="6"/>'
        yield f'<text class="room" x="{self.x + GAP:g}" y="{self.y + 21:g}">{escape(self.room)}</text>'
        for number, (kind, text) in enumerate(
            [("said", text) for text in self.said] + [("within", text) for text in self.within]
        ):
            y = self.y + HEAD + LINE * number + 8
            yield f'<text class="{kind}" x="{self.x + GAP:g}" y="{y:g}">{escape(text)}</text>'


def placed() -> tuple[dict[str, Box], float]:
    boxes: dict[str, Box] = {}
    y = float(MARGIN)
    for line in layers():
        width = (WIDTH - 2 * MARGIN - GAP * (len(line) - 1)) / len(line)
        row = [Box(room, MARGIN + number * (width + GAP), y, width) for number, room in enumerate(line)]
        tallest = max(box.height for box in row)
        for box in row:
            box.height = tallest
            boxes[box.room] = box
        y += tallest + 2 * GAP
    return boxes, y


def drawn() -> str:
    boxes, height = placed()
    rank = {room: number for number, line in enumerate(layers()) for room in line}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img"'
        ' aria-label="The rooms of graphql_app; imports point downward only">',
        "<style>rect{fill:#fff;stroke:#456}text{font:12px sans-serif;fill:#333}"
        ".room{font:bold 15px sans-serif;fill:#123}.within{fill:#567;font-style:italic}"
        "path{fill:none;stroke:#89a;marker-end:url(#tip)}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" style="fill:#89a;stroke:none;marker-end:none"/></marker></defs>',
        '<rect x="0" y="0" width="100%" height="100%" style="fill:#f6f8fa;stroke:none"/>',
    ]
    for (upper, lower), often in sorted(arrows().items()):
        # Only to the next line: that an upper room reaches every lower one would be a drawing of nothing but lines.
        if upper in rank and lower in rank and rank[lower] == rank[upper] + 1:
            start, end = boxes[upper], boxes[lower]
            x1 = min(max(end.x + end.width / 2, start.x + GAP), start.x + start.width - GAP)
            x2 = min(max(x1, end.x + GAP), end.x + end.width - GAP)
            thickness = 2.5 if often >= OFTEN else 1.2
            parts.append(
                f'<path d="M{x1:g} {start.y + start.height:g}L{x2:g} {end.y - 1:g}" stroke-width="{thickness}"/>'
            )
    for box in boxes.values():
        parts.extend(box.lines())
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    picture = drawn()
    if "--check" in sys.argv:
        sys.exit(
            PICTURE.read_text() != picture and "docs/pictures/rooms.svg is out of date: run docs/pictures/rooms.py"
        )
    PICTURE.write_text(picture)
