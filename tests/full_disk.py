"""A disk that is full for one file: /dev/full in its place, whose writes the kernel answers as a full disk's."""

from __future__ import annotations

import os

import pytest


def fill_for(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tile store's file whose path ends so is made as ever, and then lies on /dev/full."""
    open_file = os.open

    def opened(path: str, flags: int, *mode: int, **options: int) -> int:
        descriptor = open_file(path, flags, *mode, **options)
        if str(path).endswith(ending):
            full = open_file("/dev/full", os.O_WRONLY)
            os.dup2(full, descriptor, inheritable=False)
            os.close(full)
        return descriptor

    monkeypatch.setattr("gps_denied_onboard.tiles.files.os.open", opened)
