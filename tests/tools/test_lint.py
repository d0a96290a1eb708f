"""`tools/lint` sees every file with code in it, and refuses what is laid out otherwise."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lint(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "lint"), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_scripts_without_an_ending_are_covered() -> None:
    """The list holds CI's shell, the image's Python scripts, C++ and Nix."""
    listed = {line.split()[1]: line.split()[0] for line in lint(ROOT, "--list").stdout.splitlines()}
    expected = {".ci/run": "shell", ".ci/setup": "shell", "tools/bench": "python", "nix/prefetch": "python",
                "images/companion/overlay/usr/bin/gps-denied-onboard": "python", "flake.nix": "nix",
                "images/companion/overlay/usr/lib/gps-denied/bless": "shell"}  # fmt: skip
    assert expected.items() <= listed.items()
    assert any(language == "cpp" for language in listed.values())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("layout.py", 'x = {  "a":1 }\n', "layout.py"),
        ("script", "#!/bin/sh\ncd $1 && [ $x == 2 ]\n", "script"),
        ("kit.nix", "{\n   odd = 1;\n}\n", "not a whole number of two-space levels"),
        ("core.cpp", "int  main( ){return 0;}\n", "core.cpp"),
    ],
)
def test_a_planted_fault_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    """A file that is laid out otherwise, or a shell script with a known fault, ends the check with 1 and is named."""
    for kept in ("pyproject.toml", ".clang-format"):
        shutil.copy(ROOT / kept, tmp_path)
    (tmp_path / name).write_text(text)
    done = lint(tmp_path, "--no-types")
    assert done.returncode == 1
    assert said in done.stdout + done.stderr
