"""Showing foreign text: whatever a stranger wrote becomes one line that a terminal, a log or a page can take."""

from __future__ import annotations

import unicodedata

SHOWN_CHARACTERS_MAX = 400
_MARKS_MAX = 2
"""Combining marks on one letter; more of them paint over the lines above and below."""


def shown(text: object, at_most: int = SHOWN_CHARACTERS_MAX, *, lines: bool = False) -> str:
    """Foreign text for people: what cannot be printed becomes its number, what is too long is cut and says so.

    Control characters and escape sequences, characters that turn the direction of writing, joiners, spaces that are
    not U+0020, lone surrogates (names of files) and piled-up accents become `\\x1b`, `\\u202e` and the like. With
    `lines`, line feeds and tabs stay. Bytes are read as UTF-8; any other object by its `str`.
    """
    if isinstance(text, bytes | bytearray | memoryview):
        size = len(text)
        words = bytes(text[: 4 * at_most + 4]).decode("utf-8", "backslashreplace")
        cut = len(words) > at_most or size > 4 * at_most + 4
    else:
        words = text if isinstance(text, str) else str(text)
        size, cut = len(words), len(words) > at_most
    words = words[:at_most]
    if not words.isascii() or not words.isprintable():
        words = _escaped(words, "\n\t" if lines else "")
    unit = "bytes" if isinstance(text, bytes | bytearray | memoryview) else "characters"
    return f"{words}... ({size} {unit})" if cut else words


def whole_number(text: str, at_most: int) -> int | None:
    """The number that a name of a file or folder is, in the digits 0-9 and not beyond `at_most`; None for any other."""
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1
    return value if 0 <= value <= at_most else None


def _escaped(words: str, kept: str) -> str:
    out: list[str] = []
    marks = 0
    for letter in words:
        marks = marks + 1 if unicodedata.category(letter) in {"Mn", "Me"} else 0
        if letter in kept or (letter.isprintable() and marks <= _MARKS_MAX):
            out.append(letter)
        else:
            out.append(_number(ord(letter)))
    return "".join(out)


def _number(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
