"""A flight as one KML file: a line for each stretch of a label, gaps left open, the receiver's own track, alerts; UTC.

KML 2.2 of the OGC, as Google Earth, QGIS and QGroundControl read it. `gx:Track` holds the times of every position.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from gps_denied_onboard.messages import Alert, FixType, GpsSample, NavState, SourceLabel
from gps_denied_onboard.recorder.meta import iso_from_unix_ns
from gps_denied_onboard.recorder.reader import FlightReader

KML = "http://www.opengis.net/kml/2.2"
GX = "http://www.google.com/kml/ext/2.2"
GAP_NS = 2_000_000_000
"""Positions further apart in time than this are not joined."""
Place = tuple[str | None, float, float, float]
"""UTC, longitude and latitude in degrees, altitude AMSL in m."""
# KML writes colours as alpha, blue, green, red.
COLOURS = {
    SourceLabel.SATELLITE_ANCHORED: "ffb85f00",
    SourceLabel.VISUAL_PROPAGATED: "ff007ac4",
    SourceLabel.DEAD_RECKONED: "ff7a12b3",
}
RECEIVER_COLOUR = "ff4b7a0b"
ALERT_COLOURS = ("ff2000b0", "ff0087d0", "ff807870")


def flight_kml(reader: FlightReader, target: Path, unix_ns_at_zero: int | None) -> dict[str, int]:
    """Write `track.kml` into a folder; returns how many of each kind it shows."""
    states, receiver, alerts = _read(reader)
    ElementTree.register_namespace("", KML)
    ElementTree.register_namespace("gx", GX)
    root = Element(f"{{{KML}}}kml")
    document = _child(root, "Document")
    _child(document, "name", reader.folder.name)
    times = "times are UTC" if unix_ns_at_zero is not None else "the recording knows no UTC: no times are given"
    _child(document, "description", f"Position by source label; gaps are moments without a position; {times}.")
    _styles(document)
    clock = _Clock(unix_ns_at_zero)
    for label in SourceLabel:
        folder = _folder(document, f"Our position: {label.value.replace('_', ' ')}")
        for stretch in _stretches(states, label):
            _track(folder, label.value, [_of_state(state, clock) for state in stretch], clock)
    told = _folder(document, "GPS receiver: what it claimed")
    for claims in _unbroken([s for s in receiver if s.fix_type >= FixType.FIX_2D]):
        _track(told, "receiver", [_of_state(sample, clock) for sample in claims], clock)
    _alerts(_folder(document, "Alerts"), alerts, states, clock)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(target / "track.kml", encoding="utf-8", xml_declaration=True)
    return {"navstate": len(states), "gps": len(receiver), "alert": len(alerts)}


class _Clock:
    def __init__(self, unix_ns_at_zero: int | None) -> None:
        self.zero_ns = unix_ns_at_zero

    def utc(self, t_ns: int) -> str | None:
        return None if self.zero_ns is None else iso_from_unix_ns(self.zero_ns + t_ns)


def _read(reader: FlightReader) -> tuple[list[NavState], list[GpsSample], list[Alert]]:
    states: list[NavState] = []
    receiver: list[GpsSample] = []
    alerts: list[Alert] = []
    for message in reader.messages(("navstate", "gps", "alert")):
        if isinstance(message, NavState):
            states.append(message)
        elif isinstance(message, GpsSample):
            receiver.append(message)
        else:
            alerts.append(message)
    for found in (states, receiver, alerts):
        found.sort(key=lambda message: message.t_ns)
    return [state for state in states if state.fix_type >= FixType.FIX_2D], receiver, alerts


def _stretches(states: Sequence[NavState], label: SourceLabel) -> Iterator[list[NavState]]:
    """Unbroken runs of a label, each up to the first position of the next one, so that the line has no false gap."""
    for run in _unbroken(states):
        held: list[NavState] = []
        for state in run:
            if state.source_label is label:
                held.append(state)
            elif held:
                yield [*held, state]
                held = []
        if held:
            yield held


def _unbroken(messages: Sequence[Any]) -> Iterator[list[Any]]:
    run: list[Any] = []
    for message in messages:
        if run and message.t_ns - run[-1].t_ns > GAP_NS:
            yield run
            run = []
        run.append(message)
    if run:
        yield run


def _of_state(state: NavState | GpsSample, clock: _Clock) -> Place:
    return clock.utc(state.t_ns), state.longitude_deg, state.latitude_deg, state.altitude_amsl_m


def _track(folder: Element, style: str, places: Sequence[Place], clock: _Clock) -> None:
    """A line with a time at each point where UTC is known, a plain line where it is not."""
    mark = _child(folder, "Placemark")
    first, last = places[0][0], places[-1][0]
    _child(mark, "name", f"{first[11:19]} to {last[11:19]} UTC" if first and last else style.replace("_", " "))
    if first and last:
        span = _child(mark, "TimeSpan")
        _child(span, "begin", first)
        _child(span, "end", last)
    _child(mark, "styleUrl", f"#{style}")
    if clock.zero_ns is None:
        line = _child(mark, "LineString")
        _child(line, "altitudeMode", "absolute")
        _child(line, "coordinates", " ".join(f"{x:.8f},{y:.8f},{z:.2f}" for _, x, y, z in places))
        return
    track = SubElement(mark, f"{{{GX}}}Track")
    _child(track, "altitudeMode", "absolute")
    for when, *_ in places:
        _child(track, "when", when)
    for _, x, y, z in places:
        SubElement(track, f"{{{GX}}}coord").text = f"{x:.8f} {y:.8f} {z:.2f}"


def _alerts(folder: Element, alerts: Iterable[Alert], states: Sequence[NavState], clock: _Clock) -> None:
    """Each alert where we were then; those before any position are left out of the map, not of the count."""
    from bisect import bisect_right

    times = [state.t_ns for state in states]
    for alert in alerts:
        place = bisect_right(times, alert.t_ns) - 1
        if place < 0:
            continue
        state, utc = states[place], clock.utc(alert.t_ns)
        mark = _child(folder, "Placemark")
        _child(mark, "name", alert.text)
        if utc:
            _child(mark, "description", f"{utc[11:21]} UTC")
            _child(_child(mark, "TimeStamp"), "when", utc)
        _child(mark, "styleUrl", f"#alert-{0 if alert.severity <= 3 else 1 if alert.severity == 4 else 2}")
        point = _child(mark, "Point")
        _child(point, "altitudeMode", "absolute")
        _child(point, "coordinates", f"{state.longitude_deg:.8f},{state.latitude_deg:.8f},{state.altitude_amsl_m:.2f}")


def _styles(document: Element) -> None:
    for name, colour, width in (*((k.value, v, 4) for k, v in COLOURS.items()), ("receiver", RECEIVER_COLOUR, 2)):
        style = _child(document, "Style", id=name)
        icon = _child(style, "IconStyle")  # before LineStyle: the schema fixes the order
        _child(icon, "scale", "0.4")
        line = _child(style, "LineStyle")
        _child(line, "color", colour)
        _child(line, "width", str(width))
    for number, colour in enumerate(ALERT_COLOURS):
        style = _child(document, "Style", id=f"alert-{number}")
        icon = _child(style, "IconStyle")
        _child(icon, "color", colour)
        _child(icon, "scale", "0.8")
        _child(_child(style, "LabelStyle"), "scale", "0.7")


def _folder(parent: Element, name: str) -> Element:
    folder = _child(parent, "Folder")
    _child(folder, "name", name)
    return folder


def _child(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    node = SubElement(parent, f"{{{KML}}}{tag}", attributes)
    node.text = text
    return node
