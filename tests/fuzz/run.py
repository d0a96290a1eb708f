"""`python -m tests.fuzz.run SECONDS [TARGET ...]`: every parser under atheris, a process each; a table at the end.

A target fails by an exception, by taking more than TIMEOUT_S for an input, or more than MEMORY_MB in all. What it found
lies in build/fuzz/TARGET; `python -m tests.fuzz.run --one TARGET FILE` runs it again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

OUT = Path("build/fuzz")
MEMORY_MB = 1500
TIMEOUT_S = 20
COVERAGE = re.compile(r"#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+).*?rss: (\d+)Mb")


def main(arguments: list[str]) -> int:
    """Run the targets that are named, all without a name; 1 where one failed."""
    if arguments[:1] == ["--one"]:
        return _one(arguments[1], arguments[2:])
    from .targets import TARGETS

    seconds, names = float(arguments[0]), arguments[1:] or list(TARGETS)
    failed = []
    print(f"{'target':16} {'inputs':>9} {'edges':>7} {'features':>9} {'MB':>6}", flush=True)
    for name in names:
        corpus = OUT / name / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(TARGETS[name].seeds()):
            (corpus / f"seed-{number}").write_bytes(seed)
        limits = [f"-max_total_time={round(seconds)}", f"-rss_limit_mb={MEMORY_MB}", f"-timeout={TIMEOUT_S}"]
        sizes = [f"-max_len={TARGETS[name].bytes_max}", "-len_control=0"]
        options = [*limits, *sizes, f"-artifact_prefix={corpus.parent}/"]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.run", "--one", name, str(corpus), *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
            env={**os.environ, "TMPDIR": "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()},
        )  # fmt: skip
        lines = COVERAGE.findall(done.stdout)
        inputs, edges, features, _ = lines[-1] if lines else ("-", "-", "-", "-")
        memory_mb = max((int(line[3]) for line in lines), default=0)
        print(f"{name:16} {inputs:>9} {edges:>7} {features:>9} {memory_mb:6}", flush=True)
        if done.returncode != 0 or not lines:
            failed.append(name)
            print(done.stdout[-4000:], flush=True)
    print(f"failed: {', '.join(failed)}" if failed else f"{len(names)} targets, {seconds:g} s each: nothing found")
    return 1 if failed else 0


def _one(name: str, options: list[str]) -> int:
    """One target in this process, instrumented: it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["gps_denied_onboard", "gps_denied_operator"]):
        from .targets import TARGETS
    atheris.Setup([name, *options], TARGETS[name].run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
