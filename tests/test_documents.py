"""Documents name files that exist, and links lead to headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "_docs"
PAGES = sorted(str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *DOCS.rglob("*.md")))
TREE_PAGES = ["CONTRIBUTING.md", "_docs/architecture.md", "README.md"]
READERS = sorted(DOCS.glob("operating*.md"))
PATH = re.compile(
    r"`((?:src|tests|tools|cpp|images|nix|migrations|_docs|\.ci)/[\w./{},-]*|flake\.nix|pyproject\.toml)`"
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def headings(page: Path) -> list[str]:
    """The headings of a page, without comments of its code."""
    return HEADING.findall(FENCED.sub("", page.read_text(encoding="utf-8")))


def anchor(heading: str) -> str:
    """The anchor that a forge makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [*TREE_PAGES, *(str(page.relative_to(ROOT)) for page in READERS)])
def test_every_path_in_a_page_exists(page: str) -> None:
    """Each path in backticks is in the tree."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = PATH.findall(text)
    assert named or LINK.search(text)
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    """Each relative link names a file, and a heading of it where it names one."""
    lost = []
    for target, heading in LINK.findall(FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))):
        file = (ROOT / page).parent / target if target else ROOT / page
        if not file.exists() or (heading and heading not in map(anchor, headings(file))):
            lost.append(f"{target}#{heading}")
    assert lost == []


def test_the_contents_list_every_heading_of_every_reader() -> None:
    """The table of contents of operating.md links each page for a reader and each second-level heading in it."""
    contents = (DOCS / "operating.md").read_text(encoding="utf-8")
    linked = {(target or "operating.md", heading) for target, heading in LINK.findall(contents)}
    for page in READERS:
        text = FENCED.sub("", page.read_text(encoding="utf-8"))
        missing = [
            title
            for title in re.findall(r"^## (.+)$", text, re.MULTILINE)
            if title != "Contents" and (page.name, anchor(title)) not in linked
        ]
        assert missing == [], page.name


def test_every_page_is_in_the_contents() -> None:
    """Each page of _docs is linked from operating.md, and its name has hyphens."""
    linked = {target for target, _ in LINK.findall((DOCS / "operating.md").read_text(encoding="utf-8"))}
    names = {page.name for page in DOCS.glob("*.md")} - {"operating.md"}
    assert names <= linked
    assert [name for name in names if "_" in name] == []
