"""Readers of logs: the same flight comes out of every format."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.rotations import matrix_from_quaternion
from gps_denied_onboard.messages import (
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    GpsSample,
    ImuSample,
    Telemetry,
)
from gps_denied_operator.logs.flight_log import FlightLog, LogKind
from gps_denied_operator.logs.open_log import open_log
from tests.gps_denied_operator.logs import log_files
from tests.gps_denied_operator.logs.log_files import (
    BOOT_NS,
    START_UNIX_NS,
    WRITERS,
    dataflash_head,
    dataflash_message,
    dataflash_of,
    flight,
    moved,
    packed,
    tlog_of,
    write,
)

MINUTES = 0.5


def nearest(messages: list[Telemetry], kind: type[Telemetry], t_s: float) -> Telemetry:
    """The sample of a kind that is nearest to a time."""
    return min((m for m in messages if type(m) is kind), key=lambda m: abs(m.t_ns / 1e9 - t_s))


def offset_s(log: FlightLog, messages: list[Telemetry]) -> float:
    """From the flight's time to the log's: a table's rows begin when every sensor has spoken."""
    first = next(m for m in log.messages if isinstance(m, ImuSample))
    if log.kind is LogKind.BLACKBOX_CSV:
        kinds = (AttitudeSample, AirspeedSample, BaroSample, GpsSample)
        spoken_ns = max(next(m.t_ns for m in messages if type(m) is kind) for kind in kinds)
        return first.t_ns / 1e9 - next(m.t_ns for m in messages if type(m) is ImuSample and m.t_ns > spoken_ns) / 1e9
    return first.t_ns / 1e9 - next(m for m in messages if isinstance(m, ImuSample)).t_ns / 1e9


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_gives_the_flights_own_values(suffix: str, tmp_path: Path) -> None:
    """Acceleration, rate, attitude, airspeed, height and place of a log are those of the flight, in SI units."""
    messages = flight(minutes=MINUTES)
    log = open_log(write(tmp_path, suffix, messages))
    read, shift = list(log.messages), offset_s(log, messages)
    for t_s in (8.0, 15.0, 24.0):
        at = t_s + shift
        imu, true_imu = nearest(read, ImuSample, at), nearest(messages, ImuSample, t_s)
        assert isinstance(imu, ImuSample)
        assert isinstance(true_imu, ImuSample)
        tolerance = 0.25 if suffix == ".csv" else 0.02  # raw counts, a g by their middle
        assert imu.accel_body_mps2 == pytest.approx(true_imu.accel_body_mps2, abs=tolerance)
        assert imu.gyro_body_radps == pytest.approx(true_imu.gyro_body_radps, abs=0.02)
        attitude, true_attitude = nearest(read, AttitudeSample, at), nearest(messages, AttitudeSample, t_s)
        assert isinstance(attitude, AttitudeSample)
        assert isinstance(true_attitude, AttitudeSample)
        turned = matrix_from_quaternion(attitude.quaternion_body_to_ned).T @ matrix_from_quaternion(
            true_attitude.quaternion_body_to_ned
        )
        assert math.acos(min((np.trace(turned) - 1.0) / 2.0, 1.0)) < math.radians(2.0)
        gps, true_gps = nearest(read, GpsSample, at), nearest(messages, GpsSample, t_s)
        assert isinstance(gps, GpsSample)
        assert isinstance(true_gps, GpsSample)
        assert gps.latitude_deg == pytest.approx(true_gps.latitude_deg, abs=4e-5)
        assert gps.longitude_deg == pytest.approx(true_gps.longitude_deg, abs=6e-5)
        assert gps.velocity_ned_mps[:2] == pytest.approx(true_gps.velocity_ned_mps[:2], abs=1.0)
        airspeed, true_airspeed = nearest(read, AirspeedSample, at), nearest(messages, AirspeedSample, t_s)
        assert isinstance(airspeed, AirspeedSample)
        assert isinstance(true_airspeed, AirspeedSample)
        assert airspeed.true_airspeed_mps == pytest.approx(true_airspeed.true_airspeed_mps, rel=0.06)
        baro, true_baro = nearest(read, BaroSample, at), nearest(messages, BaroSample, t_s)
        assert isinstance(baro, BaroSample)
        assert isinstance(true_baro, BaroSample)
        assert baro.altitude_amsl_m == pytest.approx(true_baro.altitude_amsl_m, abs=12.0)


def test_a_log_that_is_cut_in_the_middle_is_used_up_to_there(tmp_path: Path) -> None:
    """Of each format half of the bytes give about half of the flight."""
    for suffix, made in WRITERS.items():
        data = made(flight(minutes=MINUTES))
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(data[: len(data) // 2 + 7])
        assert 12.0 < open_log(path).duration_ns / 1e9 < 18.0, suffix


def test_a_clock_that_starts_again_breaks_the_log(tmp_path: Path) -> None:
    """Two flights in one file stay apart: one break, no time runs back, and it is said."""
    one = dataflash_of(flight(minutes=MINUTES))
    path = tmp_path / "two.bin"
    path.write_bytes(one + one)
    log = open_log(path)
    assert len(log.breaks_ns) == 1
    times = [m.t_ns for m in log.messages]
    assert times == sorted(times)
    assert any("started again" in note for note in log.notes)


def test_a_log_whose_time_stands_still_is_refused(tmp_path: Path) -> None:
    """A decoder's table with 0 in each row of its time, as old ones wrote it: no flight of no length."""
    path = write(tmp_path, ".csv", flight(minutes=0.2))
    head, *rows = path.read_text().splitlines()
    at = [name.strip() for name in head.split(",")].index("time (us)")
    still = [",".join("0" if k == at else cell for k, cell in enumerate(row.split(","))) for row in rows]
    path.write_text("\n".join([head, *still]) + "\n")
    with pytest.raises(UserError, match="time stands still"):
        open_log(path)


def test_a_ulogs_clock_that_starts_again_breaks_it(tmp_path: Path) -> None:
    """Topics come one after the other there: where most of them run back together a second part begins."""
    messages = flight(minutes=MINUTES)
    path = write(tmp_path, ".ulg", [*messages, *messages])
    log = open_log(path)
    assert [t_ns / 1e9 for t_ns in log.breaks_ns] == pytest.approx([31.0], abs=0.2)
    assert len(log.messages) == 2 * len(messages)
    assert any("started again" in note for note in log.notes)


def test_of_two_ulogs_in_one_file_the_longer_is_read(tmp_path: Path) -> None:
    """The library does not read on beyond a second head: it is said, and which was taken."""
    path = tmp_path / "two.ulg"
    path.write_bytes(log_files.ulog_of(flight(minutes=0.2)) + log_files.ulog_of(flight(minutes=MINUTES)))
    log = open_log(path)
    assert log.duration_ns / 1e9 == pytest.approx(60.0 * MINUTES, abs=0.5)
    assert any("2 logs were put into one file" in note for note in log.notes)


def test_one_damaged_time_in_a_ulog_costs_one_row(tmp_path: Path) -> None:
    """A time that is hours ahead for a single row does not make those that follow run back."""
    data = bytearray(log_files.ulog_of(flight(minutes=MINUTES)))
    stamp = struct.pack("<Q", (BOOT_NS + 10_000_000_000) // 1000)
    at = data.find(stamp)
    data[at : at + 8] = struct.pack("<Q", (BOOT_NS + 9_000_000_000_000) // 1000)
    path = tmp_path / "damaged.ulg"
    path.write_bytes(data)
    log = open_log(path)
    alone = open_log(write(tmp_path, ".ulg", flight(minutes=MINUTES)))
    assert len(log.messages) == len(alone.messages) - 1
    assert log.duration_ns == alone.duration_ns
    assert any("1 times of" in note for note in log.notes)


@pytest.mark.parametrize(("unit", "per_m"), [("centimetres", 100.0), ("feet", 1.0 / 0.3048)])
def test_heights_in_another_unit_are_converted_and_told(unit: str, per_m: float, tmp_path: Path) -> None:
    """A barometer whose heights follow the receiver's at the ratio of a unit is set right; one in metres is left."""

    def climbing(scale: float) -> list[Telemetry]:
        out: list[Telemetry] = []
        for m in flight(minutes=MINUTES):
            up_m = 8.0 * m.t_ns / 1e9
            if isinstance(m, BaroSample):
                m = BaroSample(m.t_ns, (m.altitude_amsl_m + up_m) * scale)
            out.append(moved(m, 0.0, 0.0, up_m) if isinstance(m, GpsSample) else m)
        return out

    def heights(scale: float) -> tuple[list[float], str]:
        log = open_log(write(tmp_path, ".bin", climbing(scale)))
        return [m.altitude_amsl_m for m in log.messages if isinstance(m, BaroSample)], " ".join(log.notes)

    right, quiet = heights(1.0)
    got, said = heights(per_m)
    assert got == pytest.approx(right, abs=0.5)
    assert unit in said
    assert "converted" not in quiet


@pytest.mark.parametrize(("unit", "per_mps"), [("km/h", 3.6), ("knots", 3600.0 / 1852.0), ("", 1.0), ("", 1.2)])
def test_airspeeds_in_another_unit_are_converted_and_told(unit: str, per_mps: float, tmp_path: Path) -> None:
    """By air and ground where the flight turns; a tube that shows a fifth too much stays as it is."""
    flown = [m for m in flight(minutes=4.0) if isinstance(m, AirspeedSample | AttitudeSample | GpsSample)]
    true = [m for m in flown if isinstance(m, AirspeedSample)]
    messages = [
        AirspeedSample(m.t_ns, m.true_airspeed_mps * per_mps) if isinstance(m, AirspeedSample) else m for m in flown
    ]
    log = open_log(write(tmp_path, ".ulg", messages))
    got = [m for m in log.messages if isinstance(m, AirspeedSample)]
    share = 1.0 if unit else per_mps
    assert got[600].true_airspeed_mps == pytest.approx(share * true[600].true_airspeed_mps, rel=1e-3)
    assert [note for note in log.notes if "airspeeds are in" in note] == (
        [f"its airspeeds are in {unit}, not in m/s as its format says: they were converted."] if unit else []
    )


def test_a_fix_at_zero_zero_is_no_place(tmp_path: Path) -> None:
    """A receiver that claims a fix at latitude 0 and longitude 0 at first has none: nothing starts there."""
    lost = [
        replace(m, latitude_deg=0.0, longitude_deg=0.0) if isinstance(m, GpsSample) and m.t_ns < 10_000_000_000 else m
        for m in flight(minutes=MINUTES)
    ]
    log = open_log(write(tmp_path, ".bin", lost))
    first = next(m for m in log.messages if isinstance(m, GpsSample))
    assert first.t_ns >= 10_000_000_000
    assert log.own_origin is not None
    assert log.own_origin.latitude_deg > 1.0
    assert any("50 GPS fixes at latitude 0" in note for note in log.notes)


def test_garbage_inside_is_passed_over(tmp_path: Path) -> None:
    """A kilobyte of noise in the middle costs little, and is told."""
    noise = np.random.default_rng(1).integers(0, 255, 1000, dtype=np.uint8).tobytes()
    for suffix in (".bin", ".tlog"):
        data = WRITERS[suffix](flight(minutes=MINUTES))
        path = tmp_path / f"noisy{suffix}"
        path.write_bytes(data[:200_000] + noise + data[200_000:])
        log = open_log(path)
        assert log.duration_ns / 1e9 == pytest.approx(30.0, abs=2.0)
        assert log.notes, suffix


def test_rates_in_degrees_are_converted_and_told(tmp_path: Path) -> None:
    """Gyros in degrees and accelerations in g, against what the format says, are set right."""
    messages = flight(minutes=1.0)
    wrong = [
        ImuSample(m.t_ns, tuple(a / 9.80665 for a in m.accel_body_mps2), tuple(map(math.degrees, m.gyro_body_radps)))  # type: ignore[arg-type]
        if isinstance(m, ImuSample)
        else m
        for m in messages
    ]
    log = open_log(write(tmp_path, ".bin", wrong))
    got = [m for m in log.messages if isinstance(m, ImuSample)]
    true = [m for m in messages if isinstance(m, ImuSample)]
    assert got[500].accel_body_mps2 == pytest.approx(true[500].accel_body_mps2, abs=0.05)
    assert got[500].gyro_body_radps == pytest.approx(true[500].gyro_body_radps, abs=0.02)
    assert sum("converted" in note for note in log.notes) == 2


@pytest.mark.parametrize("data", [b"", b"hello", b"\xa3\x95\x80", b"ULog\x01\x12\x35", b"\x00" * 9 + b"\xfd"])
def test_what_is_no_log_is_told_in_a_sentence(data: bytes, tmp_path: Path) -> None:
    """An empty file, text and torn heads are a UserError."""
    path = tmp_path / "x.bin"
    path.write_bytes(data)
    with pytest.raises(UserError):
        open_log(path)


def test_damage_is_not_printed_on_stdout(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What the libraries say of a damaged log does not mix with a command's JSON."""
    for suffix in (".bin", ".tlog", ".ulg"):
        data = bytearray(WRITERS[suffix](flight(minutes=MINUTES)))
        data[50_000:50_400] = bytes(400)
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(data)
        assert open_log(path).notes, suffix
    assert capfd.readouterr().out == ""


def test_a_raw_blackbox_names_the_decoder(tmp_path: Path) -> None:
    """No kept library reads it: the sentence says what does."""
    path = tmp_path / "LOG00001.TXT"
    path.write_bytes(b"H Product:Blackbox flight data recorder by Nicholas Sherlock\nH Data version:2\n")
    with pytest.raises(UserError, match="blackbox_decode"):
        open_log(path)


def test_another_systems_packets_are_not_the_vehicles(tmp_path: Path) -> None:
    """A ground station's heartbeats in a telemetry log are no vehicle."""
    path = tmp_path / "gcs.tlog"
    data = tlog_of([])
    path.write_bytes(data + b"\0" * 20)
    with pytest.raises(UserError):
        open_log(path)


def test_gps_in_the_table_beside_is_that_of_the_merged_one(tmp_path: Path) -> None:
    """blackbox_decode without --merge-gps writes two tables: the GPS of the second comes at its own times."""
    rows = [line.split(", ") for line in log_files.blackbox_of(flight(minutes=MINUTES)).decode().splitlines()]
    at = rows[0].index("GPS_fixType")
    main, gps = [row[:at] for row in rows], [[row[1], *row[at:]] for row in [rows[0], *rows[1::10]]]
    path = tmp_path / "LOG00001.01.csv"
    for name, table in ((path, main), (tmp_path / "LOG00001.01.gps.csv", gps)):
        name.write_text("".join(", ".join(row) + "\n" for row in table))
    log = open_log(path)
    samples = [m for m in log.messages if isinstance(m, GpsSample)]
    assert log.breaks_ns == ()
    assert [(m.t_ns, m.latitude_deg) for m in samples] == [
        ((int(row[0]) - int(rows[1][1])) * 1000, float(row[gps[0].index("GPS_coord[0]")])) for row in gps[1:]
    ]


def test_camera_messages_are_events(tmp_path: Path) -> None:
    """A CAM message and a CAMERA_FEEDBACK are pictures at their times."""
    messages = flight(minutes=MINUTES)
    shots = [5_000_000_000, 9_000_000_000]
    for suffix, made in ((".bin", dataflash_of), (".tlog", tlog_of), (".ulg", log_files.ulog_of)):
        path = tmp_path / f"shots{suffix}"
        path.write_bytes(made(messages, pictures_ns=shots))
        assert [t_ns / 1e9 for t_ns in open_log(path).camera_ns] == pytest.approx([5.0, 9.0], abs=0.1), suffix


def fed_dataflash(messages: Sequence[Telemetry], second: int) -> bytes:
    """A log whose first receiver is a companion's, 300 m off; `second` is the type of the second one."""
    out = [dataflash_head()]
    for name, value in (("GPS1_TYPE", 14.0), ("GPS2_TYPE", float(second))):
        out.append(packed("PARM", BOOT_NS // 1000, name, value, 0.0))
    for m in messages:
        us = (BOOT_NS + m.t_ns) // 1000
        if isinstance(m, GpsSample):
            out.append(dataflash_message(moved(m, 300.0, 0.0), us, 0.0, 0))
        if second or not isinstance(m, GpsSample):
            out.append(dataflash_message(m, us, 0.0, 1 if isinstance(m, GpsSample) else 0))
    return b"".join(out)


def fed_tlog(messages: Sequence[Telemetry]) -> bytes:
    """The like as a .tlog, whose parameters come in the middle."""
    from pymavlink.dialects.v20 import ardupilotmega as dialect

    mav = dialect.MAVLink(None, srcSystem=1, srcComponent=1)
    half = len(messages) // 2
    stamp = struct.pack(">Q", ((START_UNIX_NS + messages[half].t_ns) // 1000) & ~3)
    told = [dialect.MAVLink_param_value_message(name, value, 9, 900, 1)
            for name, value in ((b"GPS1_TYPE", 14.0), (b"GPS2_TYPE", 1.0))]  # fmt: skip
    out = [tlog_of([moved(m, 300.0, 0.0) if isinstance(m, GpsSample) else m for m in messages[:half]])]
    out += [stamp + m.pack(mav) for m in told]
    for m in messages[half:]:
        piece = tlog_of([m])
        if isinstance(m, GpsSample):
            us, deg = (BOOT_NS + m.t_ns) // 1000, 1e7
            second = dialect.MAVLink_gps2_raw_message(
                us, m.fix_type, round(m.latitude_deg * deg), round(m.longitude_deg * deg),
                round(m.altitude_amsl_m * 1e3), 100, 100, 2000, 0, m.satellites, 0, 0,
            )  # fmt: skip
            piece += struct.pack(">Q", ((START_UNIX_NS + m.t_ns) // 1000) & ~3) + second.pack(mav)
        out.append(piece)
    return b"".join(out)


@pytest.mark.parametrize("suffix", [".bin", ".tlog"])
def test_a_companions_own_feed_is_no_receiver(suffix: str, tmp_path: Path) -> None:
    """Where the first receiver is what a companion feeds (type 14) the second one is read, whenever that is told."""
    messages = flight(minutes=MINUTES)
    path = tmp_path / f"fed{suffix}"
    path.write_bytes(fed_dataflash(messages, 1) if suffix == ".bin" else fed_tlog(messages))
    log = open_log(path)
    samples = [m for m in log.messages if isinstance(m, GpsSample)]
    true = [m for m in messages if isinstance(m, GpsSample)]
    assert len(samples) >= len(true) // 2 - 2
    low, high = min(m.latitude_deg for m in true), max(m.latitude_deg for m in true)
    assert all(low - 1e-5 < m.latitude_deg < high + 1e-5 for m in samples)
    assert any("second one was taken" in note for note in log.notes)


def test_a_feed_that_is_the_only_receiver_is_said(tmp_path: Path) -> None:
    """A log with nothing but a companion's feed says that it is no truth."""
    path = tmp_path / "fed.bin"
    path.write_bytes(fed_dataflash(flight(minutes=MINUTES), 0))
    log = open_log(path)
    assert any(isinstance(m, GpsSample) for m in log.messages)
    assert any("do not score the computer by it" in note for note in log.notes)


def test_a_ground_stations_clock_that_runs_away_moves_no_picture(tmp_path: Path) -> None:
    """Messages without a time of their own stay with those of the autopilot's clock, though the two clocks part."""
    taken_ns = [5_000_000_000 + k * 1_000_000_000 for k in range(24)]
    packets, at, out = tlog_of(flight(minutes=MINUTES), pictures_ns=taken_ns), 0, []
    first = struct.unpack(">Q", packets[:8])[0]
    while at < len(packets):
        size = 8 + 12 + packets[at + 9]  # stamp, MAVLink 2 without a signature
        stamp = struct.unpack(">Q", packets[at : at + 8])[0]
        out.append(struct.pack(">Q", first + round(1.02 * (stamp - first))) + packets[at + 8 : at + size])
        at += size
    path = tmp_path / "fast.tlog"
    path.write_bytes(b"".join(out))
    apart_ns = np.array(open_log(path).camera_ns) - np.array(taken_ns)
    assert np.ptp(apart_ns) < 150_000_000  # by arrival alone it would be 460 ms
