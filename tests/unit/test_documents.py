"""What the documents point at exists: every link, and every path of a file, with the names in it."""

import re
from pathlib import Path

import pytest

from tests.source import PACKAGE, ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*/*.md")])

ROOMS = sorted(one.name for one in PACKAGE.iterdir() if one.is_dir() and not one.name.startswith("_"))
PATH = re.compile(rf"(?<![\w/.:-])(?:graphql_app/)?(?:{'|'.join(ROOMS)}|tests|docs|bench|alembic|docker)/\w[\w/.]*")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def exists(path: str) -> bool:
    """A file or folder, with or without its ending; or a name that stands in a file."""
    stem, _, attributes = path.partition(".")
    for root in (ROOT, PACKAGE):
        if (root / path).exists() or (root / f"{path}.py").is_file():
            return True
        file = root / f"{stem}.py"
        file = file if file.is_file() else root / stem / "__init__.py"
        if attributes and file.is_file():
            words = set(re.findall(r"\w+", file.read_text()))
            return set(attributes.split(".")) - {"py"} <= words
    return False


def anchors(page: Path) -> set[str]:
    """The headings, as GitHub makes addresses of them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_in_the_documents_exists(page: Path) -> None:
    # What a page tells its reader to make is not there yet.
    named = {one.rstrip("./") for one in PATH.findall(re.sub(r"`[^`]+` \(new\)", "", page.read_text()))}

    assert {path for path in named if "NNNN" not in path and not exists(path)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_in_the_documents_leads_somewhere(page: Path) -> None:
    broken = set()
    for link in LINK.findall(page.read_text()):
        target, _, anchor = link.partition("#")
        if ":" in target:
            continue
        file = page.parent / target if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.add(link)

    assert broken == set()


def test_the_paths_were_found() -> None:
    assert sum(len(PATH.findall(page.read_text())) for page in PAGES) > 150
    assert not exists("live/feed/hub.NoSuchName")
    assert not exists("live/feed/nothing")


# --- the README in two languages -------------------------------------------------------------------------------------

ENGLISH, CHINESE = ((ROOT / name).read_text() for name in ("README.md", "README.zh.md"))
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def shape(text: str) -> list[str]:
    """The levels of the headings, in order."""
    return re.findall(r"^#+(?= )", BLOCK.sub("", text), re.MULTILINE)


def rows(text: str) -> list[list[str]]:
    """The variables and commands that each row of a table begins with."""
    firsts = [line.split(" | ")[0] for line in BLOCK.sub("", text).splitlines() if line.startswith("| `")]
    return [re.findall(r"`([^`]+)`", first) for first in firsts]


def test_the_chinese_readme_has_the_headings_of_the_english_one() -> None:
    assert len(shape(ENGLISH)) > 8
    assert shape(CHINESE) == shape(ENGLISH)


def test_the_chinese_readme_has_the_commands_of_the_english_one() -> None:
    assert len(BLOCK.findall(ENGLISH)) > 6
    assert BLOCK.findall(CHINESE) == BLOCK.findall(ENGLISH)


def test_the_chinese_readme_lists_the_commands_settings_and_links_of_the_english_one() -> None:
    assert len(rows(ENGLISH)) > 20
    assert rows(CHINESE) == rows(ENGLISH)
    assert set(LINK.findall(CHINESE)) == set(LINK.findall(ENGLISH))
