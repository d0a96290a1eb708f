"""`operator-tool fdr`: what the flight recorder kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.console import FrameBar, JsonOption, print_json

if TYPE_CHECKING:
    from gps_denied_onboard.recorder.verify import Verdict

LINE_CHARACTERS_MAX = 1_000_000

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Read what the flight recorder kept.")

FlightArgument = Annotated[Path, typer.Argument(help="Folder of one flight.")]
FromOption = Annotated[float, typer.Option("--from", min=0.0, max=1e9, help="Seconds after the flight's first record.")]
ToOption = Annotated[
    float, typer.Option("--to", min=0.0, max=1e9, help="Seconds after the flight's first record; 0: to the end.")
]
KindOption = Annotated[list[str] | None, typer.Option("--kind", help="Only this kind of record; may be repeated.")]
OutOption = Annotated[Path, typer.Option(help="What to write.")]


@app.command("ls")
def list_flights(
    root: Annotated[Path, typer.Argument(help="Flight root: the folder that holds the flights.")],
    json: JsonOption = False,
) -> None:
    """List the flights of a flight root, newest last, without verifying them."""
    from gps_denied_operator.fdr.overview import flights

    found = flights(root)
    if json:
        print_json({"flights": found})
        return
    for row in found:
        size = f"{row['seconds']:9.1f} s {row['bytes'] / 1e6:9.1f} MB"
        print(f"{shown(row['flight_id'], 80):32} {size}  {shown(row['end'], 80)}")
    if not found:
        print(f"no flights in {root}")


@app.command()
def verify(
    flight: FlightArgument,
    fingerprint: Annotated[str, typer.Option(help="The key's fingerprint that the ground station was told.")] = "",
    json: JsonOption = False,
) -> None:
    """Prove that a recording is what was recorded; exit code 1 when it is not."""
    import dataclasses

    from gps_denied_onboard.recorder.verify import DAMAGED, verify_flight

    with FrameBar(None, "segments") as bar:
        verdict = verify_flight(flight, lambda done, _total: bar.show(done))
    if fingerprint and fingerprint != verdict.fingerprint:
        error = f"signed with key {verdict.fingerprint or '(none)'}, not with {fingerprint}"
        verdict = dataclasses.replace(verdict, state=DAMAGED, errors=(*verdict.errors, error))
    if json:
        print_json(dataclasses.asdict(verdict))
    else:
        _print_verdict(verdict)
    if verdict.state == DAMAGED:
        sys.exit(1)


@app.command()
def info(flight: FlightArgument, json: JsonOption = False) -> None:
    """What flew, with what, and how many records of each kind there are."""
    from gps_denied_operator.fdr.overview import summary

    told = summary(flight)
    if json:
        print_json(told)
        return
    for name in ("flight_id", "utc", "image", "end", "seconds", "bytes", "segments", "resumed_from", "fingerprint"):
        print(f"{name:14} {shown(told[name])}")
    for kind, count in told["records"].items():
        print(f"  {shown(kind, 80):18} {count:9}")
    for problem in told["problems"]:
        print(shown(problem))


@app.command()
def extract(
    flight: FlightArgument,
    out: OutOption,
    kind: KindOption = None,
    from_s: FromOption = 0.0,
    to_s: ToOption = 0.0,
) -> None:
    """Cut out records as JSON lines, unknown kinds and keys included; `-` writes them to the standard output."""
    from gps_denied_operator.fdr.extract import extract_records

    count, problems = extract_records(flight, out, kind, from_s, to_s)
    for problem in problems:
        print(shown(problem), file=sys.stderr)
    print(f"{count} records", file=sys.stderr)


@app.command()
def plot(
    flight: FlightArgument,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("flight.html"),
    tiles: Annotated[Path | None, typer.Option(help="Folder of z/x/y tiles to draw; else those it flew with.")] = None,
    json: JsonOption = False,
) -> None:
    """Draw a flight over its map into one HTML file that needs nothing else."""
    from gps_denied_operator.report.flight_report import report_flights
    from gps_denied_operator.report.html import check_page_name, write_page

    check_page_name(out)
    with FrameBar(None, "records") as bar:
        made = report_flights([flight], None, tiles, bar.show)
    write_page(made.page, out)
    if json:
        print_json({"page": str(out), "moments": made.moments})
    else:
        print(f"{out}: {made.moments} moments of the flight")


@app.command()
def export(
    flight: FlightArgument,
    out: OutOption,
    to: Annotated[str, typer.Option(help="parquet, csv, geojson, kml, mcap or tlog.")] = "parquet",
    json: JsonOption = False,
) -> None:
    """Write a flight for other programs: a table a kind, its track, one MCAP file in UTC, or its MAVLink stream."""
    from gps_denied_operator.fdr.export import export_flight

    written = export_flight(flight, out, to)
    if json:
        print_json({"out": str(out), "format": to, "rows": written})
    else:
        print(f"{out}: {sum(written.values())} rows of {shown(', '.join(written), 2000)}")


@app.command()
def recover(flight: FlightArgument, out: OutOption, json: JsonOption = False) -> None:
    """Copy a torn or damaged flight so that every MCAP reader opens it; the original is not touched."""
    import dataclasses

    from gps_denied_operator.fdr.recover import recover_flight

    with FrameBar(None, "files") as bar:
        files = recover_flight(flight, out, bar.show)
    if json:
        print_json({"out": str(out), "files": [dataclasses.asdict(file) for file in files]})
        return
    for file in files:
        kept = f"{file.kept_bytes} of {file.bytes} bytes kept"
        print(f"{shown(file.name):24} {file.state:9} {file.messages:9} messages, {kept}")
        for problem in file.problems:
            print(f"  {shown(problem)}")


@app.command()
def tail(
    root: Annotated[Path, typer.Argument(help="Folder of one flight, or a flight root: then its newest flight.")],
    kind: KindOption = None,
    seconds: Annotated[float, typer.Option(min=0.0, max=1e9, help="How much of the end to show.")] = 10.0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what is still being recorded.")] = False,
) -> None:
    """Show the last records of a flight, one JSON object a line."""
    from gps_denied_operator.fdr.extract import tail_records

    try:
        for line in tail_records(root, kind, seconds, follow):
            print(shown(line, LINE_CHARACTERS_MAX), flush=follow)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.stderr.close()


def _print_verdict(verdict: Verdict) -> None:
    seconds = ((verdict.end_ns or 0) - (verdict.start_ns or 0)) / 1e9
    print(f"{shown(verdict.flight_id, 80) or '(no header)'}: {verdict.state.upper()}")
    print(f"  {verdict.records} records in {verdict.segments} segment(s), {seconds:.1f} s, {verdict.bytes} bytes")
    print(f"  {verdict.lost} records were lost in flight and are told; key {shown(verdict.fingerprint) or '(none)'}")
    for error in verdict.errors:
        print(f"  ERROR {shown(error)}")
    for note in verdict.notes:
        print(f"  note: {shown(note)}")
