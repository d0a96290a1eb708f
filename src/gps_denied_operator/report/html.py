"""A report as one HTML file: style, script, numbers and pictures inside, nothing loaded from elsewhere."""

from __future__ import annotations

import html
import string
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path

import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_operator.report.model import Report
from gps_denied_operator.report.payload import payload
from gps_denied_operator.report.verdict import verdict

LAPTOP_PX, PHONE_PX = 1000.0, 360.0
"""Widths that a drawing is made for."""
SCRIPTS = ("base.js", "charts.js", "map.js", "story.js", "page.js")


def render(report: Report) -> str:
    """The page. Names of files and flights may hold anything: text is escaped, data cannot end its script element."""
    level, sentence = verdict(report.figures, report.seeing)
    made_with = [(name, str(report.figures[name])) for name in ("commit", "cores")]
    facts = [*report.facts, *(fact for fact in made_with if fact[1] not in ("-", "0"))]
    return string.Template(_part("page.html")).substitute(
        title=html.escape(report.title),
        meta=" ".join(_fact(name, value) for name, value in facts),
        level=report.level or level,
        eyebrow="evaluation" if report.judged else "recording",
        verdict=html.escape(report.verdict or sentence),
        style=page_style(),
        data=_embedded(payload(report)),
        script="\n".join(_part(name) for name in SCRIPTS),
    )


def plain_page(
    title: str, eyebrow: str, facts: Sequence[tuple[str, str]], level: str, verdict: str, body_html: str
) -> str:
    """A page in the same look without a script. `body_html` is put in as it is; the rest is escaped."""
    return string.Template(_part("plain.html")).substitute(
        title=html.escape(title),
        eyebrow=html.escape(eyebrow),
        meta=" ".join(_fact(name, value) for name, value in facts),
        level=level,
        verdict=html.escape(verdict),
        style=page_style(),
        body=body_html,
    )


def cards(rows: Iterable[tuple[str, str, str, str]]) -> str:
    """Cards of (name, value, unit, note), put in as they are: the few figures that stand large at the head."""
    made = "".join(
        f'<div class="card"><div class="k">{name}</div><div class="v">{value}<small>{unit}</small></div>'
        f'<div class="n">{note}</div></div>'
        for name, value, unit, note in rows
    )
    return f'<div class="cards">{made}</div>'


def drawn_for_both(draw: Callable[[float], str]) -> str:
    """A drawing made for a laptop's width and for a phone's; the style sheet shows the one that fits."""
    return f'<div class="laptop">{draw(LAPTOP_PX)}</div><div class="phone">{draw(PHONE_PX)}</div>'


def page_style() -> str:
    """The style sheet of all pages."""
    return _part("page.css")


def check_page_name(out: Path) -> None:
    """UserError where a page cannot have this name; before the work that a page takes."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {out} must be the name of an HTML file.")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}; make it first.")


def write_page(page: str, out: Path) -> None:
    """Write a page whole or not at all. UserError where that is not possible."""
    check_page_name(out)
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(out)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise UserError(f"cannot write {out}: {error.strerror}; give another --out.") from error


def _fact(name: str, value: str) -> str:
    tag = "code" if name == "command" else "b"
    return f"<span>{html.escape(name)} <{tag}>{html.escape(value)}</{tag}></span>"


def _part(name: str) -> str:
    return resources.files("gps_denied_operator.report").joinpath("page", name).read_text(encoding="utf-8")


def _embedded(value: object) -> str:
    """JSON that is safe inside a script element: no "<" can close or open one, no U+2028 can end a line."""
    text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode("utf-8")  # keys may be enums
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
