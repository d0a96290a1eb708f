"""The integrity monitor of a flight: labels, GPS health, spoofing gate, failsafe ladder; each decision is a record.

Pure: what happened goes in, records and alerts come out. Nothing of the autopilot's GPS reaches the fusion from here.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import log_rotation
from gps_denied_onboard.integrity import failsafe, gps_health, recovery_gate
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.gps_health import Comparison, GpsMeasurement, HealthState, Reference
from gps_denied_onboard.integrity.source_label import LabelLimits, LabelState, horizontal_accuracy_m
from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    Alert,
    Estimate,
    FixType,
    FloatArray,
    GpsHealth,
    GpsSample,
    NavState,
    PoseFix,
    PositionSource,
    Severity,
    SourceLabel,
)

IntegrityOutput = AidRecord | Alert

LABEL_SEVERITY = {
    SourceLabel.SATELLITE_ANCHORED: Severity.INFO,
    SourceLabel.VISUAL_PROPAGATED: Severity.NOTICE,
    SourceLabel.DEAD_RECKONED: Severity.WARNING,
}
HEALTH_SEVERITY = {
    GpsHealth.UNKNOWN: Severity.NOTICE,
    GpsHealth.STABLE_NON_SPOOFED: Severity.INFO,
    GpsHealth.DEGRADED: Severity.WARNING,
    GpsHealth.SPOOFED: Severity.CRITICAL,
}
CLAIMS_KEPT = 64
FAR_IN_TIME_S = 5.0


class Integrity:
    """See the module. `labels` is what the pictures gave so far."""

    def __init__(self, local: LocalFrame, limits: LabelLimits, config: IntegrityConfig, map_sigma_m: float) -> None:
        self._setup = (local, limits, config, map_sigma_m)
        self.labels = LabelState()
        self._local = local
        self._limits = limits
        self._config = config
        self._map_variance_m2 = map_sigma_m**2
        self._health = HealthState()
        self._gate = recovery_gate.GateState()
        self._ladder = failsafe.FailsafeState()
        self._claims: deque[GpsMeasurement] = deque(maxlen=CLAIMS_KEPT)
        self._label: SourceLabel | None = None
        self._now_ns: int | None = None
        self._dark_major_m = 0.0
        self._left_by_comparison = False

    def fresh(self) -> Integrity:
        """A monitor of the same settings that has seen nothing."""
        return Integrity(*self._setup)

    @property
    def health(self) -> GpsHealth:
        """The verdict on the autopilot's GPS."""
        return self._health.health

    @property
    def source(self) -> PositionSource:
        """Whom the autopilot should follow."""
        return self._gate.source

    @property
    def config(self) -> IntegrityConfig:
        """The limits of the failsafe ladder and of the verdicts."""
        return self._config

    @property
    def sound_gps_en_m(self) -> FloatArray | None:
        """(2,) where the GPS said last that it is; None where it says itself, or contradicts itself so that it shows,
        that it is not good."""
        if not self._claims or self._health.health not in (GpsHealth.UNKNOWN, GpsHealth.STABLE_NON_SPOOFED):
            return None
        claim = self._claims[-1]
        return None if gps_health.quality_faults(claim, self._config) else np.array(claim.position_en_m)

    def is_comparable(self, t_ns: int) -> bool:
        """Whether a GPS sample of this time can be compared with a state: not far from the flight's own time."""
        return self._now_ns is None or abs(t_ns - self._now_ns) <= FAR_IN_TIME_S * 1e9

    def on_sample(self, t_ns: int) -> None:
        """The autopilot was heard: the flight has begun."""
        self.labels = self.labels.started(t_ns)

    def on_frame(self, t_ns: int) -> None:
        """A frame has come, whatever becomes of it."""
        self.labels = self.labels.saw(t_ns)

    def on_odometry(self, t_ns: int, accepted: bool) -> None:
        """The odometry to the frame of this time was fused, or not."""
        self.labels = self.labels.moved(t_ns) if accepted else self.labels.failed(t_ns)

    def on_gps(self, sample: GpsSample, estimate: Estimate | None) -> list[IntegrityOutput]:
        """A sample of the autopilot's GPS and our state at its time."""
        claim = measurement_of(sample, self._local)
        reference = reference_of(estimate)
        self._claims.append(claim)
        before = self._health
        self._health, compared = gps_health.assess(before, claim, reference, self._config)
        out: list[IntegrityOutput] = [self._record(claim, compared), *self._health_changed(sample.t_ns, before.health)]
        if self._health.health is GpsHealth.SPOOFED and not gps_health.by_comparison(self._health):
            self._left_by_comparison = False  # it has contradicted itself since
        if self._left_by_comparison and self._may_be_given_back(claim, reference):
            # It was left on our word alone, and our word is worth nothing now.
            self._left_by_comparison = False
            self._gate = replace(self._gate, source=PositionSource.GPS)
            why = "gps: given back, our own state is in doubt"
            out.append(AidRecord(sample.t_ns, AidSource.POSITION_SOURCE, (), (), (), (), 0.0, True, why))
            out.append(Alert(sample.t_ns, Severity.CRITICAL, "GPS given back: our own state is in doubt", always=True))
        return out

    def _may_be_given_back(self, claim: GpsMeasurement, reference: Reference | None) -> bool:
        """Whether a GPS that we left is worth more than our own state: that is in doubt, the GPS says nothing wrong."""
        in_doubt = reference is not None and not reference.trusted
        sound = self._health.health is GpsHealth.UNKNOWN and not gps_health.quality_faults(claim, self._config)
        return self.source is PositionSource.COMPANION and in_doubt and sound

    def on_fix(self, fix: PoseFix, estimate: Estimate | None) -> list[IntegrityOutput]:
        """A satellite fix that the fusion accepted, and our state at its time: the gate may take the GPS back."""
        self.labels = self.labels.anchored(fix.t_ns)
        if not recovery_gate.waits_for_fix(self._gate, fix.t_ns, self._config):
            return []
        claim = recovery_gate.measurement_at(tuple(self._claims), fix.t_ns, self._config)
        check = None if claim is None or estimate is None else self._check(claim, fix, estimate)
        now_ns = max(fix.t_ns, self._now_ns or 0)
        self._gate, decision = recovery_gate.on_fix(self._gate, now_ns, check, self._config)
        record = AidRecord(
            t_ns=fix.t_ns,
            source=AidSource.GPS_GATE,
            observation=() if claim is None else claim.position_en_m,
            observation_variance=() if claim is None else (claim.accuracy_m**2,) * 2,
            innovation=() if check is None else check.from_fix_en_m,
            innovation_variance=() if check is None else (check.covariance_m2[0], check.covariance_m2[2]),
            test_ratio=decision.test_ratio,
            accepted=decision.accepted,
            reason=decision.reason,
        )
        if decision.accepted:
            return [record, Alert(now_ns, Severity.NOTICE, "GPS taken back: " + decision.reason, always=True)]
        return [record, Alert(now_ns, Severity.WARNING, "GPS REJECTED by the gate: " + decision.reason, always=True)]

    def on_tick(
        self, t_ns: int, state: NavState | None, position_known: bool
    ) -> tuple[NavState | None, list[IntegrityOutput]]:
        """The position as it leaves at `t_ns`: with the ladder's fix type and accuracy, and who should be followed."""
        self._now_ns = t_ns
        out: list[IntegrityOutput] = []
        before = self._health.health
        self._health = gps_health.silent(self._health, t_ns, self._config)
        out += self._health_changed(t_ns, before)
        if state is not None:
            state = self._not_smaller_in_visual_outage(state)
        sight = failsafe.FailsafeInput(
            t_ns=t_ns,
            estimate=state is not None,
            position_known=position_known,
            semi_major_95_m=math.inf if state is None else state.ellipse_semi_major_m,
            visual_outage_s=self.labels.visual_outage_s(t_ns),
            visual_outage_frames=self.labels.visual_outage_frames(t_ns, self._limits),
            healthy=state is None or state.fix_type is FixType.FIX_3D,
        )
        self._ladder, events = failsafe.on_tick(self._ladder, sight, self._config)
        for event in events:
            out += [event_record(t_ns, event, sight), Alert(t_ns, event.severity, _sentence(event, state), always=True)]
        if state is None:
            return None, out
        if state.source_label is not self._label:
            self._label = state.source_label
            out.append(Alert(t_ns, LABEL_SEVERITY[self._label], f"position is {self._label.value}"))
        fix_type = failsafe.FIX_TYPES[self._ladder.level]
        accuracy_m = horizontal_accuracy_m(fix_type, state.ellipse_semi_major_m)
        return (
            replace(
                state,
                fix_type=fix_type,
                horizontal_accuracy_m=accuracy_m,
                gps_health=self.health,
                position_source=self.source,
            ),
            out,
        )

    def _health_changed(self, t_ns: int, before: GpsHealth) -> list[IntegrityOutput]:
        """Alerts where the verdict changed, and where that changes whom to follow."""
        health, reason = self._health.health, self._health.reason
        followed = self._gate.source
        self._gate = recovery_gate.on_health(self._gate, t_ns, health)
        if health is before:
            return []
        out: list[IntegrityOutput] = [
            Alert(t_ns, HEALTH_SEVERITY[health], f"GPS is {health.value}" + (f": {reason}" if reason else ""))
        ]
        if self._gate.source is not followed:
            self._left_by_comparison = gps_health.by_comparison(self._health)
            why = f"companion: GPS {health.value}: {reason}"
            out.append(AidRecord(t_ns, AidSource.POSITION_SOURCE, (), (), (), (), 0.0, False, why))
            out.append(Alert(t_ns, Severity.CRITICAL, "GPS left, position from companion", always=True))
        return out

    def _record(self, claim: GpsMeasurement, compared: Comparison | None) -> AidRecord:
        health = self._health
        reason = health.health.value + (f": {health.reason}" if health.reason else "")
        observation = (*claim.position_en_m, *claim.velocity_en_mps)
        speed_variance = self._config.gps_speed_floor_mps**2
        accepted = health.health is GpsHealth.STABLE_NON_SPOOFED
        if compared is None:
            return AidRecord(claim.t_ns, AidSource.GPS, observation, (), (), (), 0.0, accepted, reason)
        return AidRecord(
            t_ns=claim.t_ns,
            source=AidSource.GPS,
            observation=observation,
            observation_variance=(claim.accuracy_m**2, claim.accuracy_m**2, speed_variance, speed_variance),
            innovation=(*compared.position_en_m, *compared.velocity_en_mps),
            innovation_variance=(*compared.position_variance_m2, *compared.velocity_variance_m2ps2),
            test_ratio=max(compared.position_ratio, compared.velocity_ratio, compared.drift_ratio),
            accepted=accepted,
            reason=reason,
        )

    def _check(self, claim: GpsMeasurement, fix: PoseFix, estimate: Estimate) -> recovery_gate.FixCheck:
        position, c = condition_on_attitude(fix, estimate)
        variance = self._config.gps_floor_m**2 + self._map_variance_m2
        east, north = claim.position_en_m
        return recovery_gate.FixCheck(
            from_fix_en_m=(east - float(position[0]), north - float(position[1])),
            covariance_m2=(float(c[0, 0]) + variance, float(c[0, 1]), float(c[1, 1]) + variance),
            from_estimate_m=math.hypot(
                east - float(estimate.position_enu_m[0]), north - float(estimate.position_enu_m[1])
            ),
        )

    def _not_smaller_in_visual_outage(self, state: NavState) -> NavState:
        """While nothing is seen the ellipse only grows (AC-3.5), whatever the other sensors say."""
        if state.source_label is not SourceLabel.DEAD_RECKONED:
            self._dark_major_m = 0.0
            return state
        major_m = state.ellipse_semi_major_m
        if not 0.0 < major_m < self._dark_major_m:
            self._dark_major_m = major_m
            return state
        k = self._dark_major_m / major_m
        a, b, c, d, e, f, g, h, i = state.covariance_enu_m2
        return replace(
            state,
            covariance_enu_m2=(a * k * k, b * k * k, c * k, d * k * k, e * k * k, f * k, g * k, h * k, i),
            ellipse_semi_major_m=self._dark_major_m,
            ellipse_semi_minor_m=state.ellipse_semi_minor_m * k,
        )


def condition_on_attitude(fix: PoseFix, estimate: Estimate) -> tuple[FloatArray, FloatArray]:
    """Position (3,) and covariance (3, 3) of a satellite fix under the camera's attitude as the state has it.

    A fix holds the picture's information alone, in which a tilt and a displacement look alike: the attitude is what
    tells them apart. Conditional mean of a joint normal distribution; our position has no part in it.
    """
    camera = estimate.rotation_body_to_enu @ estimate.rotation_camera_to_body
    turned = log_rotation(camera @ fix.rotation_camera_to_enu.T)
    c = fix.covariance
    gain = np.linalg.solve(c[3:, 3:] + estimate.camera_covariance_rad2, c[3:, :3]).T
    return fix.position_enu_m + gain @ turned, c[:3, :3] - gain @ c[3:, :3]


def measurement_of(sample: GpsSample, local: LocalFrame) -> GpsMeasurement:
    """A GPS sample in the local frame."""
    east, north = (
        float(v) for v in local.enu_from_geodetic(sample.latitude_deg, sample.longitude_deg, sample.altitude_amsl_m)[:2]
    )
    velocity_north, velocity_east, _ = sample.velocity_ned_mps
    return GpsMeasurement(
        t_ns=sample.t_ns,
        position_en_m=(east, north),
        velocity_en_mps=(velocity_east, velocity_north),
        fix_type=sample.fix_type,
        satellites=sample.satellites,
        accuracy_m=sample.horizontal_accuracy_m,
        utc_ns=sample.utc_ns,
        interference=sample.interference,
    )


def reference_of(estimate: Estimate | None) -> Reference | None:
    """What a GPS sample is compared with; None where we do not know where we are."""
    if estimate is None or not estimate.position_known:
        return None
    p, v, c = estimate.position_enu_m, estimate.velocity_enu_mps, estimate.covariance
    return Reference(
        position_en_m=(float(p[0]), float(p[1])),
        velocity_en_mps=(float(v[0]), float(v[1])),
        position_covariance_m2=(float(c[0, 0]), float(c[0, 1]), float(c[1, 1])),
        velocity_covariance_m2ps2=(float(c[3, 3]), float(c[3, 4]), float(c[4, 4])),
        trusted=estimate.healthy and estimate.anchored,
    )


def event_record(t_ns: int, event: failsafe.Event, sight: failsafe.FailsafeInput) -> AidRecord:
    """A step of the ladder or a request, with what crossed which limit."""
    return AidRecord(
        t_ns=t_ns,
        source=AidSource.FAILSAFE,
        observation=(sight.semi_major_95_m, sight.visual_outage_s, float(sight.visual_outage_frames)),
        observation_variance=(),
        innovation=(),
        innovation_variance=(),
        test_ratio=event.value / event.limit,
        accepted=False,
        reason=event.name,
    )


def _sentence(event: failsafe.Event, state: NavState | None) -> str:
    if event.name == failsafe.RELOC_REQUEST and state is not None and state.fix_type >= FixType.FIX_2D:
        place = f"{state.latitude_deg:.5f},{state.longitude_deg:.5f}"
        return f"{event.name}: near {place} +-{state.ellipse_semi_major_m:.0f} m"
    if event.name == failsafe.RELOC_REQUEST:
        return f"{event.name}: send RELOC:<lat>,<lon>,<radius_m>"
    return f"position: {event.name}" if event.name.endswith(("fix", "position")) else event.name
