"""The commands: one sentence and exit code 2 for the user's mistakes."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
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
    """For a replay a configuration without camera, origin and map is good, and what `run` would need is listed."""
    path = tmp_path / "flight.toml"
    path.write_text('[pipeline]\noutput_rate_hz = 8.0\n[autopilot]\naddress = "udpin:127.0.0.1:14550"\n')
    assert run(monkeypatch, "check-config", path, "--replay") == 0
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
    """A wrong configuration gives exit code 2, one sentence on stderr, then at most its verdict; nothing on stdout."""
    path = tmp_path / "flight.toml"
    path.write_text(text)
    assert run(monkeypatch, "check-config", path, "--replay") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert says in shown.err
    assert shown.err.splitlines()[1:] in ([], [f"error: {path} is not good for image 'source tree'"])


FLIES = (
    CAMERA + '[mission]\norigin_latitude_deg = 48.42\norigin_longitude_deg = 37.1\n[map]\ndirectory = "{tiles}"\n'
    'zoom = 17\n[autopilot]\naddress = "udpin:127.0.0.1:14550"\n[frames]\nsource = "{video}"\n'
)
REFUSED_BY_RUN = {
    "no camera": (FLIES.removeprefix(CAMERA), "no camera"),
    "latitude beyond the map": (FLIES.replace("48.42", "148.42"), "are the two swapped?"),
    "only half an origin": (FLIES.replace("origin_longitude_deg = 37.1", ""), "must be finite numbers"),
    "another place": (FLIES.replace("48.42", "12.0"), "it is of another place"),
    "altitude in feet": (FLIES.replace("[map]", "ground_altitude_amsl_m = 12000.0\n[map]"), "is in metres"),
    "centre forgotten": (FLIES.replace("cx_px = 319.5", "cx_px = 0.0"), "camera.cx_px is 0"),
    "mount that mirrors": (FLIES.replace("[mission]", "rotation_camera_to_body = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], "
                                         "[0.0, 0.0, 1.0]]\n[mission]"), "is no rotation"),
    "short key": (FLIES.replace("[frames]", 'signing_key = "{short}"\n[frames]'), "exactly 32 bytes"),
    "open key": (FLIES.replace("[frames]", 'signing_key = "{open}"\n[frames]'), "chmod 600"),
    "missing key": (FLIES.replace("[frames]", 'signing_key = "{tiles}/none"\n[frames]'), "cannot be read"),
    "key of the ground station": (FLIES + '[gcs]\naddress = "udpin:127.0.0.1:14551"\nsigning_key = "{short}"\n',
                                  "exactly 32 bytes"),
    "address without a port": (FLIES.replace("udpin:127.0.0.1:14550", "udpin:127.0.0.1"), "must be udpin:HOST:PORT"),
    "one GPS twice": (FLIES.replace("[frames]", "gps_id = 1\n[frames]"), "gps_id 1 and autopilot.real_gps_id 1"),
    "no such camera": (FLIES.replace("{video}", "/dev/no-such-camera"), "is not there"),
    "no such video": (FLIES.replace("{video}", "video:/no/such.mp4"), "is not a file"),
    "pictures of another size": (FLIES.replace("width_px = 640", "width_px = 660"), "the camera calibration is for"),
    "no such zoom": (FLIES.replace("zoom = 17", "zoom = 12"), "zoom"),
    "manifest of another name": (FLIES.replace("[map]", 'manifest = "/x/other.json"\n[map]'), "give the manifest.json"),
    "manifest without keys": (FLIES.replace("[map]", 'manifest = "/x/manifest.json"\n[map]'), "trusted_keys"),
    "candidates without a store": (FLIES + "[tiles]\ncandidates = true\n", "needs the tile store"),
}  # fmt: skip


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return paths of a folder of tiles, a video and two bad keys."""
    folder = tmp_path_factory.mktemp("parts")
    tile = folder / "tiles" / "17" / "79043" / "45342.jpg"
    tile.parent.mkdir(parents=True)
    cv2.imwrite(str(tile), np.full((256, 256), 90, dtype=np.uint8))
    writer = cv2.VideoWriter(str(folder / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (640, 480))
    for _ in range(3):
        writer.write(np.zeros((480, 640, 3), dtype=np.uint8))
    writer.release()
    (folder / "short").write_bytes(bytes(range(1, 17)))
    (folder / "short").chmod(0o600)
    (folder / "open").write_bytes(bytes(range(1, 33)))
    (folder / "open").chmod(0o644)
    named = {"tiles": folder / "tiles", "video": f"video:{folder / 'v.avi'}", "short": folder / "short"}
    return {name: str(path) for name, path in {**named, "open": folder / "open"}.items()}


def written(path: Path, text: str, parts: dict[str, str]) -> Path:
    for name, told in parts.items():
        text = text.replace("{" + name + "}", told)
    path.write_text(text)
    return path


def test_what_run_would_take_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], parts: dict[str, str]
) -> None:
    """A complete configuration is good without a word on stderr."""
    path = written(tmp_path / "flight.toml", FLIES, parts)
    assert run(monkeypatch, "check-config", path) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [f"{path}: good for image 'source tree'"]
    assert shown.err == ""


@pytest.mark.parametrize("what", REFUSED_BY_RUN)
def test_what_run_would_refuse_is_not_good(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    parts: dict[str, str],
) -> None:  # fmt: skip
    """Each is found without starting anything, with exit code 2 and a last line that says not good."""
    text, says = REFUSED_BY_RUN[what]
    path = written(tmp_path / "flight.toml", text, parts)
    assert run(monkeypatch, "check-config", path) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in shown.err
    assert shown.err.splitlines()[-1] == f"error: {path} is not good for image 'source tree'"


def test_all_problems_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has to run it once for each mistake."""
    path = tmp_path / "flight.toml"
    path.write_text('[map]\ndirectory = "/no/such"\n[frames]\nsource = "/dev/none"\n')
    assert run(monkeypatch, "check-config", path) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("is not a folder", "no camera", "no origin", "no autopilot", "/dev/none"))


def test_run_and_replay_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Paths to nothing are the user's mistakes too."""
    assert run(monkeypatch, "run", "--config", tmp_path / "none.toml") == 2
    assert "does not exist; check the path" in capsys.readouterr().err
    assert run(monkeypatch, "replay", tmp_path, "--out", tmp_path / "out") == 2
    assert "is not a recording" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
