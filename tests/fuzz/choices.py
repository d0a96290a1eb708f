"""Decisions made from bytes, so that a fuzzer that changes bytes changes a structure.

A stranger's file with a good checksum cannot be found by chance; targets make it out of choices instead.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Reads its decisions from the front of `data`; once that is used up every decision is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def remaining(self) -> int:
        return len(self._data) - self._at

    def bytes(self, count: int) -> bytes:
        """Up to so many bytes."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def rest(self) -> builtins.bytes:
        return self.bytes(self.remaining())

    def integer(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        width = max(1, ((high - low).bit_length() + 7) // 8)
        return low + int.from_bytes(self.bytes(width)) % (high - low + 1)

    def boolean(self) -> bool:
        return bool(self.integer(0, 1))

    def pick(self, values: Sequence[T]) -> T:
        return values[self.integer(0, len(values) - 1)]
