"""A GPS that was left on our state's word alone is given back once that word is worth nothing, and no other."""

from __future__ import annotations

from dataclasses import replace

from gps_denied_onboard.integrity.gps_health import by_comparison
from gps_denied_onboard.messages import Alert, GpsHealth, PositionSource

from .test_monitor import STEP, Flight, ours, told

CREEP_MPS = 3.0
GIVEN_BACK = "GPS given back: our own state is in doubt"


class Forged(Flight):
    """A flight that left its GPS because that crept away from our state, its velocity agreeing with its position."""

    def __init__(self) -> None:
        super().__init__()
        self.fly(12.0).fix().fly(1.0)
        assert self.monitor.source is PositionSource.GPS
        self.off_m = 0.0
        while self.monitor.source is PositionSource.GPS:
            assert self.off_m < 500.0
            self.say()
        assert by_comparison(self.monitor._health)

    def say(self, samples: int = 1, jump_m: float = 0.0, in_doubt: bool = False, satellites: int = 12) -> None:
        """Samples of the GPS that creep on, after a jump."""
        self.off_m += jump_m
        for _ in range(samples):
            self.t_ns += STEP
            self.off_m += CREEP_MPS * STEP * 1e-9
            estimate = replace(ours(self.t_ns), healthy=not in_doubt)
            velocity_ned_mps = (CREEP_MPS, 17.0, 0.0)
            sample = told(self.t_ns, self.off_m, velocity_ned_mps=velocity_ned_mps, satellites=satellites)
            self.told += self.monitor.on_gps(sample, estimate)


def test_a_gps_left_on_our_word_is_given_back_when_we_are_in_doubt() -> None:
    """It said nothing wrong of itself: it becomes the source again, recorded and told at once."""
    flight = Forged()
    flight.say(2, in_doubt=True)
    assert flight.monitor.source is PositionSource.GPS
    (alert,) = [t for t in flight.told if isinstance(t, Alert) and t.text == GIVEN_BACK]
    assert alert.always
    assert flight.records("position_source")[-1].reason == "gps: given back, our own state is in doubt"


def test_a_gps_that_has_contradicted_itself_since_is_not_given_back() -> None:
    """It jumped after we left it: it is forged whatever our state is worth, also once the jump is forgotten."""
    flight = Forged()
    flight.say(jump_m=800.0)
    assert flight.monitor.health is GpsHealth.SPOOFED
    assert not by_comparison(flight.monitor._health)
    flight.say(200)
    assert by_comparison(flight.monitor._health)
    flight.say(200, in_doubt=True)
    assert flight.monitor.source is PositionSource.COMPANION
    assert GIVEN_BACK not in flight.alerts


def test_a_receiver_that_calls_itself_poor_is_given_back_once_it_is_good() -> None:
    """Four satellites are nothing to go back to; a good sample is."""
    flight = Forged()
    flight.say(in_doubt=True, satellites=4)
    assert flight.monitor.source is PositionSource.COMPANION
    flight.say(60, in_doubt=True)
    assert flight.monitor.source is PositionSource.GPS
