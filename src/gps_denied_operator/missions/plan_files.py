"""Plan files: QGroundControl .plan, waypoint lists (QGC WPL, Mission Planner, iNav), GeoJSON, GPX, KML and KMZ.

The format is told by the content, not by the name. A plan's home position, where it gives one, is the first waypoint:
it is item 0 of what an autopilot gets. 0, 0 is "where the aircraft is" to an autopilot, hence no position.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.json import read_json
from gps_denied_operator.missions.errors import (
    FlightAccessError,
    FlightMalformedError,
    FlightNotFoundError,
    FlightOutsideLimitsError,
)
from gps_denied_operator.missions.geometry_files import kml_of_kmz, local_name, read_geojson, read_gpx, read_kml
from gps_denied_operator.missions.plan_content import PlanRoute
from gps_denied_operator.missions.qgc_plan import read_qgc_plan
from gps_denied_operator.missions.waypoint_lists import read_inav_mission, read_waypoint_list

FILE_BYTES_MAX = 20_000_000
POINTS_MAX = 20_000
ELEMENTS_MAX = 500_000
FORMATS = "a QGroundControl .plan, a waypoint file (QGC WPL), an iNav .mission, GeoJSON, GPX or KML/KMZ"


def read_plan(path: Path) -> PlanRoute:
    """Read a plan file. FlightResolutionError says why it cannot be, with what to do."""
    try:
        if path.is_dir():
            raise FlightMalformedError(f"{path} is a folder; give a plan file: {FORMATS}.")
        data = read_file(path, FILE_BYTES_MAX)
    except FileNotFoundError:
        raise FlightNotFoundError(f"{path} does not exist; give the path of a plan: {FORMATS}.") from None
    except PermissionError:
        raise FlightAccessError(f"{path} may not be read; give this user the right to read it.") from None
    except UntrustedError as error:
        raise FlightOutsideLimitsError(f"{error} A larger one is no plan; give {FORMATS}.") from error
    except (OSError, ValueError) as error:
        raise FlightMalformedError(f"{path} cannot be read ({error}); copy the plan again.") from error
    return parse_route(data, path.name)


def parse_route(data: bytes, name: str) -> PlanRoute:
    """Read a plan's bytes: its paths and what was left out of them."""
    if len(data) > FILE_BYTES_MAX:
        raise FlightOutsideLimitsError(f"{name} is larger than {FILE_BYTES_MAX / 1e6:g} MB: that is no flight plan.")
    others: list[str] = []
    if data[:4] == b"PK\x03\x04":
        data, others = kml_of_kmz(data, name, FILE_BYTES_MAX)
        if len(data) > FILE_BYTES_MAX:
            raise FlightOutsideLimitsError(f"{name} unpacks to more than {FILE_BYTES_MAX / 1e6:g} MB: no flight plan.")
    content = _plain_text(data, name).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not content:
        raise FlightMalformedError(f"{name} is empty; save the plan again.")
    if content.startswith(b"QGC WPL"):
        route = read_waypoint_list(content, name)
    elif content.startswith(b"{"):
        route = _json(content, name)
    elif content.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        route = _xml(content, name)
    else:
        raise FlightMalformedError(f"{name} is no plan that is known here; give {FORMATS}.")
    positions = len(route.points_deg) + len(route.alternates_deg)
    if positions > POINTS_MAX:
        raise FlightOutsideLimitsError(f"{name} holds {positions} positions, at most {POINTS_MAX}: thin it out.")
    if others:
        told = ", ".join(other[-60:] for other in others[:8])
        more = f" and {len(others) - 8} more" if len(others) > 8 else ""
        note = (
            f"{name} holds other KML files that were not read: {told}{more}; unpack it and give the one that is flown."
        )
        route = replace(route, notes=(note, *route.notes))
    return route


def _plain_text(data: bytes, name: str) -> bytes:
    """What programs of Windows save in UTF-16 as UTF-8, without the encoding that an XML declares."""
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data
    try:
        text = data.decode("utf-16")
    except UnicodeDecodeError:
        raise FlightMalformedError(f"{name} is cut off or no text; save it again, as UTF-8.") from None
    return re.sub(r"^\s*<\?xml[^>]{0,200}\?>", "", text).encode("utf-8", "replace")


def _json(content: bytes, name: str) -> PlanRoute:
    try:
        plan = read_json(content, name, FILE_BYTES_MAX)
    except UntrustedError as error:
        raise FlightMalformedError(f"{name} is broken or cut off ({error}); save the plan again.") from None
    if plan.get("fileType") in ("Plan", "Mission") or "mission" in plan or "plannedHomePosition" in plan:
        return read_qgc_plan(plan, name)
    if "type" in plan:
        return read_geojson(plan, name)
    raise FlightMalformedError(f"{name} is JSON, but neither a .plan nor GeoJSON; give {FORMATS}.")


def _xml(content: bytes, name: str) -> PlanRoute:
    import defusedxml
    import defusedxml.ElementTree

    if max(content.count(b"<"), content.count(b"=")) > ELEMENTS_MAX:
        raise FlightOutsideLimitsError(f"{name} has more than {ELEMENTS_MAX} elements or attributes: thin it out.")
    try:
        root: Element = defusedxml.ElementTree.fromstring(content, forbid_dtd=True)
    except defusedxml.DefusedXmlException:
        raise FlightMalformedError(f"{name} declares entities or a DTD, which no plan needs: it is not read.") from None
    except (SyntaxError, ValueError, LookupError) as error:  # ParseError is a SyntaxError
        raise FlightMalformedError(f"{name} is broken or cut off ({error}); save it again.") from None
    tag = local_name(root.tag)
    if tag.lower() == "mission":
        return read_inav_mission(root, name)
    if tag == "gpx":
        return read_gpx(root, name)
    if tag.lower() not in {"kml", "document", "folder", "placemark"}:  # parts are what people copy out of Google Earth
        raise FlightMalformedError(f"{name} is XML, but neither KML nor GPX ('{tag[:40]}'); give {FORMATS}.")
    return read_kml(root, name)
