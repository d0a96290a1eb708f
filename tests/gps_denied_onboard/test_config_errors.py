"""A configuration that is wrong says where, and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from gps_denied_onboard.config import Config, config_from_tree, load_config
from gps_denied_onboard.errors import UserError

CAMERA = "width_px = 640\nheight_px = 480\nfx_px = 500.0\nfy_px = 500\ncx_px = 319.5\ncy_px = 239.5\n"


def load(folder: Path, text: str) -> Config:
    path = folder / "flight.toml"
    path.write_text(text)
    return load_config(path)


def test_without_a_file_the_defaults_hold() -> None:
    """No file gives the same as an empty one."""
    assert load_config(None) == Config()


def test_every_table_is_read(tmp_path: Path) -> None:
    """Values of all depths arrive with their types; a whole number is good for a measure."""
    loaded = load(
        tmp_path,
        '[strategies]\nfusion = "eskf"\n[fusion]\ngravity_mps2 = 10\n[place]\ncandidates = 7\n'
        f'[camera]\n{CAMERA}distortion_model = "brown"\ndistortion = [0.1, 0, 0.0, 0.0]\n'
        "rotation_camera_to_body = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]\n",
    )
    assert loaded.fusion.gravity_mps2 == 10.0
    assert isinstance(loaded.fusion.gravity_mps2, float)
    assert loaded.place.candidates == 7
    assert loaded.camera is not None
    assert loaded.camera.distortion == (0.1, 0.0, 0.0, 0.0)
    assert loaded.camera.rotation_camera_to_body[0] == (0.0, -1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[pipelin]\n", "unknown key 'pipelin'; did you mean 'pipeline'?"),
        (
            "[pipeline]\noutput_rate = 8.0\n",
            "did you mean 'pipeline.output_rate_hz'?",
        ),
        ("[fusion]\ngravity = 9.8\n", "did you mean 'fusion.gravity_mps2'?"),
        ("pipeline = 3\n", "'pipeline' must be a table ([pipeline]), got 3."),
        ('[pipeline]\nqueue_length = "two"\n', "'pipeline.queue_length' must be int, got 'two'."),
        ("[pipeline]\nqueue_length = 2.0\n", "'pipeline.queue_length' must be int, got 2.0."),
        ("[mission]\ntakeoff_known = 1\n", "'mission.takeoff_known' must be bool, got 1."),
        ("[pipeline]\noutput_rate_hz = true\n", "'pipeline.output_rate_hz' must be float, got True."),
        ("[mission]\norigin_latitude_deg = nan\n", "'mission.origin_latitude_deg' must be a finite number, got nan."),
        ("[mission]\nground_sigma_m = inf\n", "'mission.ground_sigma_m' must be a finite number, got inf."),
        ("[camera]\nwidth_px = 640\n", "missing key 'camera.height_px'; add it."),
        (f"[camera]\n{CAMERA}distortion = 0.1\n", "'camera.distortion' must be an array, got 0.1."),
        (f'[camera]\n{CAMERA}distortion = [0.1, "x"]\n', "'camera.distortion[1]' must be float, got 'x'."),
        (
            f"[camera]\n{CAMERA}rotation_camera_to_body = [[1.0, 0.0]]\n",
            "'camera.rotation_camera_to_body[0]' must have 3 elements, got 2.",
        ),
        (f'[camera]\n{CAMERA}distortion_model = "barrel"\n', "unknown distortion_model 'barrel'; use none, brown or"),
        ("[pipeline]\noutput_rate_hz = 3.0\n", "pipeline.output_rate_hz must be 5 to 50"),
        ("[pipeline]\nqueue_length = 0\n", "pipeline.queue_length must be 1 to 100, got 0."),
        ("[pipeline]\nworker_delay_s = -0.1\n", "pipeline.worker_delay_s must be 0 to 2, got -0.1."),
        ("[fusion]\nbaro_noise_m = 0.0\n", "fusion.baro_noise_m must be a positive number, got 0.0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    """Each mistake gives one sentence with the file, the key and what is wanted."""
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    assert says in str(error.value)
    assert str(tmp_path / "flight.toml") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[pipeline\n", "is not valid TOML"),
        (b"[pipeline]\n[pipeline]\n", "is not valid TOML"),
        (b"\xff\xfe", "no text in UTF-8"),
    ],
)
def test_files_that_are_no_toml(tmp_path: Path, content: bytes, says: str) -> None:
    """A file that cannot be parsed is named with the parser's reason."""
    path = tmp_path / "flight.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says):
        load_config(path)


@pytest.mark.parametrize("key", ["a" + ".a" * 50_000, "a" + ' . "a"' * 40_000, "'a'" + ".a" * 50_000])
@pytest.mark.parametrize("form", ["{} = 1", "[{}]", "a = {{{} = 1}}"])
def test_a_key_of_many_parts_is_refused_at_once(tmp_path: Path, key: str, form: str) -> None:
    """A key of fifty thousand parts took minutes and gigabytes to be told unknown."""
    path = tmp_path / "flight.toml"
    path.write_text(form.format(key))
    with pytest.raises(UserError, match=r"more than 30 parts|bytes, more than"):
        load_config(path)


def test_a_missing_file(tmp_path: Path) -> None:
    """A path to nothing is said to be that; a folder cannot be read."""
    with pytest.raises(UserError, match=r"absent.toml does not exist; check the path\."):
        load_config(tmp_path / "absent.toml")
    with pytest.raises(UserError, match="is no plain file"):
        load_config(tmp_path)


def test_a_retired_key_is_named_in_a_file_and_passed_over_in_a_recording(tmp_path: Path) -> None:
    """A key that is gone is told to whoever writes it; a recording made with it still opens."""
    with pytest.raises(UserError, match=r"'pipeline\.attitude_timeout_s' is gone .*: remove the line"):
        load(tmp_path, "[pipeline]\nattitude_timeout_s = 2.0\n")
    assert config_from_tree({"pipeline": {"attitude_timeout_s": 2.0, "queue_length": 3}}).pipeline.queue_length == 3
