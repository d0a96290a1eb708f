"""Synthetic evaluation rows: a flight whose errors, labels and latencies are made up from a seed."""

from __future__ import annotations

import collections
import math
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame, error_ellipse_95
from gps_denied_onboard.messages import (
    AidRecord,
    FixType,
    NavState,
    OdometryStatus,
    OdometryStep,
    PoseFix,
    RejectReason,
    SourceLabel,
)
from gps_denied_operator.scoring.frames import FrameResult

SRC = Path(__file__).resolve().parents[2] / "src"
ORIGIN = LocalFrame(48.42, 37.1, 140.0)
SECOND_NS = 1_000_000_000


def nav_state(
    t_ns: int,
    position_enu_m: np.ndarray,
    sigma_m: float = 3.0,
    label: SourceLabel = SourceLabel.SATELLITE_ANCHORED,
    stretch: float = 1.4,
    turn_rad: float = 0.6,
    age_ms: int = 0,
) -> NavState:
    """A state at a place of the synthetic world with an ellipse `stretch` times longer than wide."""
    along = np.array([math.cos(turn_rad), math.sin(turn_rad)])
    horizontal = sigma_m**2 * (np.eye(2) + (stretch**2 - 1.0) * np.outer(along, along))
    covariance = np.diag([0.0, 0.0, (1.5 * sigma_m) ** 2])
    covariance[:2, :2] = horizontal
    major, minor, azimuth = error_ellipse_95(covariance)
    latitude, longitude, altitude = ORIGIN.geodetic_from_enu(position_enu_m)
    return NavState(
        t_ns, float(latitude), float(longitude), float(altitude), (15.0, 5.0, 0.0), (1.0, 0.0, 0.0, 0.0),
        tuple(covariance.ravel().tolist()), major, minor, azimuth, sigma_m * stretch, 1.5 * sigma_m, 0.5, label,
        age_ms, FixType.FIX_3D,
    )  # fmt: skip


def route(count: int, speed_m: float) -> np.ndarray:
    """(count, 3) truth in ENU: legs of 1,800 m flown back and forth, 450 m apart, with round turns and a climb."""
    leg, radius = 1800.0, 225.0
    lap = leg + math.pi * radius
    points = []
    for k in range(count):
        number, s = divmod(k * speed_m, lap)
        side = 1.0 if number % 2 == 0 else -1.0
        if s < leg:
            x, y = side * (s - leg / 2), number * 2 * radius
        else:
            angle = (s - leg) / radius
            x = side * (leg / 2 + radius * math.sin(angle))
            y = number * 2 * radius + radius * (1 - math.cos(angle))
        points.append((x - 120.0, y - 900.0, 420.0 + 60.0 * math.tanh((k - count / 2) / 40.0)))
    return np.array(points)


def _label(k: int, count: int) -> tuple[SourceLabel, float]:
    """Label and sigma: anchored but for a stretch of odometry and a blackout that grows."""
    share = k / count
    if 0.42 < share < 0.5:
        return SourceLabel.DEAD_RECKONED, 6.0 + 900.0 * (share - 0.42)
    if share < 0.02 or 0.3 < share < 0.42 or k % 11 == 10:
        return SourceLabel.VISUAL_PROPAGATED, 5.0 + 60.0 * max(0.0, share - 0.3) * (share < 0.42)
    return SourceLabel.SATELLITE_ANCHORED, 3.0


def _aids(rng: np.random.Generator, t_ns: int, label: SourceLabel) -> tuple[AidRecord, ...]:
    made = []
    for source in ("baro", "airspeed", "odometry", "map_fix"):
        if source in {"odometry", "map_fix"} and label is SourceLabel.DEAD_RECKONED:
            continue
        if source == "map_fix" and label is SourceLabel.VISUAL_PROPAGATED:
            continue
        ratio = float(rng.chisquare(2) / 9.0)
        made.append(AidRecord(t_ns, source, (0.0,), (1.0,), (float(rng.normal()),), (1.0,), ratio, ratio < 1.0, ""))
    return tuple(made)


def _fix(rng: np.random.Generator, t_ns: int, truth: np.ndarray, label: SourceLabel, k: int) -> PoseFix | None:
    if label is SourceLabel.DEAD_RECKONED:
        return None
    accepted = label is SourceLabel.SATELLITE_ANCHORED
    position = truth + rng.normal(0.0, 2.0 if accepted else 60.0, 3)
    reason = "" if accepted else "few_inliers"
    return PoseFix(
        t_ns, accepted, RejectReason(reason), position, np.diag([1.0, -1.0, -1.0]), np.eye(6) * 4.0,
        60 if accepted else 7, 80, 1.1, False, {"inliers": 60.0 if accepted else 7.0}, k,
    )  # fmt: skip


def synthetic_flight(
    seed: int = 0, count: int = 600, *, hz: float = 1.0, name: str = "{:06d}.jpg", truth_every: int = 1
) -> list[FrameResult]:
    """Rows of one flight; truth on every `truth_every`th frame."""
    rng = np.random.default_rng(seed)
    truth = route(count, 16.7 / hz)
    drift = np.zeros(3)
    rows: list[FrameResult] = []
    for k in range(count):
        t_ns = 10 * SECOND_NS + round(k * SECOND_NS / hz)
        label, sigma = _label(k, count)
        drift = 0.8 * drift + rng.normal(0.0, 0.6 * sigma, 3)
        state = nav_state(t_ns, truth[k] + drift * (1, 1, 0.5), sigma, label, age_ms=0) if k > 2 else None
        step = None
        if k:
            ok = label is not SourceLabel.DEAD_RECKONED
            moved = truth[k] - truth[k - 1] + rng.normal(0.0, 0.15, 3)
            step = OdometryStep(
                rows[-1].t_ns, t_ns, OdometryStatus.OK if ok else OdometryStatus.LOST, "" if ok else "dark frame",
                moved, 0.0, 0.0,
                np.eye(4) * 0.02, 1.0, 400, 300, 0.4, 450.0, 9.0,
            )  # fmt: skip
        latitude, longitude, altitude = (float(v) for v in ORIGIN.geodetic_from_enu(truth[k]))
        known = k % truth_every == 0
        stages = {stage: float(rng.gamma(6.0, scale)) for stage, scale in (
            ("odometry", 6.0), ("place", 1.5), ("match", 9.0), ("pose", 0.7), ("fusion", 0.3))}  # fmt: skip
        rows.append(
            FrameResult(
                t_ns,
                k,
                name.format(k),
                latitude if known else None,
                longitude if known else None,
                altitude if known else None,
                state,
                _fix(rng, t_ns, truth[k], label, k),
                step,
                sum(stages.values()),
                stages,
                _aids(rng, t_ns, label),
            )
        )
    return rows


@pytest.fixture(scope="session")
def make_flight() -> Callable[..., list[FrameResult]]:
    """Return `synthetic_flight`."""
    return synthetic_flight


@pytest.fixture(scope="session")
def make_state() -> Callable[..., NavState]:
    """Return `nav_state`."""
    return nav_state


@pytest.fixture(scope="session")
def origin() -> LocalFrame:
    """Return the tangent plane of the synthetic world."""
    return ORIGIN


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Callable[[int], str]]:
    """Return what starts a real scheduler with so many workers on loopback and gives its address."""
    from ..gps_denied_onboard.live.peer import free_port

    running: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "PYTHONPATH": str(SRC)}

    def start(module: str, *words: str, until: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *words, "--no-dashboard"]
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stderr is not None
        assert any(until in line for line in process.stderr), f"{module} ended before it was ready"
        # What nobody reads fills the pipe, and then the process stands still in the middle of a log line.
        threading.Thread(target=collections.deque, args=(process.stderr, 0), daemon=True).start()

    def begin(workers: int) -> str:
        address = f"tcp://127.0.0.1:{free_port(socket.SOCK_STREAM)}"
        port = address.rpartition(":")[2]
        start("dask_scheduler", "--host", "127.0.0.1", "--port", port, until="Scheduler at")
        for _ in range(workers):
            start("dask_worker", address, "--nthreads", "1", "--no-nanny", until="Registered to")
        return address

    yield begin
    for process in running:
        process.kill()
        process.wait()
