"""Command line of the operator's workstation."""

from __future__ import annotations

import sys

import typer

from gps_denied_onboard.cli.run_app import run_app
from gps_denied_onboard.cli.version_option import VersionOption
from gps_denied_onboard.faults import told
from gps_denied_onboard.untrusted.limits import Limits, run_limited
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.cache import cli as cache_cli
from gps_denied_operator.calibrate import cli as calibrate_cli
from gps_denied_operator.companion import cli as companion_cli
from gps_denied_operator.compare import cli as compare_cli
from gps_denied_operator.evaluate import cli as evaluate_cli
from gps_denied_operator.fdr import cli as fdr_cli
from gps_denied_operator.flights import cli as flights_cli
from gps_denied_operator.images import cli as images_cli
from gps_denied_operator.keys import cli as keys_cli
from gps_denied_operator.logs import cli as logs_cli
from gps_denied_operator.missions import cli as missions_cli
from gps_denied_operator.terrain import cli as terrain_cli
from gps_denied_operator.tiles import cli as tiles_cli

INTERRUPTED = 130
"""How typer ends a command at ctrl-C: as a shell tells of one that SIGINT killed."""
TOLD_CHARACTERS_MAX = 20_000
FDR_READS = ("ls", "verify", "info", "extract", "plot", "export", "recover")
LIMITS: dict[tuple[str, ...], Limits] = {
    ("plan", "show"): Limits(4_000, 900.0, 60.0),
    ("tiles", "import"): Limits(4_000, 900.0, 20.0),
    ("tiles", "sectors"): Limits(4_000, 300.0, 60.0),
    ("report",): Limits(4_000, 900.0, 20.0),
    **{("fdr", name): Limits(4_000, 900.0, 20.0) for name in FDR_READS},
    ("calibrate", "camera"): Limits(8_000, 1_800.0, 60.0),
    ("calibrate", "mount"): Limits(8_000, 1_800.0, 60.0),
    ("evaluate", "photos"): Limits(16_000, 3_600.0, 120.0),
    ("evaluate", "gps"): Limits(8_000, 1_800.0, 120.0),
    ("import-log",): Limits(8_000, 3_600.0, 120.0),
    ("terrain", "import"): Limits(4_000, 900.0, 60.0),
    ("compare",): Limits(4_000, 900.0, 60.0),
}
"""Of the commands that open files of others: each far above what a true one of the same size takes."""

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Prepare flights without GPS, and see how good they are."
)
app.add_typer(missions_cli.app, name="plan")
app.command("build-cache")(cache_cli.build_cache)
app.command("provision")(cache_cli.provision)
app.add_typer(companion_cli.app, name="companion")
app.add_typer(keys_cli.app, name="keys")
app.add_typer(tiles_cli.app, name="tiles")
app.add_typer(terrain_cli.app, name="terrain")
app.add_typer(evaluate_cli.app, name="evaluate")
app.command("compare")(compare_cli.compare)
app.add_typer(calibrate_cli.app, name="calibrate")
app.add_typer(fdr_cli.app, name="fdr")
app.command("import-log")(logs_cli.import_log)
app.command("reloc", context_settings={"ignore_unknown_options": True})(flights_cli.reloc)
app.command("report")(flights_cli.report)
app.command("upload")(flights_cli.upload)
app.command("verify-image")(images_cli.verify_image)
app.command("flash")(images_cli.flash)


@app.callback()
def _group(version: VersionOption = False) -> None:
    """Prepare flights without GPS, and see how good they are."""


def spread(arguments: list[str], option: str = "--map") -> list[str]:
    """Repeat an option before each of its values: `--map a b` becomes `--map a --map b`."""
    out: list[str] = []
    inside = False
    for number, argument in enumerate(arguments):
        if argument == "--":
            return [*out, *arguments[number:]]
        if inside and not argument.startswith("-") and arguments[number - 1] != option:
            out.append(option)
        inside = argument == option or (inside and not argument.startswith("-"))
        out.append(argument)
    return out


def limits_of(arguments: list[str]) -> Limits | None:
    """The limits of a command by its words; None where it has none, or only its help is asked for."""
    if "--help" in arguments:
        return None
    return LIMITS.get(tuple(arguments[:2])) or LIMITS.get(tuple(arguments[:1]))


def limited_main() -> None:
    """Entry point: `main`, in a process with limits where the command opens files of others."""
    main(limited=True)


def main(*, limited: bool = False) -> None:
    """Run the command of `sys.argv`, `limited`: in a child process with the limits that it has.

    The user's mistakes become one sentence and the exit code of their kind, 2 where it has none.
    A fault of our own is one sentence, exit code 99 and a file with what developers need.
    """
    try:
        limits = limits_of(sys.argv[1:])
        if limited and limits is not None:
            run_limited(limits, sys.argv[1:])
        run_app(app, "operator-tool", spread(sys.argv[1:]))
    except Exception as error:
        sentence, code = told(error, "operator-tool")
        reason = shown(sentence, TOLD_CHARACTERS_MAX, lines=True)
        print(f"operator-tool: {reason}", file=sys.stderr)
        if "--json" in sys.argv:
            import orjson

            failed = {"outcome": "failure", "exit_code": code, "error": type(error).__name__, "reason": reason}
            print(orjson.dumps(failed).decode())
        sys.exit(code)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print("operator-tool: interrupted; what was done stays. Run the same command to go on.", file=sys.stderr)
        raise


if __name__ == "__main__":
    limited_main()
