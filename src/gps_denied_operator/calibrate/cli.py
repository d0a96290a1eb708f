"""`operator-tool calibrate`: the camera's lens and how it is mounted, as the configuration takes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gps_denied_onboard.errors import UserError
from gps_denied_operator.console import JsonOption, print_json

if TYPE_CHECKING:
    from gps_denied_operator.calibrate.camera import Board

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Calibrate the camera and its mount.")
PageOption = Annotated[Path, typer.Option(help="HTML file for the residual plots.")]
TomlOption = Annotated[Path | None, typer.Option(help="TOML file for the configuration's [camera]; must not exist.")]


@app.callback()
def calibrate() -> None:
    """Calibrate the camera and its mount."""


@app.command()
def camera(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Pictures of the board, or their folder.")],
    board: Annotated[
        str, typer.Option(help="Squares of the board, COLUMNSxROWS; a chessboard of 10x7 has 9x6 corners.")
    ],
    square_mm: Annotated[float, typer.Option("--square", help="Side of a square in millimetres.")],
    marker_mm: Annotated[
        float, typer.Option("--marker", min=0.0, max=1e4, help="ChArUco: side of a marker in millimetres.")
    ] = 0.0,
    dictionary: Annotated[str, typer.Option(help="ChArUco: its dictionary, as DICT_5X5_100.")] = "",
    model: Annotated[str, typer.Option(help="Lens: brown, or fisheye for more than about 120 degrees.")] = "brown",
    out: TomlOption = None,
    page: PageOption = Path("camera.html"),
    json: JsonOption = False,
) -> None:
    """Find the lens from pictures of a chessboard or ChArUco board; exit code 70 where they cannot tell it."""
    from gps_denied_operator.calibrate.camera import calibrate_camera, camera_toml, find_views, picture_paths
    from gps_denied_operator.calibrate.pages import camera_page
    from gps_denied_operator.console import progress_bar
    from gps_denied_operator.report.html import check_page_name, write_page

    made = _board(board, square_mm, marker_mm, dictionary)
    if model not in ("brown", "fisheye"):
        raise UserError(f"--model {model}: give brown or fisheye.")
    check_page_name(page)
    _check_free(out)
    paths = picture_paths(images)
    with progress_bar("pictures", quiet=json) as progress:
        views, without, size_px = find_views(paths, made, progress)
    found = calibrate_camera(views, size_px, model, without)
    write_page(camera_page(found, str(paths[0].parent)), page)
    toml = camera_toml(found.camera)
    _write_toml(toml, out)
    if json:
        figures = {name: getattr(found, name) for name in ("rms_px", "check_rms_px", "focal_sigma_px", "covered")}
        told: dict[str, Any] = {"pictures_used": len(found.view_rms_px), "pictures_given": len(paths)}
        told |= {"left_out": list(found.left_out), "page": str(page)}
        print_json({"outcome": "success", **figures, **told, "toml": toml})
    else:
        left = f", left out: {', '.join(found.left_out)}" if found.left_out else ""
        used = f"{len(found.view_rms_px)} of {len(paths)} pictures{left}"
        typer.echo(toml + f"# {found.rms_px:.3f} px RMS of {used}; residuals in {page}")


@app.command()
def mount(
    flight: Annotated[Path, typer.Argument(metavar="FLIGHT", help="Folder of a recorded flight with good GPS.")],
    out: TomlOption = None,
    page: PageOption = Path("mount.html"),
    json: JsonOption = False,
) -> None:
    """Find how the camera is tilted in the body from a flight over the map with good GPS; refused with exit code 70."""
    from gps_denied_operator.calibrate.boresight import calibrate_mount, mount_toml
    from gps_denied_operator.calibrate.flight_matches import read_looks
    from gps_denied_operator.calibrate.pages import mount_page
    from gps_denied_operator.console import FrameBar
    from gps_denied_operator.report.html import check_page_name, write_page

    check_page_name(page)
    _check_free(out)
    with FrameBar(None, "records") as bar:
        looks, flown = read_looks(flight, bar.show)
    found = calibrate_mount(looks, flown.mount)
    write_page(mount_page(found, flight.name), page)
    toml = mount_toml(found)
    _write_toml(toml, out)
    if json:
        figures = {
            "turn_deg": found.turn_deg.tolist(),
            "sigma_deg": found.sigma_deg.tolist(),
            "heading_deg": found.heading_deg,
        }
        told = {"tilt_deg": found.tilt_deg, "pictures_used": len(found.looks), "page": str(page)}
        print_json({"outcome": "success", **figures, **told, "toml": toml})
    else:
        typer.echo(toml + f"# tilted by {found.tilt_deg:.2f} degrees, known to {found.sigma_deg.max():.2f}; {page}")


def _board(text: str, square_mm: float, marker_mm: float, dictionary: str) -> Board:
    from gps_denied_operator.calibrate.camera import Board

    columns, _, rows = text.lower().partition("x")
    if not (columns.isdecimal() and rows.isdecimal() and 3 <= int(columns) <= 60 and 3 <= int(rows) <= 60):
        raise UserError(f"--board {text}: give the number of squares as COLUMNSxROWS, for example 10x7.")
    if not 0.0 < square_mm < 10_000.0:
        raise UserError(f"--square {square_mm:g}: give the side of a square in millimetres.")
    if bool(marker_mm) != bool(dictionary):
        raise UserError("A ChArUco board needs both --marker and --dictionary; a chessboard neither.")
    return Board(int(columns), int(rows), square_mm / 1000.0, marker_mm / 1000.0, dictionary)


def _check_free(out: Path | None) -> None:
    if out is not None and out.exists():
        raise UserError(f"--out {out} is there already; give a new file, so that no calibration is lost.")


def _write_toml(toml: str, out: Path | None) -> None:
    if out is None:
        return
    try:
        with out.open("x", encoding="utf-8") as stream:
            stream.write(toml)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; give another --out.") from error
