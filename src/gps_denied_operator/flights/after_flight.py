"""Whether a flight has ended so that its tiles may be uploaded: its recording's footer decides, nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import HeaderRecord
from gps_denied_onboard.recorder.verify import DAMAGED, verify_flight

RECORDED_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")  # what the recorder calls a flight, and its folder


class UploadRefusedError(UserError):
    """The flight's tiles may not be uploaded; each reason has its own exit code."""


class NoFooterError(UploadRefusedError):
    """The recording was never closed."""

    exit_code = 60


class NotCleanError(UploadRefusedError):
    """The recording was closed after an error."""

    exit_code = 61


class OtherFlightError(UploadRefusedError):
    """The recording is of another flight than the one that was asked for."""

    exit_code = 62


class UnreadableFlightError(UploadRefusedError):
    """There is no recording, or it is not what was recorded."""

    exit_code = 63


def landed_flight(folder: Path, flight: str = "") -> str:
    """Return the name of the flight that a recording proves to have ended by a clean shutdown.

    flight: the name that it must have; without one the folder's, where that is a name that the recorder gives.
    Raises UploadRefusedError, whose class says which of the four reasons holds.
    """
    try:
        reader = FlightReader(folder)
        header = reader.first("header")
    except (UserError, OSError) as error:
        raise UnreadableFlightError(
            f"{folder} cannot be read as a flight ({error}); give the folder that the aircraft's recorder wrote."
        ) from error
    if not isinstance(header, HeaderRecord):
        raise UnreadableFlightError(
            f"{folder} has no flight's header: it is a simulation, or its first segment is missing; copy the flight "
            "from the aircraft again."
        )
    wanted = flight or (folder.resolve().name if RECORDED_NAME.fullmatch(folder.resolve().name) else header.flight_id)
    footer = reader.footer()
    for told in (header.flight_id, footer.flight_id if footer is not None else wanted):
        if told != wanted:
            raise OtherFlightError(
                f"{folder} is the recording of flight {told}, not of {wanted}; give the folder of the flight that is "
                "to be uploaded, or its name with --flight."
            )
    verdict = verify_flight(folder)
    if verdict.state == DAMAGED:
        raise UnreadableFlightError(
            f"The recording {folder} is not what was recorded ({verdict.errors[0]}); look at `fdr verify`, copy the "
            "flight again, and keep the tiles until that is explained."
        )
    if footer is None:
        raise NoFooterError(
            f"Flight {wanted} has no footer: it is still being recorded, or its power was cut. Shut the companion down "
            "and copy the recording; if the power was cut, its tiles stay on board until a safety officer has looked."
        )
    if not footer.clean_shutdown:
        raise NotCleanError(
            f"Flight {wanted} ended by an error, not by a clean shutdown: its tiles are not trusted. See what failed "
            f"with `fdr extract {folder} --kind log --out -`."
        )
    return wanted
