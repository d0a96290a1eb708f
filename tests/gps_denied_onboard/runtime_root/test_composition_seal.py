"""A sealed image accepts the composition file that it was built with, and no other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.runtime_root.composition import COMPOSITION_ENV, FILE, SEAL, read_composition

TEXT = 'image = "companion"\n[strategies]\nfusion = ["eskf"]\n'


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    package = tmp_path / "package"
    package.mkdir()
    (package / FILE).write_text(TEXT)
    (package / SEAL).write_text(hashlib.sha256(TEXT.encode()).hexdigest() + "\n")
    return package


def test_the_built_in_file_is_used_without_being_named(sealed: Path) -> None:
    """A sealed package links what its own file names, and knows the hash of that file."""
    found = read_composition(("fusion", "place"), None, sealed)
    assert found is not None
    assert (found.image, found.linked) == ("companion", {"fusion": ("eskf",), "place": ()})
    assert found.sha256 == (sealed / SEAL).read_text().strip()


def test_another_file_is_refused_with_both_hashes(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file from the environment that differs in one word is refused; the sentence holds its hash and the image's."""
    other = tmp_path / "other.toml"
    other.write_text(TEXT.replace("eskf", "isam2"))
    monkeypatch.setenv(COMPOSITION_ENV, str(other))
    with pytest.raises(UserError) as refusal:
        read_composition(("fusion",), None, sealed)
    for file in (other, sealed / FILE):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in str(refusal.value)


def test_a_changed_or_missing_file_is_refused(sealed: Path) -> None:
    """Editing the built-in file, or removing it, stops the image."""
    (sealed / FILE).write_text(TEXT + "# more\n")
    with pytest.raises(UserError, match="not the one"):
        read_composition(("fusion",), None, sealed)
    (sealed / FILE).unlink()
    with pytest.raises(UserError, match="cannot be used"):
        read_composition(("fusion",), None, sealed)


def test_a_source_tree_has_no_composition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a seal and without a file nothing is restricted."""
    monkeypatch.delenv(COMPOSITION_ENV, raising=False)
    assert read_composition(("fusion",), None, tmp_path) is None
