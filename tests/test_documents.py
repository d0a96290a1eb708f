"""Documents name files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["CONTRIBUTING.md", "_docs/architecture.md", "README.md", "_docs/operating.md"]
PATH = re.compile(
    r"`((?:src|tests|tools|cpp|images|nix|migrations|_docs|\.ci)/[\w./{},-]*|flake\.nix|pyproject\.toml)`"
)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES)
def test_every_path_in_a_page_exists(page: str) -> None:
    """Each path in backticks and each link of a page is in the tree."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = PATH.findall(text)
    linked = [str((ROOT / page).parent / target) for target in LINK.findall(text)]
    missing = [path for path in named if not (ROOT / path).exists()] + [
        path for path in linked if not Path(path).exists()
    ]
    assert named or linked
    assert missing == []
