"""The page of `tiles serve`: one canvas, no library, nothing from elsewhere, in the look of the reports."""

from __future__ import annotations

from importlib import resources

from gps_denied_operator.report.html import page_style


def preview_page() -> str:
    """The page as text."""
    folder = resources.files("gps_denied_operator.tiles").joinpath("page")
    page, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("preview.html", "preview.js"))
    return page.replace("$style", page_style()).replace("$script", script)
