"""An earlier commit's navigation against this tree's, on the same simulated recordings: a page with the table.

Usage: against_commit.py COMMIT OUT.md [--seeds A-B] [--minutes M] [--scenario NAME] [--work DIR]

The recordings are made by this tree's simulator and replayed by both: what differs is what flies, not what is flown.
The earlier commit is checked out beside, its native module built by the environment that runs this (its pins must be
the same), and its checkout removed again. `compare` judges, flight by flight and frame by frame.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from gps_denied_onboard.recorder.output_folder import MARKER_FILE
from gps_denied_operator.compare.judge import Comparison, compare
from gps_denied_operator.compare.sides import read_any

ROOT = Path(__file__).resolve().parents[1]
FIGURES = (
    "error_m.median", "error_m.p95", "error_m.max", "within_m.5", "within_m.10", "anchored_share", "coverage_95",
    "nees_mean", "reprojection_px.mean", "hazardous", "false_anchors",
)  # fmt: skip


def python(tree: Path, code: str, *arguments: str) -> str:
    """Run a line of a tree's own code; what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, cwd=tree, text=True,
                          stdout=subprocess.PIPE, check=True)  # fmt: skip
    return done.stdout


def fly(tree: Path, entry: str, out: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """`evaluate flights` of a tree; its results."""
    code = f"from gps_denied_operator.cli import {entry}; {entry}()"
    python(tree, code, "evaluate", "flights", "--seeds", asked.seeds, "--minutes", f"{asked.minutes:g}",
           "--scenario", asked.scenario, "--out", str(out))  # fmt: skip
    found: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return found


def check_out(commit: str, tree: Path) -> None:
    """The commit's tree, with its native module."""
    subprocess.run(["git", "-C", str(ROOT), "worktree", "add", "--detach", str(tree), commit], check=True)
    build, tools = tree / "build" / "native", Path(sys.executable).parent
    subprocess.run(
        [str(tools / "cmake"), "-S", str(tree / "cpp"), "-B", str(build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
         f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}", f"-DPython_EXECUTABLE={sys.executable}",
         f"-DPython_INCLUDE_DIR={sysconfig.get_path('include')}", f"-DCMAKE_INSTALL_PREFIX={tree / 'src'}"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    subprocess.run([str(tools / "cmake"), "--build", str(build), "--target", "_native"], check=True)
    subprocess.run([str(tools / "cmake"), "--install", str(build)], check=True, stdout=subprocess.DEVNULL)


def give_recordings(made: Path, tree: Path, kept: Path) -> None:
    """Recordings under the names by which the earlier tree takes them for its own, in a folder that it takes for its
    own output."""
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made.parent / MARKER_FILE, kept.parent / MARKER_FILE)
    theirs = python(tree, "from gps_denied_operator.evaluate.recordings import simulator_hash; print(simulator_hash())")
    for folder in sorted(made.iterdir()):
        target = kept / f"{folder.name.rpartition('-')[0]}-{theirs.strip()}"
        if not target.is_dir():
            shutil.copytree(folder, target, copy_function=os.link)


def page(found: Comparison, commits: tuple[str, str], asked: argparse.Namespace, cores: int) -> str:
    """The table in Markdown."""
    rows = []
    for name in (name for name in FIGURES if name in found.figures):
        one = found.figures[name]
        interval = "-" if one.low is None or one.high is None else f"{one.low:.3g} to {one.high:.3g}"
        verdict = "better" if name in found.better else "worse" if name in found.worse else "same"
        judged = verdict if name in (*found.better, *found.worse, *found.same) else "not judged"
        rows.append(f"| `{name}` | {one.a:.4g} | {one.b:.4g} | {one.b - one.a:+.3g} | {interval} | {judged} |")
    options = f"--seeds {asked.seeds} --minutes {asked.minutes:g} --scenario {asked.scenario}"
    return (
        f"# Against {asked.commit}\n"
        f"Written by `tools/against_commit.py {asked.commit} _docs/{asked.out.name} {options}` on {cores} cores. Both "
        "commits replay the same recordings, which the later one's simulator made: what differs is what flies.\n\n"
        f"| figure | {commits[0]} | {commits[1]} | difference | its 95 % interval | by `compare` |\n"
        "|---|---:|---:|---:|---:|---|\n" + "\n".join(rows) + "\n"
    )


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", default="0-9")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--scenario", default="cruise")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "against")
    asked = parser.parse_args()
    now, then, tree = asked.work / "now", asked.work / "then", asked.work / "tree"
    later = fly(ROOT, "limited_main", now, asked)
    check_out(asked.commit, tree)
    try:
        give_recordings(now / "recordings", tree, then / "recordings")
        earlier = fly(tree, "main", then, asked)
    finally:
        subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(tree)], check=True)
    found = compare(read_any(then, None), read_any(now, None))
    names = str(earlier["commit"])[:12], str(later["commit"])[:12]
    asked.out.write_text(page(found, names, asked, int(later["cores"])), encoding="utf-8")


if __name__ == "__main__":
    main()
