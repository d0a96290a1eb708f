"""`gps-denied-onboard`: the navigation service, replay of recordings, and a check of the configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gps_denied_onboard.cli import provisioning
from gps_denied_onboard.cli.run_app import run_app
from gps_denied_onboard.cli.version_option import VersionOption
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.faults import told
from gps_denied_onboard.untrusted.limits import Limits, run_limited
from gps_denied_onboard.untrusted.text import shown

USER_ERROR_CODE = 2
MESSAGE_CHARACTERS_MAX = 20_000
REPLAY_LIMITS = Limits(memory_mb=8_000, time_s=3_600.0, time_s_per_mb=120.0)

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, add_completion=False, help="Position without satellite navigation."
)


models_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Models for inference: what may be loaded, and engines of them."
)
app.add_typer(models_app, name="models")
app.command("provision")(provisioning.provision)
app.command("verify-cache")(provisioning.verify_cache)
app.command("receive-tiles")(provisioning.receive_tiles)
app.command("describe")(provisioning.describe)


@app.callback()
def _group(version: VersionOption = False) -> None:
    """Position without satellite navigation."""


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="Folder of a recording (from gps-denied-sim fly or a flight).")],
    out: Annotated[Path, typer.Option(help="Folder for navstate.jsonl, decisions.jsonl and gps_input.tlog.")],
    config: Annotated[Path | None, typer.Option(help="Configuration (TOML); defaults without.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder where a test flight kept its pictures, if not in the recording.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Record it as a flight, too, into the same folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Fly a recording again through the same pipeline as in the air; the same bytes every time."""
    import dataclasses

    import orjson

    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.replay.flight import is_flight, replay_flight
    from gps_denied_onboard.replay.recording import replay_recording

    if is_flight(recording):
        flown = replay_flight(recording, load_config(config) if config is not None else None, out, pictures)
        for problem in flown.problems:
            print(shown(problem), file=sys.stderr)
        if json:
            print(orjson.dumps({**dataclasses.asdict(flown), "out": str(out)}).decode())
        else:
            again = "no pictures: the recorded odometry and map fixes were taken"
            if flown.pictures:
                again = f"{flown.frames_with_picture} frames were searched for again"
            print(f"{flown.identical} of {flown.recorded} recorded positions came out bit by bit; {again}")
            print(f"outputs in {out}")
        return
    if pictures is not None:
        raise UserError("--pictures goes with the recording of a flight; a simulated one holds its own.")
    summary = replay_recording(recording, load_config(config), out, record=record)
    for problem in summary.problems:
        print(shown(problem), file=sys.stderr)
    if json:
        print(orjson.dumps({**dataclasses.asdict(summary), "out": str(out)}).decode())
    else:
        print(
            f"{summary.frames} frames, {summary.anchored} of {summary.fixes} map fixes taken, "
            f"{summary.gps_input} positions sent; outputs in {out}"
        )


@app.command()
def profile(
    recording: Annotated[Path, typer.Argument(help="Folder of a recording (simulated, imported or of a flight).")],
    out: Annotated[Path | None, typer.Option(help="Folder for profile.html, profile.json and profile.pstats.")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration (TOML); defaults without.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder where a test flight kept its pictures, if not in the recording.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
) -> None:
    """Replay a recording twice on one thread, and say where the time goes: by stage and by function."""
    import orjson

    from gps_denied_onboard.cli.profile_report import PAGE_FILE, profile_object, write_profile
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.replay.profile import profile_replay

    found = profile_replay(recording, None if config is None else load_config(config), pictures)
    if out is not None:
        write_profile(recording, found, out)
    for problem in found.problems:
        print(shown(problem), file=sys.stderr)
    if json:
        print(orjson.dumps(profile_object(recording, found)).decode())
        return
    print(f"{found.frames} frames in {found.wall_s:.1f} s, {found.cpu_s:.1f} s on the processor")
    for name, seconds in sorted(found.stages_s.items(), key=lambda pair: -pair[1]):
        print(f"{name:>12} {seconds:8.2f} s {100.0 * seconds / max(found.wall_s, 1e-9):5.1f} %")
    for one in found.functions[:15]:
        print(f"{one.own_s:8.2f} s own, {one.total_s:8.2f} s in all, {one.calls:8d} calls  {one.name}")
    if out is not None:
        print(f"report: {out / PAGE_FILE}")


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="Configuration (TOML) with camera, map and autopilot address.")],
    seconds: Annotated[
        float, typer.Option(min=0.0, max=1e9, help="Stop after this time; 0 runs until it is told to stop.")
    ] = 0.0,
) -> None:
    """Navigate: camera and autopilot in, positions to the autopilot out."""
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.live.service import run_live

    loaded = load_config(config)
    try:
        run_live(loaded, seconds)
    except UserError as error:
        print(f"FATAL: {shown(error, MESSAGE_CHARACTERS_MAX, lines=True)}", file=sys.stderr)
        sys.exit(USER_ERROR_CODE)


@app.command("setup-signing")
def setup_signing(
    config: Annotated[Path, typer.Option(help="Configuration (TOML) with autopilot.signing_key and a serial address.")],
) -> None:
    """Give the ArduPilot the flight's signing key: on the ground, disarmed, over USB or serial."""
    from gps_denied_onboard.cli.signing_setup import set_up_signing
    from gps_denied_onboard.config import load_config

    set_up_signing(load_config(config))
    print("the autopilot signs with the flight's key; positions of `run` will be signed")


@app.command("check-config")
def check_config(
    config: Annotated[Path, typer.Argument(help="Configuration (TOML).")],
    replay: Annotated[
        bool,
        typer.Option("--replay", help="Good without camera, map, origin and autopilot: a replay brings its own."),
    ] = False,
) -> None:
    """Say what `run` would refuse in a configuration, exit code 2; nothing is started, no camera or autopilot asked.

    What it would start with and regret is a warning.
    """
    from gps_denied_onboard.cli.flight_check import Findings, flight_findings, replay_problems
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.live.service import missing_for_flight
    from gps_denied_onboard.runtime_root.strategies import load_composition

    loaded, composition = load_config(config), load_composition()
    found = Findings(replay_problems(loaded, composition), []) if replay else flight_findings(loaded, composition)
    problems = found.problems
    for regret in found.regrets:
        print(f"warning: {shown(regret, MESSAGE_CHARACTERS_MAX, lines=True)}", file=sys.stderr)
    for problem in problems:
        print(f"error: {shown(problem, MESSAGE_CHARACTERS_MAX, lines=True)}", file=sys.stderr)
    if problems:
        print(f"error: {config} is not good for image '{composition.image}'", file=sys.stderr)
        sys.exit(USER_ERROR_CODE)
    print(f"{config}: good for image '{composition.image}'")
    if composition.sha256:
        print(f"composition SHA-256 {composition.sha256}")
    for missing in missing_for_flight(loaded) if replay else ():
        print(f"for `run`, though: {missing}")


@models_app.command("manifest")
def models_manifest(
    directory: Annotated[Path, typer.Argument(help="Folder that holds the models (*.onnx, *.engine).")],
    out: Annotated[Path | None, typer.Option(help="Where to write it; else manifest.json in the folder.")] = None,
) -> None:
    """List the models of a folder with sizes and SHA-256: nothing else will be loaded from there."""
    from gps_denied_onboard.provisioning.model_folder import write_manifest

    written, names = write_manifest(directory, out)
    print(f"{written}: {', '.join(names)}")


@models_app.command("compile")
def models_compile(
    config: Annotated[Path, typer.Option(help="Configuration (TOML) with the models and their strategy.")],
    out: Annotated[Path, typer.Option(help="Folder for the engines and their manifest.")],
) -> None:
    """Build this host's TensorRT engines of the learned matcher's models, and their manifest."""
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.provisioning.model_folder import write_manifest
    from gps_denied_onboard.runtime_root.matchers import compile_engines
    from gps_denied_onboard.runtime_root.strategies import load_composition

    for engine in compile_engines(load_config(config), load_composition(), out):
        print(f"built {engine}")
    written, names = write_manifest(out, None)
    print(f"{written}: {', '.join(names)}")


@app.command("send-log")
def send_log(
    log: Annotated[Path, typer.Argument(help="A gps_input.tlog, for example a replay's.")],
    address: Annotated[str, typer.Argument(help="Where to: DEVICE,BAUD, udpout:HOST:PORT or tcp:HOST:PORT.")],
    speed: Annotated[float, typer.Option(help="Times the log's own pace.")] = 1.0,
) -> None:
    """On the bench: send a log's packets to a flight controller or a listener, at the pace of the log."""
    from gps_denied_onboard.autopilot.mavlink.tlog import send_tlog

    sent = send_tlog(log, address, speed, lambda note: print(f"note: {note}", file=sys.stderr))
    print(f"{sent} packets sent to {address}")


def limited_main() -> None:
    """Entry point: `main`, in a process with limits where the command opens files of others."""
    main(limited=True)


def main(*, limited: bool = False) -> None:
    """Run the command of `sys.argv`, `limited`: in a child process with the limits that it has.

    User errors become one sentence and exit code 2, a fault of our own one sentence and a file.
    """
    try:
        if limited and sys.argv[1:2] in (["replay"], ["profile"]) and "--help" not in sys.argv:
            run_limited(REPLAY_LIMITS, sys.argv[1:])
        run_app(app, "gps-denied-onboard")
    except Exception as error:
        sentence, code = told(error, "gps-denied-onboard")
        print(f"error: {shown(sentence, MESSAGE_CHARACTERS_MAX, lines=True)}", file=sys.stderr)
        sys.exit(code)


if __name__ == "__main__":
    limited_main()
