"""Every parser of outside bytes: its corpus and sixty changes of it; under atheris in the slow suite."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from .targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
CHANGES = 60
WORDS = (
    b"\0", b"\xff" * 4, b"-1", b"NaN", b"1e999", b"9" * 400, b"{", b"[" * 50, b'"', b"\\u0000", b"../", b"\n",
    b"\xef\xbb\xbf", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", "²".encode(), b"\x7f\xff\xff\xff", b"null", b",,",
)  # fmt: skip


def changed(seed: bytes, rng: random.Random) -> bytes:
    """A seed with one to four changes: bits, words, cuts, repeats."""
    data = bytearray(seed)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at:at] = rng.choice(WORDS)
        elif kind == 2:
            del data[at : at + rng.randint(1, 40)]
        elif kind == 3:
            data[at:at] = data[max(at - 30, 0) : at] * rng.randint(1, 8)
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_and_changes_of_it(name: str) -> None:
    """No exception but what the parser says, for its corpus and for changed inputs of a seed."""
    target, rng = TARGETS[name], random.Random(name)
    seeds = target.seeds()
    for seed in seeds:
        target.run(seed)
    for _ in range(CHANGES):
        target.run(changed(rng.choice(seeds), rng)[: target.bytes_max])


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_five_seconds_under_atheris(name: str) -> None:
    """The same with coverage as the guide, memory and time of an input bounded."""
    pytest.importorskip("atheris")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "5", name], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
