"""Foreign text is shown without acting on the terminal that shows it."""

from __future__ import annotations

import os

import pytest

from gps_denied_onboard.untrusted.text import shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plain text, å and 北", "plain text, å and 北"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nb\tc\x00\x7f", "a\\x0d\\x0ab\\x09c\\x00\\x7f"),
        ("abc\u202efdp.exe\u2066", "abc\\u202efdp.exe\\u2066"),
        ("a\u200bb\u2028c\xa0d\ufeff", "a\\u200bb\\u2028c\\xa0d\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
        (os.fsdecode(b"\xff.png"), "\\udcff.png"),
        (b"\xff\x1b", "\\xff\\x1b"),
        (ValueError("\x1b"), "\\x1b"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_what_cannot_be_printed_is_written_as_its_number(text: object, told: str) -> None:
    """Controls, direction, joiners, odd spaces and half characters become numbers; letters stay."""
    assert shown(text) == told


def test_accents_do_not_pile_up() -> None:
    """A letter with a hundred accents does not paint over other lines."""
    assert shown("a" + "\u0300" * 100, 1000).count("\u0300") == 2


def test_long_text_is_cut_and_says_so() -> None:
    """What is too long keeps its beginning and tells its length, bytes as well."""
    assert shown("a" * 1000, 10) == "aaaaaaaaaa... (1000 characters)"
    assert shown(b"a" * 1000, 10) == "aaaaaaaaaa... (1000 bytes)"
    assert len(shown("\x1b" * 10_000_000)) < 2000


def test_lines_stay_where_asked() -> None:
    """Text of several lines keeps line feeds and tabs, and nothing else that moves the cursor."""
    assert shown("a\n\tb\rc\x0b", lines=True) == "a\n\tb\\x0dc\\x0b"
