"""The page of `profile`: stages and functions, one file, nothing loaded from elsewhere."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import orjson

from gps_denied_onboard.recorder.output_folder import OutputFolder
from gps_denied_onboard.replay.profile import FunctionTime, ReplayProfile
from gps_denied_onboard.untrusted.text import shown

KIND = "profile"
PAGE_FILE, JSON_FILE, STATS_FILE = "profile.html", "profile.json", "profile.pstats"
FUNCTIONS_SHOWN = 40
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    ":root{color-scheme:light dark;background:Canvas;color:CanvasText}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem;border-bottom:1px solid #8884;text-align:left}"
    ".r{text-align:right;font-variant-numeric:tabular-nums}td.f{font-family:ui-monospace,monospace;font-size:13px;"
    "overflow-wrap:anywhere}i{display:inline-block;height:.8em;background:#2f7fd0}"
)


def profile_object(recording: Path, found: ReplayProfile) -> dict[str, Any]:
    """The JSON object of the command."""
    return {
        "recording": str(recording),
        "frames": found.frames,
        "wall_s": round(found.wall_s, 3),
        "cpu_s": round(found.cpu_s, 3),
        "stages": {name: {"seconds": round(s, 4), "share": round(s / max(found.wall_s, 1e-9), 4)}
                   for name, s in found.stages_s.items()},
        "profiled_s": round(found.profiled_s, 3),
        "functions": [
            {"function": one.name, "calls": one.calls, "own_s": round(one.own_s, 4), "total_s": round(one.total_s, 4)}
            for one in found.functions[:FUNCTIONS_SHOWN]
        ],
        "problems": list(found.problems),
    }  # fmt: skip


def write_profile(recording: Path, found: ReplayProfile, out: Path) -> None:
    """The page, the object and the profile itself (for pstats) into a folder that appears whole."""
    with OutputFolder(out, KIND) as folder:
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        (folder / JSON_FILE).write_bytes(orjson.dumps(profile_object(recording, found), option=options))
        (folder / PAGE_FILE).write_text(profile_page(recording, found), encoding="utf-8")
        found.stats.dump_stats(folder / STATS_FILE)


def profile_page(recording: Path, found: ReplayProfile) -> str:
    """Stages with their shares; functions by their own time, and by that of all they call."""
    title = f"Profile of {html.escape(shown(recording.name, 100))}"
    most = max(found.stages_s.values(), default=0.0) or 1.0
    wall_s, frames = max(found.wall_s, 1e-9), max(found.frames, 1)
    stages = "".join(
        f"<tr><td>{html.escape(name)}</td><td class=r>{s:.2f}</td><td class=r>{100 * s / wall_s:.1f}</td>"
        f"<td class=r>{1000 * s / frames:.1f}</td>"
        f"<td style='width:35%'><i style='width:{100 * s / most:.0f}%'></i></td></tr>"
        for name, s in sorted(found.stages_s.items(), key=lambda pair: -pair[1])
    )
    by_total = sorted(found.functions, key=lambda one: -one.total_s)
    problems = "".join(f"<li>{html.escape(shown(line, 200))}</li>" for line in found.problems)
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{title}</title>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{found.frames} frames in {found.wall_s:.1f} s on one thread, of the processor {found.cpu_s:.1f} s.</p>"
        "<h2>Stages</h2><table><tr><th>stage</th><th class=r>s</th><th class=r>%</th><th class=r>ms a frame</th><th>"
        f"</th></tr>{stages}</table><p>rest: reading, decoding of pictures, integrity, output.</p>"
        f"<h2>Functions by their own time</h2><p>From a second run of {found.profiled_s:.1f} s under the profiler, "
        "which makes Python slower than it is.</p>"
        f"{_table(found.functions[:FUNCTIONS_SHOWN])}<h2>Functions with all that they call</h2>"
        f"{_table(tuple(by_total[:FUNCTIONS_SHOWN]))}"
        + (f"<h2>Could not be used</h2><ul>{problems}</ul>" if problems else "")
        + "</body></html>"
    )


def _table(functions: tuple[FunctionTime, ...]) -> str:
    rows = "".join(
        f"<tr><td class=f>{html.escape(one.name)}</td><td class=r>{one.calls}</td><td class=r>{one.own_s:.3f}</td>"
        f"<td class=r>{one.total_s:.3f}</td></tr>"
        for one in functions
    )
    head = "<tr><th>function</th><th class=r>calls</th><th class=r>own, s</th><th class=r>with calls, s</th></tr>"
    return f"<table>{head}{rows}</table>"
