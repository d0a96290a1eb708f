"""A build depends on what the tree holds, not on where it lies: two folders give the same store paths."""

from __future__ import annotations

import json
from pathlib import Path

from .tree import copy_tree, needs_nix, nix

pytestmark = needs_nix


def outputs(tree: Path) -> dict[str, str]:
    """Package -> its store path; nothing is built."""
    every = "packages: builtins.mapAttrs (name: package: package.outPath) packages"
    done = nix("eval", "--json", f"path:{tree}#packages.x86_64-linux", "--apply", every)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_two_folders_give_the_same_store_paths(tmp_path: Path) -> None:
    """Every package has the same path from both; a changed byte of what only operators run moves theirs alone."""
    here = outputs(copy_tree(tmp_path / "a"))
    there = copy_tree(tmp_path / "b" / "deeper")
    assert here == outputs(there)
    with (there / "src" / "gps_denied_operator" / "cli.py").open("a") as source:
        source.write("\n")
    changed = {name for name, path in outputs(there).items() if path != here[name]}
    assert changed == {"operator-rootfs", "operator-image"}
