#!/usr/bin/env python3
"""Break the onboard and operator code in a few random places, one at a time, and count what the related tests notice.

Usage: mutate_sample.py [--count 200] [--seed COMMIT] [--part WORD] [--seconds S]. The places are mutmut's, drawn evenly
over all functions, the same ones for the same commit; sentences for people are left alone. `--part` keeps files whose
path has the word. Related are the quick tests that are named after the module or import it, else those of its package.
Each mutant is tried in a copy of the tree; one that makes tests hang counts as noticed. `--seconds` ends earlier, with
the figure of what was tried until then. Prints each survivor, the share noticed by package and of all, and ends with 1
when less than 80 % were. Mutants of mutants_equivalent.toml, which change nothing, do not count.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gps_denied_onboard", "gps_denied_operator")
MUTANTS = Path(__file__).with_name("mutants_equivalent.toml")
SHARE_MIN = 0.8
HANGS_S = 300.0
NOTICED = 1
"""Exit code of pytest when a test failed."""
NO_TESTS = 5


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed place: the file relative to the tree, what stood there and what stands there, the whole new text."""

    file: str
    before: str
    after: str
    text: str


def is_sentence(node: cst.CSTNode) -> bool:
    """Whether a node is text for people: what is said to them may be worded otherwise."""
    return isinstance(node, cst.SimpleString) and " " in node.value.strip()


def mutants_of(file: Path, tree: Path = ROOT) -> list[Callable[[], Mutant]]:
    """Return what makes each mutant of a source file: to write out a file anew for all of them takes minutes."""
    from mutmut.mutation.file_mutation import Mutation, create_mutations, deep_replace

    text = file.read_text(encoding="utf-8")
    module, mutations, _, _ = create_mutations(str(file), text)

    def made(mutation: Mutation) -> Mutant:
        changed = deep_replace(module, mutation.original_node, mutation.mutated_node)
        assert isinstance(changed, cst.Module)
        lines = list(difflib.unified_diff(text.splitlines(), changed.code.splitlines(), n=0, lineterm=""))[2:]
        before, after = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
        return Mutant(file.relative_to(tree).as_posix(), before, after, changed.code)

    inside = (mutation for mutation in mutations if mutation.contained_by_top_level_function is not None)
    return [functools.partial(made, mutation) for mutation in inside if not is_sentence(mutation.original_node)]


def drawn(files: list[Path], count: int, rng: random.Random, tree: Path = ROOT) -> Iterator[Mutant]:
    """Yield `count` mutants: a file by its length each time, then one of its mutants; none of them twice."""
    weights = [len(file.read_bytes()) for file in files]
    seen: set[tuple[str, str, str]] = set()
    for _ in range(20 * count):
        (file,) = rng.choices(files, weights)
        found = list(mutants_of(file, tree))
        if found:
            mutant = rng.choice(found)()
            key = (mutant.file, mutant.before, mutant.after)
            if key not in seen:
                seen.add(key)
                yield mutant
        if len(seen) == count:
            return


def related_tests(file: str, tree: Path = ROOT) -> list[str]:
    """Return the tests of a source file: named after it or importing it, else all of its package's folder."""
    parts = Path(file).with_suffix("").parts[1:]
    package, name = ".".join(parts[:-1]), parts[-1]
    imports = re.compile(
        rf"(from {re.escape(package)}\.{name} import|from {re.escape(package)} import .*\b{name}\b"
        rf"|import {re.escape(package)}\.{name}\b)"
    )
    tests = sorted((tree / "tests").rglob("test_*.py"))
    own = [test for test in tests if test.stem.startswith(f"test_{name}") and parts[-2] in test.parts]
    users = [test for test in tests if test not in own and imports.search(test.read_text(encoding="utf-8"))]
    folder = tree / "tests" / Path(*parts[:-1])
    chosen = own + users or ([folder] if folder.is_dir() else [tree / "tests" / parts[0]])
    return [path.relative_to(tree).as_posix() for path in chosen]


def tested(tree: Path, tests: list[str]) -> int:
    """Run quick tests in a copy of the tree; pytest's exit code, NOTICED where they hang."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow and not tier2"]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    environment.setdefault("GPS_DENIED_SHARED", str(ROOT.parent / "shared"))
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([*command, *tests], cwd=tree, env=environment, stdout=out, stderr=out)
        try:
            return process.wait(HANGS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return NOTICED


def equivalents() -> set[tuple[str, str]]:
    """Return (module, mutated line) of the mutants that no test can tell from the original."""
    entries = tomllib.loads(MUTANTS.read_text(encoding="utf-8"))["equivalent"]
    return {(entry["module"], entry["mutated"]) for entry in entries}


def commit() -> str:
    told = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return told.stdout.strip() or "no commit"


def copied(folder: Path) -> Path:
    """A copy of everything that tests look at."""
    tree = folder / "tree"
    left_out = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", "result", ".*_cache")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=left_out)
    return tree


def put(file: Path, text: str) -> None:
    """Write a source file, and forget what was compiled of it: a text as long of the same second would pass for it."""
    file.write_text(text, encoding="utf-8")
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", default=commit())
    parser.add_argument("--part", default="")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    asked = parser.parse_args()
    files = [
        file for name in PACKAGES for file in sorted((ROOT / "src" / name).rglob("*.py")) if asked.part in str(file)
    ]
    if not files:
        sys.exit(f"mutate_sample: no source file's path has '{asked.part}' in it")
    ends_s = time.monotonic() + asked.seconds
    tried, noticed = Counter[str](), Counter[str]()
    passed: dict[tuple[str, ...], bool] = {}
    known = equivalents()
    with tempfile.TemporaryDirectory(prefix="gps-denied-mutants-") as folder:
        Path(folder).chmod(0o755)
        tree = copied(Path(folder))
        for mutant in drawn(files, asked.count, random.Random(asked.seed)):
            if time.monotonic() > ends_s:
                break
            if (Path(mutant.file).stem, mutant.after) in known:
                continue
            tests = related_tests(mutant.file)
            if tuple(tests) not in passed:
                passed[tuple(tests)] = tested(tree, tests) in (0, NO_TESTS)
            if not passed[tuple(tests)]:
                sys.exit(f"mutate_sample: the tests of {mutant.file} do not pass as they are: {' '.join(tests)}")
            put(tree / mutant.file, mutant.text)
            seen = tested(tree, tests) not in (0, NO_TESTS)
            put(tree / mutant.file, (ROOT / mutant.file).read_text(encoding="utf-8"))
            package = "/".join(Path(mutant.file).parts[1:3])
            tried[package] += 1
            noticed[package] += seen
            if not seen:
                print(f"survived: {mutant.file}\n  - {mutant.before}\n  + {mutant.after}", flush=True)
    for package in sorted(tried):
        print(f"{noticed[package]:4d} of {tried[package]:4d} {package}")
    share = noticed.total() / tried.total() if tried else 0.0
    print(f"{tried.total()} mutants of seed {asked.seed[:12]}: {share:.1%} noticed, {SHARE_MIN:.0%} are needed")
    return 0 if share >= SHARE_MIN else 1


if __name__ == "__main__":
    sys.exit(main())
