"""What the machine says about a run: commit, cores, load, memory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def commit() -> str:
    """The commit of the checkout that this code runs from, "-dirty" where it was changed since; "unknown" elsewhere."""
    checkout = next((p for p in Path(__file__).resolve().parents if (p / "src" / "gps_denied_onboard").is_dir()), None)
    if checkout is None or not (checkout / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10.0, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found or "unknown"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_average() -> float | None:
    """Processes that ran or waited for a core or a disk, over the last minute; None where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def load_over(before: float | None) -> dict[str, float | None]:
    """The load `before` a run, which is others' alone, and now, its own among it: times measured beside others lie."""
    return {"before": before, "after": load_average()}


def own_rss_peak_mb() -> float:
    """Peak resident memory of this process in MB (10^6 bytes).

    VmHWM of /proc where there is one: unlike getrusage it does not start with the parent's size.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024.0 / 1e6
    except OSError:
        pass
    import resource

    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024.0 / 1e6
