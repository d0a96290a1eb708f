"""Whether a companion is fit to take a cache and fly it: disk, clock, release, composition, trusted keys, map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gps_denied_onboard.provisioning.trusted_keys import TrustedKeys
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.json import field, list_of
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.companion.config import CompanionSettings
from gps_denied_operator.companion.ssh import CompanionLink, CompanionNotReadyError

CLOCK_OFF_S_MAX = 30.0
"""As much as the tile provider allows a picture to be in the future."""
VALUES_GOOD = "nothing wrong in its values; `check-config` there looks at cache, camera and link, too"
FREE_BYTES_MIN = 1_000_000_000
DESCRIBED: dict[str, Any] = {
    "version": str, "image": str, "composition_sha256": str, "unix_time_s": float, "store_free_bytes": float,
    "cache_free_bytes": float, "trusted_keys": list, "revoked_keys": list, "source": str, "zoom": int,
    "use_store": bool, "matching": str, "problems": list, "companion_id": str, "manifest_counter": int,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CheckedItem:
    """One thing that was looked at, and what to do where it is not good."""

    name: str
    good: bool
    told: str


@dataclass(frozen=True, slots=True)
class CompanionState:
    """What the companion says of itself, and what it means."""

    described: dict[str, Any]
    items: tuple[CheckedItem, ...]

    @property
    def ready(self) -> bool:
        return all(item.good for item in self.items)

    def require_ready(self) -> None:
        """CompanionNotReadyError with everything that is not good."""
        bad = [f"\n  {item.name}: {item.told}" for item in self.items if not item.good]
        if bad:
            raise CompanionNotReadyError(f"The companion is not ready:{''.join(bad)}")


def check_companion(
    link: CompanionLink,
    settings: CompanionSettings,
    version: str,
    trusted: TrustedKeys,
    active: str,
    now_s: Callable[[], float],
    free_bytes_min: int = FREE_BYTES_MIN,
) -> CompanionState:
    """Ask an open connection. version: this workstation's; trusted, active: its keys ('' for no active one)."""
    before_s = now_s()
    said = link.run(
        "describe", "--config", settings.config, "--trusted-keys", settings.trusted_keys, "--cache", settings.cache,
        "--json",
    )  # fmt: skip
    after_s = now_s()
    described = described_of(said)
    there_s = described["unix_time_s"]
    off_s = max(before_s - there_s, there_s - after_s, 0.0)
    return CompanionState(described, _items(link, settings, described, version, trusted, active, off_s, free_bytes_min))


def described_of(said: dict[str, Any]) -> dict[str, Any]:
    """What is used of a companion's description, each of its kind and fit to be shown.

    CompanionNotReadyError where something is missing or of another kind.
    """
    what = "the companion's description"
    try:
        made: dict[str, Any] = {}
        for name, kind in DESCRIBED.items():
            value = field(said, name, kind, what)
            if isinstance(value, list):
                made[name] = [shown(entry) for entry in list_of(value, str, f"{what}: '{name}'")]
            else:
                made[name] = shown(value) if isinstance(value, str) else value
    except UntrustedError as error:
        raise CompanionNotReadyError(f"{error} Has it another release, or is it another machine?") from None
    return made


def _items(
    link: CompanionLink, settings: CompanionSettings, said: dict[str, Any], version: str, trusted: TrustedKeys,
    active: str, off_s: float, free_bytes_min: int,
) -> tuple[CheckedItem, ...]:  # fmt: skip
    free = min(said["store_free_bytes"], said["cache_free_bytes"])
    expected = settings.composition_sha256
    keys = set(said["trusted_keys"])
    stale = sorted(keys & trusted.revoked)
    pinned = "pinned now, on first use" if link.pinned_now else "as pinned"
    pinned = "as the companion file names it" if settings.host_key_sha256 else pinned
    send = "run `operator-tool companion trust`"
    return (
        CheckedItem("reached", True, f"host key {link.fingerprint}, {pinned}"),
        CheckedItem(
            "disk", free >= free_bytes_min,
            f"{free / 1e9:.1f} GB free of {free_bytes_min / 1e9:.1f} needed"
            + ("" if free >= free_bytes_min else "; free some, with `operator-tool tiles gc` there or by hand"),
        ),
        CheckedItem(
            "clock", off_s <= CLOCK_OFF_S_MAX,
            f"{off_s:.1f} s off" + ("" if off_s <= CLOCK_OFF_S_MAX else "; set the companion's clock, or this one's"),
        ),
        CheckedItem(
            "version", said["version"] == version,
            f"{said['version']} there, {version} here"
            + ("" if said["version"] == version else "; flash the release of this workstation, or use that one's tool"),
        ),
        CheckedItem(
            "composition", not expected or said["composition_sha256"] == expected,
            f"image '{said['image']}', {said['composition_sha256'] or 'a source tree'}"
            + (f"; the companion file expects {expected}" if expected else ""),
        ),
        CheckedItem(
            "trusted keys", bool(active) and active in keys and not stale,
            f"{', '.join(sorted(keys)) or 'none'}"
            + ("" if active else "; there is no active key here: `operator-tool keys new`")
            + (f"; the active key {active} is not among them: {send}" if active and active not in keys else "")
            + (f"; {', '.join(stale)} was revoked here: {send}" if stale else ""),
        ),
        CheckedItem(
            "configuration", not said["problems"], "; ".join(said["problems"]) or VALUES_GOOD,
        ),
    )  # fmt: skip
