"""The residual plots of a calibration: one page each, drawn without a script, in the look of the reports."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_operator.calibrate.boresight import MountCalibration, mount_toml
from gps_denied_operator.calibrate.camera import CameraCalibration, camera_toml
from gps_denied_operator.report.html import PHONE_PX, cards, drawn_for_both, plain_page

ARROWS_MAX = 3000
AXES = (("about the nose (roll)", "var(--anchored)"), ("about the right wing (pitch)", "var(--reckoned)"))
SVG = 'class="plot"'


def camera_page(found: CameraCalibration, source: str) -> str:
    """Residual arrows over the picture, RMS of each view, the numbers and the table for the configuration."""
    camera = found.camera
    rows = [
        ("residual RMS", f"{found.rms_px:.3f}", "px", "of all corners"),
        ("check RMS", f"{found.check_rms_px:.3f}", "px", "pictures outside of the fit"),
        ("focal length", f"{camera.fx_px:.1f}", "px", f"± {found.focal_sigma_px:.2f} px"),
        ("centre", f"{camera.cx_px:.1f}, {camera.cy_px:.1f}", "px", f"± {found.centre_sigma_px:.2f} px"),
        ("picture covered", f"{100.0 * found.covered:.0f}", "%", f"{len(found.view_rms_px)} pictures used"),
    ]
    out = found.left_out
    left = f'<p class="note">Left out: {html.escape(", ".join(out))}.</p>' if out else ""
    body = (
        cards(rows)
        + "<section><h2>Residuals</h2><p class='note'>Observed minus predicted corner, 100 times as long. A pattern "
        "means that the lens is of another model, or the board is not flat.</p>" + _arrows(found) + "</section>"
        + "<section class='two'>" + _views(found.view_rms_px) + f"<div><h2>For the configuration</h2>"
        f"<pre><code>{html.escape(camera_toml(camera))}</code></pre>{left}</div></section>"
    )  # fmt: skip
    facts = [("pictures", source), ("size", f"{camera.width_px} × {camera.height_px}"),
             ("lens", camera.distortion_model)]  # fmt: skip
    said = f"The lens is known: {found.rms_px:.2f} px RMS, {found.check_rms_px:.2f} px on pictures outside of the fit."
    return plain_page("Camera calibration", "calibration", facts, "good", said, body)


def mount_page(found: MountCalibration, source: str) -> str:
    """Each picture's deviation over time, the numbers and the line for the configuration."""
    rows = [
        (name, f"{turn:+.2f}", "°", f"± {sigma:.2f}° (1σ)")
        for (name, _), turn, sigma in zip(AXES, found.turn_deg, found.sigma_deg, strict=True)
    ]
    rows += [("about down", f"{found.heading_deg:+.2f}", "°", "mount and compass: not applied"),
             ("tilt", f"{found.tilt_deg:.2f}", "°", "from the nominal view"),
             ("pictures", str(len(found.looks)), "", "with a map fix and good GPS")]  # fmt: skip
    plots = "".join(
        f"<section><h2>Deviation {html.escape(name)}</h2>"
        + drawn_for_both(partial(_deviation, found, axis, colour))
        + "</section>"
        for axis, (name, colour) in enumerate(AXES)
    )
    toml = f"<section><h2>For the configuration</h2><pre><code>{html.escape(mount_toml(found))}</code></pre></section>"
    said = (
        f"The camera looks {found.tilt_deg:.2f}° beside its nominal direction, "
        f"known to {float(found.sigma_deg.max()):.2f}° (1σ)."
    )
    return plain_page(
        "Mount calibration", "calibration", [("flight", source)], "good", said, cards(rows) + plots + toml
    )


def _arrows(found: CameraCalibration) -> str:
    wide, high = found.camera.width_px, found.camera.height_px
    stride = max(1, math.ceil(len(found.pixel_px) / ARROWS_MAX))
    tips = found.pixel_px + 100.0 * found.residual_px
    lines = "".join(
        f"M{x:.0f},{y:.0f}L{tx:.0f},{ty:.0f}"
        for (x, y), (tx, ty) in zip(found.pixel_px[::stride], tips[::stride], strict=True)
    )
    dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{wide / 500:.1f}"/>' for x, y in found.pixel_px[::stride])
    return (
        f'<svg id="residuals" viewBox="0 0 {wide} {high}" role="img" aria-label="residuals in pixels of '
        f'the picture, 100 times as long" {SVG}>'
        f'<g style="fill: var(--ink)">{dots}</g>'
        f'<path d="{lines}" style="stroke: var(--bad)" stroke-width="{wide / 700:.2f}" fill="none"/>'
        f"{_picture_scale(wide, high)}</svg>"
    )


def _picture_scale(wide: int, high: int) -> str:
    """Size of the picture in pixels along its edges, and how long one pixel of residual is drawn."""
    size, x, y = wide / 55.0, wide / 60.0, high - wide / 60.0
    text = f'class="sized" style="--size: {size:.1f}px"'
    return (
        f'<text x="{wide - x:.0f}" y="{y:.0f}" text-anchor="end" {text}>{wide} × {high} px</text>'
        f'<path d="M{x:.0f},{y:.0f} h100" style="stroke: var(--bad)" stroke-width="{wide / 350:.1f}"/>'
        f'<text x="{x + 110:.0f}" y="{y + size / 3:.0f}" {text}>1 px of residual</text>'
    )


def _views(view_rms_px: dict[str, float]) -> str:
    most = max(view_rms_px.values(), default=1.0) or 1.0
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td class='r'><b>{rms:.3f}</b></td><td style='width:45%'>"
        f"<i class='key' style='width:{100.0 * rms / most:.0f}%;background:var(--anchored)'></i></td></tr>"
        for name, rms in view_rms_px.items()
    )
    head = "<tr><th>picture</th><th class='r'>RMS, px</th><th></th></tr>"
    table = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
    return f"<div><h2>Pictures</h2><div class='scroll'>{table}</div></div>"


def _deviation(found: MountCalibration, axis: int, colour: str, wide: float) -> str:
    """Dots of one axis over time, with the answer's line and its 95 % band; faint where the weight is low."""
    small = wide <= PHONE_PX
    high, left, foot, edge = 230.0, 50.0 if small else 92.0, 46.0, 12 if small else 20
    seconds = np.array([look.t_ns for look in found.looks]) / 1e9
    seconds -= seconds[0]
    values = found.residual_deg[:, axis]
    reach = max(float(np.percentile(np.abs(values), 98)) * 1.2, 0.2)
    x = left + seconds / max(float(seconds[-1]), 1.0) * (wide - left - 12.0)
    y = _height(np.clip(values, -reach, reach), reach, high, foot)
    band = _height(np.array([1.96, -1.96]) * found.sigma_deg[axis], reach, high, foot)
    middle = (high - foot) / 2.0
    dots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{2 if small else 3}" fill-opacity="{0.25 + 0.75 * w:.2f}"/>'
        for a, b, w in zip(x, y, found.weight, strict=True)
    )
    marks = [(reach, 12.0), (0.0, middle + 4.0), (-reach, high - foot - 2.0)]
    texts = "".join(
        f'<text x="{left - 8}" y="{at:.0f}" text-anchor="end" class="soft">{value:+.1f}</text>' for value, at in marks
    )
    texts += (
        f'<text x="{edge}" y="{middle}" text-anchor="middle" transform="rotate(-90 {edge} {middle})">'
        "deviation, °</text>"
        f'<text x="{(left + wide) / 2}" y="{high - 4}" text-anchor="middle">time since the first picture, s</text>'
    )
    return (
        f'<svg viewBox="0 0 {wide:g} {high:g}" role="img" '
        f'aria-label="deviation in degrees over time in seconds" {SVG}>'
        f'<rect x="{left}" y="{band[0]:.1f}" width="{wide - left - 12.0}" height="{band[1] - band[0]:.1f}" '
        f'style="fill: var(--chosen)"/><path d="M{left},{middle} H{wide - 12.0}" class="axis" stroke-width="1.5"/>'
        f'<g style="fill: {colour}">{dots}</g>{texts}'
        f'<text x="{left}" y="{high - 26}" class="soft">0</text>'
        f'<text x="{wide - 12}" y="{high - 26}" text-anchor="end" class="soft">{float(seconds[-1]):.0f}</text>'
        "</svg>"
    )


def _height(values: FloatArray | Sequence[float], reach: float, high: float, foot: float) -> FloatArray:
    middle = (high - foot) / 2.0
    return np.asarray(middle - np.asarray(values) / reach * (middle - 6.0), dtype=float)
