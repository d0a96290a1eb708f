"""The command line prints one JSON object, or one sentence and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gps_denied_sim import cli


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit code of the command with these arguments."""
    monkeypatch.setattr(sys, "argv", ["gps-denied-sim", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_fly_prints_one_json_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A two-second flight is written and its summary is the only output."""
    out = tmp_path / "x"
    flight = ("--seed", "4", "--minutes", "0.034", "--map-buffer", "60")
    assert run(monkeypatch, "fly", *flight, "--out", str(out), "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == len(list((out / "frames").iterdir())) == 2
    assert summary["tiles"] == len(list((out / "tiles").rglob("*.jpg"))) >= 2
    assert (out / "recording.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seed", "1", "--minutes", "0"], "--minutes must be more than 0"),
        (["--seed", "1", "--minutes", "1", "--scenario", "moon"], "unknown scenario 'moon'; choose one of: cruise"),
        (["--seed", "1", "--minutes", "1", "--frame-rate", "99"], "--frame-rate must be 0.2 to 5 Hz"),
        (["--seed", "1", "--minutes", "1", "--height", "5"], "--height must be 60 to 2000 m, got 5.0"),
        (["--seed", "1", "--minutes", "1", "--terrain", "hills"], "--terrain must be raster or none, got 'hills'"),
    ],
)
def test_mistakes_end_with_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    """Exit code 2, the sentence on stderr, no folder."""
    assert run(monkeypatch, "fly", *arguments, "--out", str(tmp_path / "x")) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_heavy_library() -> None:
    """Asking for help loads neither OpenCV nor SciPy nor pyproj."""
    code = (
        "import sys\nsys.argv = ['gps-denied-sim', 'fly', '--help']\nfrom gps_denied_sim import cli\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "assert not {'cv2', 'scipy', 'pyproj', 'numpy'} & set(sys.modules), 'heavy'\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "--scenario" in done.stdout
