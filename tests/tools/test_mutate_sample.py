"""The sampled mutation run draws the same places for the same commit, leaves sentences alone, and finds their tests."""

from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType

import pytest

from .programs import load_program

SOURCE = '''"""A module."""

LIMIT = 3


def judge(value: int, words: dict[str, int]) -> str:
    """Say whether a value is good."""
    if value > LIMIT and words["key"] == 1:
        return "This is far too much."
    return "good"
'''


@pytest.fixture(scope="module")
def mutate_sample() -> ModuleType:
    """Return the program's module, which lies in no package."""
    pytest.importorskip("mutmut", reason="mutmut is not installed")
    return load_program("mutate_sample")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a small source file in a tree of its own."""
    file = tmp_path / "src" / "gps_denied_onboard" / "a" / "b.py"
    file.parent.mkdir(parents=True)
    file.write_text(SOURCE)
    return file


def test_each_mutant_changes_one_place(mutate_sample: ModuleType, source: Path, tmp_path: Path) -> None:
    """One line differs, the text compiles, and no sentence for people is among them; keys and limits are."""
    mutants = [made() for made in mutate_sample.mutants_of(source, tmp_path)]
    for mutant in mutants:
        compile(mutant.text, "b.py", "exec")
        changed = [old for old, new in zip(SOURCE.splitlines(), mutant.text.splitlines(), strict=True) if old != new]
        assert [line.strip() for line in changed] == [mutant.before]
    assert not any("far too" in mutant.before for mutant in mutants)
    after = " ".join(mutant.after for mutant in mutants)
    assert "value >= LIMIT" in after
    assert "XXkeyXX" in after
    assert " or " in after


def test_the_same_seed_draws_the_same(mutate_sample: ModuleType, source: Path, tmp_path: Path) -> None:
    """Seeded by the commit, a run can be repeated; another commit draws others, and none is drawn twice."""
    first, again, other = (
        [mutant.after for mutant in mutate_sample.drawn([source], 4, random.Random(seed), tmp_path)]
        for seed in ("abc", "abc", "abd")
    )
    assert first == again != other
    assert len(set(first)) == 4


def test_related_are_its_own_tests_and_those_that_import_it(mutate_sample: ModuleType, tmp_path: Path) -> None:
    """By name in the mirrored folder, by import anywhere, else the whole folder; not what only sounds alike."""
    tests = tmp_path / "tests" / "gps_denied_onboard"
    for name, text in {
        "a/test_b_of_something.py": "", "a/test_other.py": "from gps_denied_onboard.a.b import judge\n",
        "c/test_b.py": "", "c/test_user.py": "from gps_denied_onboard.a import b\n", "a/test_alone.py": "",
    }.items():  # fmt: skip
        (tests / name).parent.mkdir(parents=True, exist_ok=True)
        (tests / name).write_text(text)
    found = mutate_sample.related_tests("src/gps_denied_onboard/a/b.py", tmp_path)
    assert sorted(Path(test).relative_to("tests/gps_denied_onboard").as_posix() for test in found) == [
        "a/test_b_of_something.py", "a/test_other.py", "c/test_user.py"
    ]  # fmt: skip
    assert mutate_sample.related_tests("src/gps_denied_onboard/a/z.py", tmp_path) == ["tests/gps_denied_onboard/a"]
