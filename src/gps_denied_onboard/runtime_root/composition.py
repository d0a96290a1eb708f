"""The composition file of a sealed image: which strategies it links, and the proof that it is the file built in.

A build puts `composition.toml` and `composition.sha256` beside the package's modules. Where they lie, no other file is
accepted: not one named on the command's environment, not a changed one. A source tree has neither.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError

COMPOSITION_ENV = "GPS_DENIED_COMPOSITION"
PACKAGE = Path(__file__).resolve().parents[1]
FILE = "composition.toml"
SEAL = "composition.sha256"


@dataclass(frozen=True, slots=True)
class Composition:
    """What an image links: `linked[choice]` are names; `sha256` of its file in hexadecimal, empty for a source tree."""

    image: str
    linked: dict[str, tuple[str, ...]]
    sha256: str = ""


def read_composition(
    known: Mapping[str, Collection[str]], named: Path | None, package: Path = PACKAGE
) -> Composition | None:
    """The composition of a sealed image, else of `named`, else of the file in the environment, else None.

    known: choice -> the strategies that this software has. package: the folder that a build would have sealed.
    Raises UserError where a sealed image is given another file than its own (with both hashes), where a file cannot be
    used, and where it names what this software does not have. A build reads its image's file through this, too.
    """
    in_environment = os.environ.get(COMPOSITION_ENV)
    given = named or (Path(in_environment) if in_environment else None)
    sealed = package / SEAL
    if given is None and not sealed.exists():
        return None
    path = given or package / FILE
    try:
        data = path.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if sealed.exists() and found != (built := sealed.read_text(encoding="ascii").strip()):
            raise UserError(
                f"composition file {path} is not the one that this image was built with: its SHA-256 is {found}, the "
                f"image holds {built}. Build an image with that file, or unset {COMPOSITION_ENV} and restore the image."
            )
        tree = tomllib.loads(data.decode("utf-8"))
        image, strategies = tree["image"], tree["strategies"]
        _refuse_unknown(path, strategies, known)
        linked = {choice: tuple(strategies.get(choice, ())) for choice in known}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"composition file {path} cannot be used: {error}. Restore it from the image.") from error
    return Composition(str(image), linked, found)


def _refuse_unknown(path: Path, strategies: Mapping[str, object], known: Mapping[str, Collection[str]]) -> None:
    """UserError for a choice or a strategy that is nowhere in the software; TypeError for what is no list of names."""
    for choice, names in strategies.items():
        if not isinstance(names, list):
            raise TypeError(f"'{choice}' is not a list of names")
        if choice not in known:
            raise UserError(f"composition file {path} names the choice '{choice}'; there are: {', '.join(known)}.")
        for name in names:
            if name not in known[choice]:
                raise UserError(
                    f"composition file {path} names the {choice} strategy '{name}', which this software does not have; "
                    f"it has: {', '.join(known[choice])}. Name one of these, then build the image again."
                )
