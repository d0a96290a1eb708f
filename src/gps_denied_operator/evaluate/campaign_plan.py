"""What a campaign does to GPS and camera, and when: made from seeds alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gps_denied_sim.schedule import Event

ATTACKS = ("spoof-jump", "spoof-ramp", "jam")
BLACKOUTS_S = (5.0, 15.0, 35.0)
WINDOW_S = 105.0
SETTLE_S = 10.0
"""Start of a flight, which is left alone."""
BRIGHT_S = 9.0
"""Between two blackouts."""
KINDS = {"spoof-jump": "gps_jump", "spoof-ramp": "gps_ramp", "jam": "gps_jam"}


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack on GPS inside its own window of a flight; times in s of the flight's time.

    `hidden`: a ramp whose velocity claims to be the true one.
    """

    kind: str
    seed: int
    from_s: float
    until_s: float
    event: Event
    hidden: bool = False

    def forged_m(self, t_s: float) -> float:
        """How far the GPS is led astray at `t_s`; infinite where it is jammed."""
        if not self.event.start_s <= t_s < self.event.end_s:
            return 0.0
        if self.event.kind == "gps_jam":
            return math.inf
        if self.event.kind == "gps_jump":
            return self.event.value
        return self.event.value * (t_s - self.event.start_s)


def attacks(kind: str, flight: int, flight_s: float, count: int) -> tuple[Attack, ...]:
    """`count` attacks spread over a flight. Windows overlap where there are many: each meets a fresh monitor.

    The GPS is true for 25 to 40 s, then wrong for 10 to 40 s (a ramp: until it has reached 60 m, or for 45 s), then
    true again. Jumps are of 300 to 900 m, ramps of 0.5 to 5 m/s; every second ramp hides its velocity.
    """
    from gps_denied_sim.noise import stream
    from gps_denied_sim.schedule import Event

    out = []
    for k in range(count):
        seed = flight * 10_000 + k
        rng = stream(seed, "campaign", ATTACKS.index(kind))
        from_s = SETTLE_S + (flight_s - SETTLE_S - WINDOW_S) * (k / max(count - 1, 1))
        start_s = from_s + float(rng.uniform(25.0, 40.0))
        length_s = float(rng.uniform(10.0, 40.0))
        value = {"spoof-jump": float(rng.uniform(300.0, 900.0)), "spoof-ramp": float(rng.uniform(0.5, 5.0)), "jam": 0.0}
        if kind == "spoof-ramp":
            length_s = min(45.0, 60.0 / value[kind])
        event = Event(KINDS[kind], start_s, start_s + length_s, value[kind], float(rng.uniform(0.0, 360.0)))
        out.append(Attack(kind, seed, from_s, from_s + WINDOW_S, event, kind == "spoof-ramp" and k % 2 == 1))
    return tuple(out)


def blackouts(flight: int, turn: int, flight_s: float) -> tuple[Event, ...]:
    """Blackouts of 5, 15 and 35 s in turn, 9 s of sight between them, over a whole flight; `turn` shifts them."""
    from gps_denied_sim.noise import stream
    from gps_denied_sim.schedule import Event

    at_s = SETTLE_S + float(stream(flight, "campaign-dark", turn).uniform(0.0, 10.0))
    out: list[Event] = []
    while True:
        length_s = BLACKOUTS_S[(len(out) + turn) % len(BLACKOUTS_S)]
        if at_s + length_s + BRIGHT_S > flight_s:
            return tuple(out)
        out.append(Event("camera_dark", at_s, at_s + length_s))
        at_s += length_s + BRIGHT_S
