"""What `nix flake check` must refuse: faults planted in a copy of the tree; the check that each breaks is built."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .tree import copy_tree, needs_nix, nix, outputs

pytestmark = [pytest.mark.slow, needs_nix]


def build(tree: Path, check: str) -> subprocess.CompletedProcess[str]:
    """Build one check of a tree."""
    return nix("build", "--no-link", "--print-build-logs", f"path:{tree}#checks.x86_64-linux.{check}")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the checks read, in which the pins' check passes; skips where nix/prefetch has not been run."""
    copy = copy_tree(tmp_path / "tree")
    done = build(copy, "pins")
    if "is-missing" in done.stderr:
        pytest.skip("the pins are not in the store: run nix/prefetch")
    assert done.returncode == 0, done.stderr
    return copy


def test_the_tree_as_it_is_passes(tree: Path) -> None:
    """The copy without a fault passes the check of the companion's contents."""
    done = build(tree, "companion-contents")
    assert done.returncode == 0, done.stderr


def test_onboard_that_imports_the_operator_is_refused(tree: Path) -> None:
    """One import of the operator's package in a file that flies fails the check, which names the file."""
    file = tree / "src" / "gps_denied_onboard" / "geometry" / "geodesy.py"
    file.write_text("import gps_denied_operator\n" + file.read_text())
    done = build(tree, "companion-contents")
    assert done.returncode != 0
    assert "gps_denied_onboard/geometry/geodesy.py" in done.stderr


def test_a_forbidden_file_is_refused(tree: Path) -> None:
    """A key among the onboard files fails the check, which names it."""
    (tree / "src" / "gps_denied_onboard" / "upload.key").write_text("secret")
    done = build(tree, "companion-contents")
    assert done.returncode != 0
    assert "upload.key" in done.stderr


def test_a_strategy_that_is_nowhere_is_refused(tree: Path) -> None:
    """A composition that links what the software does not have fails before anything else of the image is built."""
    file = tree / "images" / "companion" / "composition.toml"
    file.write_text(file.read_text().replace('fusion = ["isam2"', 'fusion = ["magic"'))
    done = build(tree, "companion-composition")
    assert done.returncode != 0
    assert "names the fusion strategy 'magic'" in done.stderr
    assert "Name one of these, then build the image again." in done.stderr


def test_the_operators_package_in_the_companions_composition_is_refused(tree: Path) -> None:
    """The file sets come from the composition: naming the operator's package there is seen by the companion's list."""
    file = tree / "images" / "companion" / "composition.toml"
    file.write_text(file.read_text().replace('["gps_denied_onboard"]', '["gps_denied_onboard", "gps_denied_operator"]'))
    done = build(tree, "companion-contents")
    assert done.returncode != 0
    assert "forbidden by 'path *gps_denied_operator*'" in done.stderr


def test_a_library_that_operators_must_not_have_is_refused(tree: Path) -> None:
    """The whole operator image is looked at: a library of it that the list names is found, and its users with it."""
    outputs("operator-rootfs")
    with (tree / "images" / "operator" / "forbidden.txt").open("a") as page:
        page.write("import shapely\n")
    done = build(tree, "operator-modules")
    assert done.returncode != 0
    assert "site-packages/shapely (import shapely)" in done.stderr
    assert "shapely is loaded by the image's modules" in done.stderr


def test_a_board_without_its_vendors_pins_says_what_is_missing(tree: Path) -> None:
    """The Jetson's image names the pin file that is not there, the packages, and the command that pins them."""
    done = nix("build", "--no-link", "--print-build-logs", f"path:{tree}#companion-image-jetson-orin")
    assert done.returncode != 0
    assert "images/boards/jetson-orin/pin" in done.stderr
    assert "nvidia-l4t-kernel" in done.stderr


def test_a_changed_pin_is_refused(tree: Path) -> None:
    """A pin whose hash was changed is in no store: the check fails, names the file and what to run."""
    page = tree / "nix" / "pins" / "debs.json"
    pins = json.loads(page.read_text())
    name = pins["sets"]["seed"][0]
    pins["files"][name]["sha256"] = "0" * 64
    page.write_text(json.dumps(pins))
    done = build(tree, "pins")
    assert done.returncode != 0
    assert f"{name}-is-missing/run-nix-prefetch-first" in done.stderr
