"""A flight as one HTML file: the report of `operator-tool report` without truth, the map behind it where it is here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def plot_flight(
    folder: Path, out: Path, progress: Callable[[int], None] = lambda _done: None, tiles: Path | None = None
) -> int:
    """Write the page of a flight; returns how many moments it shows. UserError when there is no record in it.

    tiles: a folder of <z>/<x>/<y>.jpg to draw; None: the map that it was flown with, where it is on this machine.
    """
    from gps_denied_operator.report.flight_report import report_flight
    from gps_denied_operator.report.html import check_page_name, write_page

    check_page_name(out)
    made = report_flight(folder, None, tiles, progress)
    write_page(made.page, out)
    return made.moments
