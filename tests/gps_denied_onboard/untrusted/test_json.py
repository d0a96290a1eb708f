"""JSON that a stranger wrote is read strictly or refused with a sentence."""

from __future__ import annotations

import tracemalloc

import pytest

from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.json import field, in_range, list_of, of_kind, optional, read_json


def read(data: bytes, bytes_max: int = 1 << 20, **limits: int) -> object:
    return read_json(data, "the answer", bytes_max, **limits)


def test_what_is_json_is_read() -> None:
    """Every kind of value comes back as Python's own."""
    data = '{"a": [1, -2.5, true, null, "µ"], "b": {}, "c": 18446744073709551615}'.encode()
    assert read(data) == {"a": [1, -2.5, True, None, "µ"], "b": {}, "c": 2**64 - 1}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[1,]", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a":1} x', b"NaN", b"[Infinity]", b"[-Infinity]",
        b"1e400", b"-1e99999", b"1" * 5000, b"1." + b"1" * 5000, b"18446744073709551616", b"-9223372036854775809",
        b'{"a":1,"a":2}', b'[{"b":{"\\u0061":1,"a":2}}]', b'"\\ud800"', b'{"\\udfff":1}', b'"\n"', b"'a'", b"0x10",
    ],
)  # fmt: skip
def test_what_is_not_json_or_has_two_readings_is_refused(data: bytes) -> None:
    """No numbers without end, no key twice, no half characters, no other spellings."""
    with pytest.raises(UntrustedError, match="the answer"):
        read(data)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [33, 1000, 500_000])
def test_deep_nesting_is_a_sentence(opening: bytes, depth: int) -> None:
    """However deep a value is nested, and whether it closes or not, no recursion reaches the caller."""
    closing = b"]" if opening == b"[" else b"}"
    for data in (opening * depth + b"1" + closing * depth, opening * depth):
        with pytest.raises(UntrustedError):
            read(data, 10_000_000)


def test_depth_of_exactly_the_most_is_read() -> None:
    """32 lists inside one another are read."""
    assert read(b"[" * 32 + b"]" * 32)


def test_lengths_and_counts_are_bounded_before_anything_is_made() -> None:
    """More bytes, values or letters than allowed are refused, the count before a value is made of them."""
    with pytest.raises(UntrustedError, match="bytes"):
        read(b'"' + b"a" * 100 + b'"', 50)
    with pytest.raises(UntrustedError, match="values"):
        read(b"[" + b"{}," * 1000 + b"{}]", values_max=100)
    with pytest.raises(UntrustedError, match="characters"):
        read(b'{"' + b"a" * 100 + b'":1}', text_max=99)
    data = b"[" + b"[]," * 2_000_000 + b"[]]"
    tracemalloc.start()
    try:
        with pytest.raises(UntrustedError, match="values"):
            read(data, 100_000_000)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_the_sentence_shows_no_escape_sequence() -> None:
    """What a refusal quotes of the answer cannot act on the terminal."""
    with pytest.raises(UntrustedError) as raised:
        read(b'{"\\u001b[2J\\u202e":1,"\\u001b[2J\\u202e":2}')
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("tree", "kind"),
    [({"a": True}, int), ({"a": True}, float), ({"a": "1"}, float), ({"a": 1.0}, int), ({"a": None}, str), ({}, str),
     ([], str), ({"a": {}}, list), ({"a": 1}, bool)],
)  # fmt: skip
def test_a_field_of_another_kind_is_refused(tree: object, kind: type[object]) -> None:
    """A field is there and of its kind, or the sentence names it."""
    with pytest.raises(UntrustedError):
        field(tree, "a", kind, "the answer")


def test_fields_are_looked_up_by_kind() -> None:
    """Whole numbers serve as numbers; an optional one may be absent or null; lists are of one kind."""
    tree = {"a": 3, "b": None, "c": [1, 2.5]}
    assert type(field(tree, "a", float, "x")) is float
    assert optional(tree, "b", str, "x") is None
    assert optional(tree, "z", str, "x") is None
    assert list_of(tree["c"], float, "x", 2) == [1.0, 2.5]
    assert of_kind("a", str, "x") == "a"
    assert in_range(1.0, 1.0, 2.0, "x") == 1.0
    for bad in (lambda: list_of([1, "a"], int, "x"), lambda: list_of([1], int, "x", 2), lambda: in_range(3, 1, 2, "x")):
        with pytest.raises(UntrustedError):
            bad()
