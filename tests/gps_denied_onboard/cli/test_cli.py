"""The commands: one sentence and exit code 2 for the user's mistakes."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import orjson
import pytest

from gps_denied_onboard.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
CAMERA = "[camera]\nwidth_px = 640\nheight_px = 480\nfx_px = 600.0\nfy_px = 600.0\ncx_px = 319.5\ncy_px = 239.5\n"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit code of `gps-denied-onboard` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["gps-denied-onboard", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_replay_prints_its_summary(
    tiny_recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`replay --json` prints one object with the counts and where the outputs are."""
    assert run(monkeypatch, "replay", tiny_recording, "--out", tmp_path / "out", "--json") == 0
    summary = orjson.loads(capsys.readouterr().out)
    assert (summary["frames"], summary["anchored"], summary["out"]) == (4, 4, str(tmp_path / "out"))
    assert (tmp_path / "out" / "gps_input.tlog").stat().st_size > 0


def test_one_version_for_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`--version`, what `describe` tells the workstation, and the version that Nix seals are the same."""
    assert run(monkeypatch, "--version") == 0
    version = capsys.readouterr().out.strip()
    config = tmp_path / "flight.toml"
    config.write_text("")
    assert run(monkeypatch, "describe", "--config", config, "--json") == 0
    assert orjson.loads(capsys.readouterr().out)["version"] == version
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == version


def test_check_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A good configuration is said to be good, and what `run` would still need is listed."""
    path = tmp_path / "flight.toml"
    path.write_text('[pipeline]\noutput_rate_hz = 8.0\n[autopilot]\naddress = "udpin:127.0.0.1:14550"\n')
    assert run(monkeypatch, "check-config", path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: good for image 'source tree'"
    assert [line.split(":")[1] for line in lines[1:]] == [" no camera", " no origin", " no map"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[pipelin]\n", "did you mean 'pipeline'?"),
        ('[strategies]\nfusion = "best"\n', "fusion strategy 'best' is not linked"),
        ('[strategies]\nmatching = "learned"\n', "no models: set inference.models_directory"),
        ('[autopilot]\naddress = "nonsense"\n', "link 'nonsense' is not known"),
        ('[map]\ndirectory = "/no/such/folder"\n', "is not a folder"),
        ("[mission]\nground_sigma_m = -1.0\n", "mission.ground_sigma_m must be positive"),
        ("[frames]\nexposure_delay_s = 250.0\n", "frames.exposure_delay_s is in seconds"),
        (CAMERA + "time_offset_s = -187.0\n", "time_offset_s is in seconds"),
    ],
)
def test_mistakes_end_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    """A wrong configuration gives exit code 2 and one line on stderr, nothing on stdout."""
    path = tmp_path / "flight.toml"
    path.write_text(text)
    assert run(monkeypatch, "check-config", path) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert says in shown.err
    assert shown.err.count("\n") == 1


def test_run_and_replay_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Paths to nothing are the user's mistakes too."""
    assert run(monkeypatch, "run", "--config", tmp_path / "none.toml") == 2
    assert "does not exist; check the path" in capsys.readouterr().err
    assert run(monkeypatch, "replay", tmp_path, "--out", tmp_path / "out") == 2
    assert "is not a recording" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
