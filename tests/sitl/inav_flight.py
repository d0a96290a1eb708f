"""Flies a real iNav on our positions alone and writes what it saw; a program, run in a network namespace of its own."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import struct
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from gps_denied_onboard.autopilot.msp.messages import sensor_gps
from gps_denied_onboard.autopilot.transport import ReopeningLink
from gps_denied_onboard.messages import FixType, NavState, SourceLabel
from gps_denied_sim.recording import FlyRequest

from .companion import Companion, mission_lines, write_config
from .inav_flown import Flown
from .inav_line import Claim, SerialLine
from .inav_pictures import NetworkCamera, monotonic_since
from .inav_process import COMPANION_UART, FIRST_UART_PORT, Inav, Msp, loopback_up
from .inav_xplane import Gps, XPlane, values

PERIOD_S = 0.25
FIRST_FIX_S = 90.0
AGAIN_S = 60.0
STATUS, RAW_GPS, INAV_STATUS, STATISTICS, WAYPOINT = 151, 106, 0x2000, 166, 118
ECHO_S = 0.6
FLOAT_DEG = 4e-6
METRES_PER_DEGREE = 111_195.0
REBOOT = 68
SEED = 3
CALIBRATION_S = 8.0
NOISE = 0.05
STATE = NavState(
    0, 48.5123457, 37.2543211, 812.0, (3.0, 4.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9,
    3.0, 3.0, 0.0, 2.5, 3.75, 0.3, SourceLabel.SATELLITE_ANCHORED, 0, FixType.FIX_3D,
)  # fmt: skip
SENT = {
    "fix_type": 2,
    "satellites": 10,
    "latitude": 485_123_457,
    "longitude": 372_543_211,
    "altitude_m": 812,
    "speed_cmps": 500,
    "course_ddeg": 531,
    "hdop": 125,
    "eph_cm": 250,
    "epv_cm": 375,
}
"""STATE as iNav is to tell it: fix 2 is three-dimensional, the course is in tenths of a degree."""


@dataclass(frozen=True)
class Seen:
    """One look at iNav: what it says of its GPS, and where we truly are. Positions are latitude, longitude in deg."""

    t_s: float
    gps_status: int
    fix_type: int
    satellites: int
    told: tuple[float, float]
    estimate: tuple[float, float]
    true: tuple[float, float]
    message_gap_ms: int
    timeouts: int
    errors: int

    @property
    def holds(self) -> bool:
        """A 3D fix from a sensor that iNav calls good."""
        return self.gps_status == 1 and self.fix_type == 2


def echo(newest: list[Claim], now_s: float) -> Gps:
    """What the simulator's own GPS says: our last position, with a satellite less. Never the truth.

    Whatever `gps_provider` is, iNav's simulator writes that GPS over the data of the real one at every packet. Only the
    sensor's status is not touched by it. So it gets our own position back, to float's 0.4 m; none once we are silent.
    """
    if not newest or now_s - newest[-1].t_s > ECHO_S or newest[-1].fix_type < 3:
        return Gps()
    last = newest[-1]
    return Gps(last.latitude_deg, last.longitude_deg, last.altitude_m, 2, last.satellites - 1)


def look(msp: Msp, flown: Flown) -> Seen | None:
    """Ask iNav once for everything; None where an answer did not come."""
    sensors, statistics_ = msp.ask(STATUS), msp.ask(STATISTICS)
    place, state, gps = msp.ask(WAYPOINT, b"\xff"), msp.ask(INAV_STATUS), msp.ask(RAW_GPS)
    now_s = time.monotonic()
    if sensors is None or statistics_ is None or place is None or state is None or gps is None:
        return None
    fix_type, satellites, latitude, longitude = struct.unpack_from("<BBii", gps)
    here = struct.unpack_from("<BBii", place)
    gap_ms, errors, timeouts = struct.unpack_from("<HII", statistics_)
    return Seen(
        now_s,
        sensors[5],
        fix_type,
        satellites,
        (latitude / 1e7, longitude / 1e7),
        (here[2] / 1e7, here[3] / 1e7),
        flown.geodetic_at(now_s)[:2],
        gap_ms,
        timeouts,
        errors,
    )


class Watch:
    """Looks at iNav four times a second."""

    def __init__(self, flown: Flown) -> None:
        self._flown = flown
        self._msp = Msp()
        self.unanswered = 0

    def watch(self, seconds: float) -> list[Seen]:
        """Everything seen for that long."""
        end, seen = time.monotonic() + seconds, []
        while time.monotonic() < end:
            one = self._look()
            if one is not None:
                seen.append(one)
            time.sleep(PERIOD_S)
        return seen

    def until(self, holds: bool, timeout_s: float) -> float:
        """Seconds until iNav holds a fix, or does not; an assertion where that takes too long."""
        start = time.monotonic()
        while time.monotonic() < start + timeout_s:
            one = self._look()
            if one is not None and one.holds is holds:
                return one.t_s - start
            time.sleep(PERIOD_S / 5.0)
        raise AssertionError(f"iNav {'has no fix' if holds else 'still has a fix'} after {timeout_s:.0f} s")

    def again(self) -> None:
        """Connect anew, after a reboot."""
        self._msp.close()
        self._msp = Msp()

    def reboot(self) -> None:
        """Make iNav start again."""
        self._msp.ask(REBOOT, timeout_s=0.2)

    def close(self) -> None:
        self._msp.close()

    def _look(self) -> Seen | None:
        one = look(self._msp, self._flown)
        self.unanswered += one is None
        return one


def figures(seen: list[Seen], claims: list[Claim]) -> dict[str, Any]:
    """What a stretch of looks comes to; `claims` are the positions that went to iNav."""
    off_m = [apart_m(s.told, s.true) for s in seen]
    drift_m = [apart_m(s.estimate, s.true) for s in seen]
    ours = [[c for c in claims if s.t_s - ECHO_S < c.t_s < s.t_s + 0.1] for s in seen]
    exact = [s for s, near in zip(seen, ours, strict=True) if any(_same(s, c, 1.01e-7) for c in near)]
    echoed = [s for s, near in zip(seen, ours, strict=True) if any(_same(s, c, FLOAT_DEG) for c in near)]
    sent = [c for c in claims if seen[0].t_s <= c.t_s <= seen[-1].t_s]
    return {
        "looks": len(seen),
        "seconds": round(seen[-1].t_s - seen[0].t_s, 1),
        "fix_share": round(sum(s.holds for s in seen) / len(seen), 4),
        "lost_sensor_looks": sum(s.gps_status != 1 for s in seen),
        "satellites_min": min(s.satellites for s in seen),
        "gap_ms_max": max(s.message_gap_ms for s in seen),
        "gap_ms_median": statistics.median(s.message_gap_ms for s in seen),
        "timeouts": seen[-1].timeouts - seen[0].timeouts,
        "errors": seen[-1].errors - seen[0].errors,
        "exactly_ours_share": round(len(exact) / len(seen), 4),
        "ours_share": round(len(echoed) / len(seen), 4),
        "positions": len(sent),
        "positions_with_fix": sum(c.fix_type >= 3 for c in sent),
        "sent_gap_ms_max": round(1e3 * max(b.t_s - a.t_s for a, b in pairwise(sent))),
        "off_truth_m": {"median": round(statistics.median(off_m), 2), "max": round(max(off_m), 2)},
        "estimate_off_truth_m": {"median": round(statistics.median(drift_m), 2), "max": round(max(drift_m), 2)},
    }


def apart_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    east_deg = (a[1] - b[1]) * math.cos(math.radians(a[0]))
    return METRES_PER_DEGREE * math.hypot(a[0] - b[0], east_deg)


def _same(s: Seen, c: Claim, tolerance_deg: float) -> bool:
    north, east = abs(s.told[0] - c.latitude_deg), abs(s.told[1] - c.longitude_deg)
    return north < tolerance_deg and east < tolerance_deg


class Bench:
    """An iNav that is set up and stands on the ground, its simulator and its line; `companion` starts on it."""

    def __init__(self, program: str, work: Path, flown: Flown, stack: ExitStack) -> None:
        self._work, self._flown, self._stack = work, flown, stack
        self.line = SerialLine(FIRST_UART_PORT + COMPANION_UART, seed=1)
        stack.callback(self.line.close)
        sim = XPlane(lambda now_s: values(flown.state_at(now_s), echo(self.line.claims[-1:], now_s)))
        stack.callback(sim.close)
        self.inav = Inav(program, work, sim.port)
        stack.callback(self.inav.close)
        self.inav.set_up()
        self.settings = self.inav.settings(["gps_provider", "pitot_hardware"])
        self._config: Path | None = None

    def take_off(self) -> None:
        """Wait until gyroscope and barometer are calibrated, climb, and be on the route."""
        time.sleep(CALIBRATION_S)
        flown = self._flown
        flown.take_off()
        self.camera = NetworkCamera(flown.pictures, flown.prepared.frame_times_s, monotonic_since(flown.start_s))
        self._stack.callback(self.camera.close)
        meta = flown.meta
        mission = mission_lines(
            meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m, meta.ground_sigma_m
        )
        link = f'[strategies]\nautopilot = "inav"\n[autopilot]\naddress = "tcp:127.0.0.1:{self.line.port}"\n'
        frames = f'source = "{self.camera.stream.url}"\n'
        out = self._work / "flight.toml"
        self._config = write_config(out, meta.camera, flown.folder / "tiles", mission, frames, link)
        time.sleep(max(flown.start_s - time.monotonic(), 0.0))

    def companion(self, name: str) -> Companion:
        """Start `gps-denied-onboard run`."""
        assert self._config is not None
        companion = Companion(self._config, self._work / f"{name}.log")
        self._stack.callback(companion.kill)
        return companion


def alone(bench: Bench, watch: Watch, seconds: float) -> dict[str, Any]:
    """All the time on our positions alone, then the companion is killed and started again."""
    bench.take_off()
    companion = bench.companion("run-1")
    first_s = watch.until(True, FIRST_FIX_S)
    seen = watch.watch(seconds)
    companion.kill()
    lost_s = watch.until(False, 10.0)
    companion = bench.companion("run-2")
    again_s = watch.until(True, AGAIN_S)
    after = watch.watch(20.0)
    return {
        "first_fix_s": round(first_s, 2),
        "flight": figures(seen, bench.line.claims),
        "loss_seen_after_s": round(lost_s, 2),
        "accepted_again_s": round(again_s, 2),
        "after_restart": figures(after, bench.line.claims),
        "unanswered": watch.unanswered,
        "pictures": bench.camera.stream.shown,
        "exit_code": companion.end(),
    }


def trouble(bench: Bench, watch: Watch, seconds: float) -> dict[str, Any]:
    """Noise in both directions for a third of the time; then iNav starts again in the middle of the flight."""
    bench.take_off()
    companion = bench.companion("run-1")
    watch.until(True, FIRST_FIX_S)
    watch.watch(seconds / 3.0)
    bench.line.noise = NOISE
    noisy = watch.watch(seconds / 3.0)
    bench.line.noise = 0.0
    watch.reboot()
    bench.inav.wait_ready()
    watch.again()
    back_s = watch.until(True, AGAIN_S)
    after = watch.watch(seconds / 3.0)
    return {
        "noisy": figures(noisy, bench.line.claims),
        "spoilt": bench.line.spoilt,
        "used_again_after_reboot_s": round(back_s, 2),
        "after_reboot": figures(after, bench.line.claims),
        "exit_code": companion.end(),
    }


def packet(program: str, work: Path) -> dict[str, Any]:
    """One state to an iNav on the desk, ten times a second: what it makes of each field, and when it misses us."""
    inav = Inav(program, work, None)
    try:
        inav.set_up()
        settings = inav.settings(["gps_provider"])
        time.sleep(CALIBRATION_S)
        watch, link = Msp(), ReopeningLink(f"tcp:127.0.0.1:{FIRST_UART_PORT + COMPANION_UART}")
        before = asked(watch, STATUS, "<9B")[5]
        end = time.monotonic() + 12.0
        while time.monotonic() < end:
            message = sensor_gps(replace(STATE, t_ns=time.monotonic_ns()), None)
            assert isinstance(message, bytes)
            link.send(time.monotonic_ns(), message)
            link.receive(time.monotonic_ns())
            time.sleep(0.1)
        gps, stats = asked(watch, RAW_GPS, "<BBiiHHHH"), asked(watch, STATISTICS, "<HIIIHHH")
        here, status = asked(watch, WAYPOINT, "<BBii", b"\xff"), asked(watch, STATUS, "<9B")[5]
        link.close()
        silent_s = time.monotonic()
        while asked(watch, STATUS, "<9B")[5] == 1 and time.monotonic() < silent_s + 10.0:
            time.sleep(0.02)
        lost_s = time.monotonic() - silent_s
        watch.close()
    finally:
        inav.close()
    names = ("fix_type", "satellites", "latitude", "longitude", "altitude_m", "speed_cmps", "course_ddeg", "hdop")
    place = (STATE.latitude_deg, STATE.longitude_deg)
    return {
        "settings": settings,
        "before": before,
        "gps_status": status,
        "told": {**dict(zip(names, gps, strict=True)), "eph_cm": stats[5], "epv_cm": stats[6]},
        "sent": SENT,
        "estimate_apart_m": round(apart_m((here[2] / 1e7, here[3] / 1e7), place), 3),
        "lost_after_s": round(lost_s, 2),
    }


def asked(msp: Msp, function: int, layout: str, payload: bytes = b"") -> tuple[int, ...]:
    """The answer to a question, by its layout."""
    answer = msp.ask(function, payload)
    assert answer is not None, f"iNav does not answer {function}"
    return struct.unpack_from(layout, answer)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("work", type=Path)
    parser.add_argument("--flight", choices=("packet", "alone", "trouble"), default="alone")
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--seconds", type=float, default=300.0)
    given = parser.parse_args()
    loopback_up()
    if given.flight == "packet":
        result = packet(given.program, given.work)
    else:
        request = FlyRequest(SEED, (given.seconds + 150.0) / 60.0, buffer_m=600.0)
        flown = Flown(request, given.recording or given.work / "recording")
        with ExitStack() as stack:
            bench = Bench(given.program, given.work, flown, stack)
            watch = Watch(flown)
            stack.callback(watch.close)
            result = {"settings": bench.settings} | (alone if given.flight == "alone" else trouble)(
                bench, watch, given.seconds
            )
    (given.work / "figures.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
