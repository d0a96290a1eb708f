"""Strategies by name: what an image links can be had, anything else is refused with what to do."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

from gps_denied_onboard.errors import StrategyNotLinkedError, UserError
from gps_denied_onboard.runtime_root.composition import COMPOSITION_ENV
from gps_denied_onboard.runtime_root.strategies import (
    NEEDS,
    STRATEGIES,
    Composition,
    load_composition,
    resolve,
)

PAIRS = [(choice, name) for choice, names in STRATEGIES.items() for name in names]


@pytest.mark.parametrize(("choice", "name"), PAIRS)
def test_every_name_leads_to_its_class(choice: str, name: str) -> None:
    """In a source tree each registered name gives the class that it names, but for those whose library is absent."""
    library = NEEDS.get((choice, name))
    if library is not None and importlib.util.find_spec(library) is None:
        with pytest.raises(StrategyNotLinkedError, match=rf"{choice} strategy '{name}' is not linked"):
            resolve(choice, name, load_composition())
        return
    found = resolve(choice, name, load_composition())
    module, _, attribute = STRATEGIES[choice][name].partition(":")
    assert found is getattr(importlib.import_module(module), attribute)


def test_a_strategy_that_is_not_linked() -> None:
    """The error names the strategy, the image, what is linked, and what to do."""
    image = Composition("companion-orin", {"fusion": ("eskf",)})
    with pytest.raises(StrategyNotLinkedError) as error:
        resolve("fusion", "isam2", image)
    assert str(error.value) == (
        "fusion strategy 'isam2' is not linked into image 'companion-orin'; linked are: eskf. Choose one of these in "
        "the configuration, or build an image whose composition names 'isam2'."
    )
    assert (error.value.choice, error.value.name, error.value.linked) == ("fusion", "isam2", ("eskf",))
    with pytest.raises(StrategyNotLinkedError, match="linked are: none"):
        resolve("place", "grid", image)


def test_a_strategy_whose_library_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """OKVIS2 is built only where the machine has it: elsewhere it counts as not linked, whatever the image names."""
    monkeypatch.setitem(NEEDS, ("odometry", "okvis2"), "gps_denied_onboard._absent")
    with pytest.raises(StrategyNotLinkedError, match=r"'okvis2' is not linked .*no Python module '.*\._absent'"):
        resolve("odometry", "okvis2", load_composition())


def test_composition_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A composition file limits the choice, by path or through the environment."""
    path = tmp_path / "composition.toml"
    path.write_text('image = "companion"\n[strategies]\nodometry = ["planar"]\nfusion = ["eskf"]\n')
    linked = load_composition(path)
    assert linked.image == "companion"
    assert linked.linked["fusion"] == ("eskf",)
    assert linked.linked["place"] == ()
    monkeypatch.setenv(COMPOSITION_ENV, str(path))
    assert load_composition() == linked


@pytest.mark.parametrize(
    "text", ["", 'image = "a"\n', 'image = "a"\nstrategies = 3\n', 'image = "a"\n[strategies]\nfusion = 3\n', "[["]
)
def test_damaged_composition_files(tmp_path: Path, text: str) -> None:
    """A composition file that cannot be used is refused by name; nothing is linked silently."""
    path = tmp_path / "composition.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"composition.toml cannot be used: .* Restore it from the image\."):
        load_composition(path)
