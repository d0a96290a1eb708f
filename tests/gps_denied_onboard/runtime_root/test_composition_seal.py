"""A sealed image accepts the composition file that it was built with, and no other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.runtime_root.composition import COMPOSITION_ENV, FILE, SEAL, read_composition

TEXT = 'image = "companion"\n[strategies]\nfusion = ["eskf"]\n'
KNOWN = {"fusion": ("eskf", "isam2"), "place": ("grid",)}


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    package = tmp_path / "package"
    package.mkdir()
    (package / FILE).write_text(TEXT)
    (package / SEAL).write_text(hashlib.sha256(TEXT.encode()).hexdigest() + "\n")
    return package


def test_the_built_in_file_is_used_without_being_named(sealed: Path) -> None:
    """A sealed package links what its own file names, and knows the hash of that file."""
    found = read_composition(KNOWN, None, sealed)
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
        read_composition(KNOWN, None, sealed)
    for file in (other, sealed / FILE):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in str(refusal.value)


def test_a_changed_or_missing_file_is_refused(sealed: Path) -> None:
    """Editing the built-in file, or removing it, stops the image."""
    (sealed / FILE).write_text(TEXT + "# more\n")
    with pytest.raises(UserError, match="not the one"):
        read_composition(KNOWN, None, sealed)
    (sealed / FILE).unlink()
    with pytest.raises(UserError, match="cannot be used"):
        read_composition(KNOWN, None, sealed)


def test_a_source_tree_has_no_composition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a seal and without a file nothing is restricted."""
    monkeypatch.delenv(COMPOSITION_ENV, raising=False)
    assert read_composition(KNOWN, None, tmp_path) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('fusion = ["eskf", "magic"]', r"names the fusion strategy 'magic', .* it has: eskf, isam2\."),
        ('fuson = ["eskf"]', "names the choice 'fuson'; there are: fusion, place"),
        ('fusion = "eskf"', "cannot be used: 'fusion' is not a list of names"),
    ],
)
def test_what_the_software_does_not_have_is_refused(tmp_path: Path, line: str, said: str) -> None:
    """A strategy or a choice that exists nowhere is refused by name, with what there is, before anything is built."""
    path = tmp_path / "composition.toml"
    path.write_text(f'image = "companion"\n[strategies]\n{line}\n')
    with pytest.raises(UserError, match=said):
        read_composition(KNOWN, path, tmp_path)
