"""Logs of a simulated flight in the formats of the field, written by the formats' own rules."""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.geometry.rotations import matrix_from_quaternion
from gps_denied_onboard.messages import (
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    GpsSample,
    ImuSample,
    RangefinderSample,
    Telemetry,
    TruthSample,
)
from gps_denied_sim.recording import FlyRequest, prepare
from gps_denied_sim.sensors.telemetry import Rates, telemetry, truth_samples

START_UNIX_NS = 1_760_000_000_000_000_000
BOOT_NS = 20_000_000_000
"""The autopilot's own clock when the flight's begins."""
Messages = list[Telemetry]
GPS_HZ = 5.0


@functools.cache
def _flight(seed: int, minutes: float, imu_hz: float) -> tuple[Telemetry, ...]:
    made = prepare(FlyRequest(seed, minutes, imu_hz=imu_hz))
    sensed = telemetry(made.flight, made.scenario, made.frame, seed, 0, Rates(imu_hz=imu_hz))
    claims = receiver(truth_samples(made.flight, made.frame, 0, GPS_HZ), seed)
    kept = [m for m in sensed if isinstance(m, Sensor) and not isinstance(m, GpsSample)]
    return tuple(sorted([*kept, *claims], key=lambda m: m.t_ns))


def receiver(truth: Sequence[TruthSample], seed: int) -> list[Telemetry]:
    """A good receiver's samples: its error wanders by a metre or two within a minute (the simulator's is jammed)."""
    rng = np.random.default_rng(seed)
    error, keep = np.zeros(3), math.exp(-1.0 / (GPS_HZ * 40.0))
    out: list[Telemetry] = []
    for t in truth:
        error = keep * error + math.sqrt(1.0 - keep * keep) * rng.normal(0.0, (1.2, 1.2, 2.5))
        velocity = [v + float(rng.normal(0.0, 0.1)) for v in t.velocity_ned_mps]
        plain = GpsSample(
            t.t_ns, t.latitude_deg, t.longitude_deg, t.altitude_amsl_m, (velocity[0], velocity[1], velocity[2]), 3, 14,
            1.5, START_UNIX_NS + t.t_ns,
        )  # fmt: skip
        out.append(moved(plain, *(float(e) for e in error)))
    return out


def flight(seed: int = 3, minutes: float = 4.0, imu_hz: float = 50.0) -> Messages:
    """The sensors of a simulated flight with a good receiver; t_ns from 0."""
    return list(_flight(seed, minutes, imu_hz))


Sensor = (ImuSample, AttitudeSample, AirspeedSample, BaroSample, RangefinderSample, GpsSample)


def forged(messages: Messages, change: Callable[[GpsSample, float], GpsSample | None], since_s: float) -> Messages:
    """The flight with its receiver's claims changed from `since_s` on; None drops one. `change` gets the seconds."""
    out: Messages = []
    for m in messages:
        told: Telemetry | None = m
        if isinstance(m, GpsSample) and m.t_ns >= since_s * 1e9:
            told = change(m, m.t_ns / 1e9 - since_s)
        if told is not None:
            out.append(told)
    return out


def moved(sample: GpsSample, north_m: float, east_m: float, up_m: float = 0.0) -> GpsSample:
    """A claim of another place."""
    return replace(
        sample,
        latitude_deg=sample.latitude_deg + north_m / 111_200.0,
        longitude_deg=sample.longitude_deg + east_m / (111_320.0 * math.cos(math.radians(sample.latitude_deg))),
        altitude_amsl_m=sample.altitude_amsl_m + up_m,
    )


def euler_of(sample: AttitudeSample) -> tuple[float, float, float]:
    """Roll, pitch, yaw in rad."""
    r = matrix_from_quaternion(sample.quaternion_body_to_ned)
    return math.atan2(r[2, 1], r[2, 2]), -math.asin(max(-1.0, min(1.0, r[2, 0]))), math.atan2(r[1, 0], r[0, 0])


# --- ArduPilot dataflash ----------------------------------------------------------------------------------------------

FORMATS = {
    "FMT": (128, "BBnNZ", "Type,Length,Name,Format,Columns"),
    "UNIT": (129, "QbZ", "TimeUS,Id,Label"),
    "MULT": (130, "Qbd", "TimeUS,Id,Mult"),
    "FMTU": (131, "QBNN", "TimeUS,FmtType,UnitIds,MultIds"),
    "PARM": (132, "QNff", "TimeUS,Name,Value,Default"),
    "MSG": (133, "QZ", "TimeUS,Message"),
    "IMU": (134, "QBffffff", "TimeUS,I,GyrX,GyrY,GyrZ,AccX,AccY,AccZ"),
    "ATT": (135, "Qccc", "TimeUS,Roll,Pitch,Yaw"),
    "GPS": (136, "QBBIHBcLLeffff", "TimeUS,I,Status,GMS,GWk,NSats,HDop,Lat,Lng,Alt,Spd,GCrs,VZ,Yaw"),
    "GPA": (137, "QBCCCC", "TimeUS,I,VDop,HAcc,VAcc,SAcc"),
    "BARO": (138, "QBff", "TimeUS,I,Alt,Press"),
    "ARSP": (139, "QBff", "TimeUS,I,Airspeed,DiffPress"),
    "RFND": (140, "QBfBB", "TimeUS,I,Dist,Stat,Orient"),
    "CAM": (141, "QBHQ", "TimeUS,I,Img,GPSTime"),
    "ARM": (142, "QB", "TimeUS,ArmState"),
}
_PACKED = {"B": "B", "b": "b", "n": "4s", "N": "16s", "Z": "64s", "Q": "Q", "I": "I", "H": "H", "c": "h", "C": "H",
           "L": "i", "e": "i", "f": "f", "d": "d"}  # fmt: skip
GPS_EPOCH_S, LEAP_S, WEEK_S = 315_964_800, 18, 604_800


def packed(name: str, *values: Any) -> bytes:
    """One dataflash message."""
    number, form, _ = FORMATS[name]
    made = [v.encode() if isinstance(v, str) else v for v in values]
    return struct.pack("<BBB" + "".join(_PACKED[c] for c in form), 0xA3, 0x95, number, *made)


def dataflash_head() -> bytes:
    """Formats, units and some parameters."""
    out = b""
    for name, (number, form, columns) in FORMATS.items():
        size = struct.calcsize("<" + "".join(_PACKED[c] for c in form)) + 3
        out += packed("FMT", number, size, name, form, columns)
    for letter, label in (("s", "s"), ("E", "rad/s"), ("o", "m/s/s"), ("d", "deg"), ("m", "m"), ("n", "m/s")):
        out += packed("UNIT", 0, ord(letter), label)
    out += packed("MULT", 0, ord("F"), 1e-6) + packed("MULT", 0, ord("-"), 0.0)
    out += packed("FMTU", 0, 134, "s#EEEooo", "F-------")
    return out + packed("PARM", BOOT_NS // 1000, "AHRS_ORIENTATION", 0.0, 0.0)


def dataflash_of(messages: Iterable[Telemetry], *, boot_ns: int = BOOT_NS, pictures_ns: Sequence[int] = ()) -> bytes:
    """The bytes of a .bin log of the flight."""
    out = [dataflash_head(), packed("MSG", boot_ns // 1000, "ArduPlane V4.5.7"), packed("ARM", boot_ns // 1000, 1)]
    shots = [(t_ns, k) for k, t_ns in enumerate(pictures_ns)]
    ground_m = next((m.altitude_amsl_m for m in messages if isinstance(m, BaroSample)), 0.0)
    for m in messages:
        while shots and shots[0][0] <= m.t_ns:
            t_ns, number = shots.pop(0)
            out.append(packed("CAM", (boot_ns + t_ns) // 1000, 0, number, 0))
        out.append(dataflash_message(m, (boot_ns + m.t_ns) // 1000, ground_m))
    return b"".join(out)


def dataflash_message(m: Telemetry, us: int, ground_m: float, receiver: int = 0) -> bytes:
    """A message as the autopilot writes it; `receiver` is the instance of a GPS sample."""
    if isinstance(m, ImuSample):
        return packed("IMU", us, 0, *m.gyro_body_radps, *m.accel_body_mps2)
    if isinstance(m, AttitudeSample):
        roll, pitch, yaw = (math.degrees(a) for a in euler_of(m))
        return packed("ATT", us, *(round(a * 100.0) for a in (roll, pitch, yaw)))
    if isinstance(m, AirspeedSample):
        return packed("ARSP", us, 0, m.true_airspeed_mps * 0.98, 100.0)
    if isinstance(m, BaroSample):
        return packed("BARO", us, 0, m.altitude_amsl_m - ground_m, 95_000.0)
    if isinstance(m, RangefinderSample):
        return packed("RFND", us, 0, m.distance_m, 4, 25)
    assert isinstance(m, GpsSample)
    north, east, down = m.velocity_ned_mps
    gps_ms = round((m.utc_ns / 1e9 - GPS_EPOCH_S + LEAP_S) * 1000.0)
    course = math.degrees(math.atan2(east, north)) % 360.0
    gps = packed(
        "GPS", us, receiver, m.fix_type, gps_ms % (WEEK_S * 1000), gps_ms // (WEEK_S * 1000), m.satellites,
        round(m.horizontal_accuracy_m / 3.0 * 100.0), round(m.latitude_deg * 1e7), round(m.longitude_deg * 1e7),
        round(m.altitude_amsl_m * 100.0), math.hypot(north, east), course, down, 0.0,
    )  # fmt: skip
    return gps + packed("GPA", us, receiver, 100, min(round(m.horizontal_accuracy_m * 100.0), 65_535), 200, 50)


# --- MAVLink telemetry log --------------------------------------------------------------------------------------------


def tlog_of(messages: Iterable[Telemetry], *, boot_ns: int = BOOT_NS, pictures_ns: Sequence[int] = ()) -> bytes:
    """The bytes of a .tlog of the flight as a ground station writes it."""
    from pymavlink.dialects.v20 import ardupilotmega as dialect

    mav = dialect.MAVLink(None, srcSystem=1, srcComponent=1)
    out: list[bytes] = []
    shots = list(pictures_ns)
    beat_ns = 0
    speed, altitude_m = 0.0, 0.0

    def add(t_ns: int, message: Any) -> None:
        out.append(struct.pack(">Q", ((START_UNIX_NS + t_ns) // 1000) & ~3) + message.pack(mav))
        mav.seq = (mav.seq + 1) % 256

    for m in messages:
        t_ns, boot_ms = m.t_ns, (boot_ns + m.t_ns) // 1_000_000
        while shots and shots[0] <= t_ns:
            add(shots.pop(0), dialect.MAVLink_camera_feedback_message(0, 1, 0, 0, 0, 0, 0.0, 0.0, 0, 0, 0, 0, 0))
        if t_ns >= beat_ns:
            beat_ns = t_ns + 1_000_000_000
            add(t_ns, dialect.MAVLink_heartbeat_message(1, 3, 128 + 81, 10, 4, 3))
            add(t_ns, dialect.MAVLink_ekf_status_report_message(0x1FF & ~128, 0.1, 0.1, 0.1, 0.1, 0.1))
        if isinstance(m, ImuSample):
            accel = [round(a / 9.80665 * 1000.0) for a in m.accel_body_mps2]
            gyro = [round(g * 1000.0) for g in m.gyro_body_radps]
            add(t_ns, dialect.MAVLink_raw_imu_message((boot_ns + t_ns) // 1000, *accel, *gyro, 0, 0, 0))
        elif isinstance(m, AttitudeSample):
            add(t_ns, dialect.MAVLink_attitude_message(boot_ms, *euler_of(m), 0.0, 0.0, 0.0))
        elif isinstance(m, AirspeedSample):
            speed = m.true_airspeed_mps * 0.98
        elif isinstance(m, BaroSample):
            altitude_m = m.altitude_amsl_m
            add(t_ns, dialect.MAVLink_vfr_hud_message(speed, 0.0, 0, 0, altitude_m, 0.0))
        elif isinstance(m, GpsSample):
            north, east, _ = m.velocity_ned_mps
            course = math.degrees(math.atan2(east, north)) % 360.0
            add(t_ns, dialect.MAVLink_system_time_message(m.utc_ns // 1000, boot_ms))
            add(t_ns, dialect.MAVLink_gps_raw_int_message(
                (boot_ns + t_ns) // 1000, m.fix_type, round(m.latitude_deg * 1e7), round(m.longitude_deg * 1e7),
                round(m.altitude_amsl_m * 1000.0), round(m.horizontal_accuracy_m / 3.0 * 100.0), 100,
                round(math.hypot(north, east) * 100.0), round(course * 100.0) % 36000, m.satellites, 0,
                round(m.horizontal_accuracy_m * 1000.0), 2000, 300, 0,
            ))  # fmt: skip
    return b"".join(out)


# --- PX4 ULog ---------------------------------------------------------------------------------------------------------

TOPICS: dict[str, str] = {
    "sensor_combined": "uint64_t timestamp;float[3] gyro_rad;float[3] accelerometer_m_s2;",
    "vehicle_attitude": "uint64_t timestamp;float[4] q;",
    "airspeed": "uint64_t timestamp;float indicated_airspeed_m_s;float true_airspeed_m_s;",
    "vehicle_air_data": "uint64_t timestamp;float baro_alt_meter;",
    "vehicle_gps_position": (
        "uint64_t timestamp;uint64_t time_utc_usec;double latitude_deg;double longitude_deg;double altitude_msl_m;"
        "float eph;float hdop;float vel_n_m_s;float vel_e_m_s;float vel_d_m_s;uint8_t fix_type;uint8_t satellites_used;"
        "uint8_t jamming_state;uint8_t spoofing_state;bool vel_ned_valid;"
    ),
    "camera_capture": "uint64_t timestamp;uint32_t seq;",
}


def _ulog_message(kind: str, body: bytes) -> bytes:
    return struct.pack("<HB", len(body), ord(kind)) + body


def ulog_of(messages: Iterable[Telemetry], *, boot_ns: int = BOOT_NS, pictures_ns: Sequence[int] = ()) -> bytes:
    """The bytes of a .ulg log of the flight."""
    out = [b"ULog\x01\x12\x35\x01" + struct.pack("<Q", boot_ns // 1000)]
    out += [_ulog_message("F", f"{name}:{fields}".encode()) for name, fields in TOPICS.items()]
    key = b"float SENS_BOARD_ROT"
    out.append(_ulog_message("P", struct.pack("<B", len(key)) + key + struct.pack("<f", 0.0)))
    numbers = {name: k for k, name in enumerate(TOPICS)}
    out += [_ulog_message("A", struct.pack("<BH", 0, k) + name.encode()) for name, k in numbers.items()]

    def add(name: str, t_ns: int, form: str, *values: Any) -> None:
        stamp = (boot_ns + t_ns) // 1000
        out.append(_ulog_message("D", struct.pack("<HQ" + form, numbers[name], stamp, *values)))

    for t_ns in pictures_ns:
        add("camera_capture", t_ns, "I", 0)
    for m in messages:
        if isinstance(m, ImuSample):
            add("sensor_combined", m.t_ns, "6f", *m.gyro_body_radps, *m.accel_body_mps2)
        elif isinstance(m, AttitudeSample):
            add("vehicle_attitude", m.t_ns, "4f", *m.quaternion_body_to_ned)
        elif isinstance(m, AirspeedSample):
            add("airspeed", m.t_ns, "2f", m.true_airspeed_mps * 0.98, m.true_airspeed_mps)
        elif isinstance(m, BaroSample):
            add("vehicle_air_data", m.t_ns, "f", m.altitude_amsl_m + 35.0)
        elif isinstance(m, GpsSample):
            add(
                "vehicle_gps_position", m.t_ns, "Q3d5f4B?", m.utc_ns // 1000, m.latitude_deg, m.longitude_deg,
                m.altitude_amsl_m, m.horizontal_accuracy_m, m.horizontal_accuracy_m / 3.0, *m.velocity_ned_mps,
                m.fix_type, m.satellites, 1, 3 if m.interference else 1, True,
            )  # fmt: skip
    return b"".join(out)


# --- iNav blackbox, decoded -------------------------------------------------------------------------------------------


def blackbox_of(messages: Iterable[Telemetry]) -> bytes:
    """The CSV that blackbox_decode --merge-gps writes of the flight: iNav's axes, raw accelerations of 512 counts."""
    names = (
        "loopIteration", "time (us)", "gyroADC[0]", "gyroADC[1]", "gyroADC[2]", "accSmooth[0]", "accSmooth[1]",
        "accSmooth[2]", "attitude[0]", "attitude[1]", "attitude[2]", "BaroAlt (cm)", "AirSpeed (cm/s)",
        "GPS_fixType", "GPS_numSat", "GPS_coord[0]", "GPS_coord[1]", "GPS_altitude", "GPS_speed (m/s)",
        "GPS_ground_course", "GPS_hdop", "GPS_eph (cm)",
    )  # fmt: skip
    lines = [", ".join(names)]
    latest: dict[type[Telemetry], Any] = {}
    for m in messages:
        latest[type(m)] = m
        if not isinstance(m, ImuSample) or not {AttitudeSample, AirspeedSample, BaroSample, GpsSample} <= set(latest):
            continue
        a, g = np.array(m.accel_body_mps2) / 9.80665 * 512.0, np.degrees(m.gyro_body_radps)
        roll, pitch, yaw = (math.degrees(v) * 10.0 for v in euler_of(latest[AttitudeSample]))
        gps: GpsSample = latest[GpsSample]
        north, east, _ = gps.velocity_ned_mps
        row = [
            len(lines), (BOOT_NS + m.t_ns) // 1000, *(round(v) for v in (g[0], -g[1], -g[2])),
            *(round(v) for v in (a[0], -a[1], -a[2])), round(roll), round(-pitch), round(yaw % 3600.0),
            round(latest[BaroSample].altitude_amsl_m * 100.0), round(latest[AirspeedSample].true_airspeed_mps * 98.0),
            gps.fix_type - 1, gps.satellites, f"{gps.latitude_deg:.7f}", f"{gps.longitude_deg:.7f}",
            round(gps.altitude_amsl_m), f"{math.hypot(north, east):.2f}",
            f"{math.degrees(math.atan2(east, north)) % 360.0:.1f}", round(gps.horizontal_accuracy_m / 3.0 * 100.0),
            round(gps.horizontal_accuracy_m * 100.0),
        ]  # fmt: skip
        lines.append(", ".join(str(v) for v in row))
    return ("\n".join(lines) + "\n").encode()


WRITERS: dict[str, Callable[[Messages], bytes]] = {
    ".bin": dataflash_of, ".tlog": tlog_of, ".ulg": ulog_of, ".csv": blackbox_of,
}  # fmt: skip


def write(folder: Path, suffix: str, messages: Messages) -> Path:
    """A log file of the flight."""
    path = folder / f"flight{suffix}"
    path.write_bytes(WRITERS[suffix](messages))
    return path
