"""A flight for other programs: Parquet or CSV a kind, its track as GeoJSON or KML, MCAP in UTC, its MAVLink log."""

from __future__ import annotations

import base64
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from gps_denied_onboard.autopilot.mavlink.tlog import TlogWriter
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_onboard.recorder.output_folder import OutputFolder
from gps_denied_onboard.recorder.reader import FlightReader, FlightRecord

BATCH = 20_000


def export_flight(folder: Path, out: Path, to: str) -> dict[str, int]:
    """Write the flight into the new folder `out`; returns rows by kind. UserError for an unknown format."""
    if to not in FORMATS:
        raise UserError(f"--to {to} is not known; use {', '.join(FORMATS)}.")
    reader = FlightReader(folder)
    with OutputFolder(out, "fdr export") as target:
        return FORMATS[to](reader, target)


def _rows(reader: FlightReader, kind: str) -> Iterator[dict[str, Any]]:
    for record in reader.records({kind}):
        yield {"t_ns": record.t_ns, "sequence": record.sequence, "producer": record.producer, **record.payload}


def _kinds(reader: FlightReader) -> list[str]:
    return sorted({record.kind for record in reader.records()})


def _cell(value: Any) -> Any:
    """Objects and matrices as JSON texts; numbers, texts and truth values as they are."""
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value


def _columns(reader: FlightReader, kind: str) -> list[str]:
    names: dict[str, None] = {}
    for row in _rows(reader, kind):
        names.update(dict.fromkeys(row))
    return list(names)


def _csv(reader: FlightReader, target: Path) -> dict[str, int]:
    written: dict[str, int] = {}
    for kind in _kinds(reader):
        columns = _columns(reader, kind)
        with (target / f"{_file(kind)}.csv").open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(columns)
            written[kind] = 0
            for row in _rows(reader, kind):
                table.writerow([_cell(row.get(name)) for name in columns])
                written[kind] += 1
    return written


def _parquet(reader: FlightReader, target: Path) -> dict[str, int]:
    import pyarrow
    import pyarrow.parquet

    written: dict[str, int] = {}
    for kind in _kinds(reader):
        rows = [{name: _cell(value) for name, value in row.items()} for row in _rows(reader, kind)]
        columns = {name: [_cell(row.get(name)) for row in rows] for name in _columns(reader, kind)}
        table = pyarrow.table({name: _column(pyarrow, values) for name, values in columns.items()})
        pyarrow.parquet.write_table(table, target / f"{_file(kind)}.parquet", row_group_size=BATCH)
        written[kind] = len(rows)
    return written


def _column(pyarrow: Any, values: list[Any]) -> Any:
    """A column of one type: what is mixed (a number that was not finite is a text) becomes texts."""
    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
        return pyarrow.array([None if value is None else str(value) for value in values])


def _positions(reader: FlightReader) -> Iterator[FlightRecord]:
    return reader.records({"navstate"})


def _geojson(reader: FlightReader, target: Path) -> dict[str, int]:
    features, line = [], []
    for record in _positions(reader):
        p = record.payload
        at = [p["longitude_deg"], p["latitude_deg"], p["altitude_amsl_m"]]
        line.append(at)
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": at},
                "properties": {"t_ns": record.t_ns}
                | {k: p.get(k) for k in ("source_label", "ellipse_semi_major_m", "gps_health", "fix_type")},
            }
        )
    track = {"type": "Feature", "geometry": {"type": "LineString", "coordinates": line}, "properties": {}}
    body = {"type": "FeatureCollection", "features": [*([track] if len(line) > 1 else []), *features]}
    (target / "track.geojson").write_bytes(orjson.dumps(body))
    return {"navstate": len(line)}


def _kml(reader: FlightReader, target: Path) -> dict[str, int]:
    from gps_denied_operator.fdr.kml import flight_kml

    return flight_kml(reader, target, unix_ns_at_zero(reader))


def _mcap(reader: FlightReader, target: Path) -> dict[str, int]:
    from gps_denied_operator.fdr.mcap_export import flight_mcap

    return flight_mcap(reader, target, unix_ns_at_zero(reader))


def unix_ns_at_zero(reader: FlightReader) -> int | None:
    """UTC since 1970 at the flight's t_ns 0, by the best clock that its recording knows; None where it knows none."""
    from gps_denied_operator.report.story import utc_of

    try:
        told_ns = read_meta(reader.folder).unix_ns_at_zero
    except UserError:
        told_ns = None
    clocks = [(clock.t_ns, clock.utc_ns) for clock in reader.messages({"clock"})]
    return utc_of(clocks, reader.messages({"gps"}), told_ns)[0]


def _tlog(reader: FlightReader, target: Path) -> dict[str, int]:
    """The bytes that were sent to an ArduPilot, as they were."""
    count = 0
    with TlogWriter(target / "autopilot.tlog", unix_ns_at_zero(reader)) as log:
        for record in reader.records({"autopilot_out"}):
            if record.payload.get("protocol") == "mavlink2":
                log.write(record.t_ns, base64.b64decode(record.payload["data"]))
                count += 1
    if count == 0:
        raise UserError("the flight holds no MAVLink that was sent; an iNav flight has none, a replay neither.")
    return {"autopilot_out": count}


def _file(kind: str) -> str:
    """A kind's name as a file's: kinds of other versions may be called anything."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in kind)[:80] or "_"


FORMATS: dict[str, Callable[[FlightReader, Path], dict[str, int]]] = {
    "parquet": _parquet,
    "csv": _csv,
    "geojson": _geojson,
    "kml": _kml,
    "mcap": _mcap,
    "tlog": _tlog,
}
