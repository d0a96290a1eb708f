"""The threat model names tests that exist, and SECURITY.md names the threat model."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "_docs" / "threat-model.md"


def rows() -> list[list[str]]:
    """Cells of the table of boundaries, without its head."""
    table = MODEL.read_text(encoding="utf-8").split("## Boundaries")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_each_boundary_has_a_test_that_is_there() -> None:
    """Every row of the table ends with the file of its test, and no cell is empty."""
    assert len(rows()) >= 15
    for row in rows():
        assert len(row) == 4
        assert all(row)
        assert (ROOT / row[3]).is_file(), row[3]
        assert "def test_" in (ROOT / row[3]).read_text(encoding="utf-8")


def test_every_hostile_test_is_in_the_model() -> None:
    """A test that plays a stranger guards a boundary that the model names."""
    named = {row[3] for row in rows()}
    hostile = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "hostile").glob("test_*.py")}
    assert hostile <= named


def test_the_policy_names_the_model() -> None:
    """Who reports a fault is shown what is promised."""
    assert "_docs/threat-model.md" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
