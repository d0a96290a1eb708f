"""The manifest of a folder of models: written whole, of models only, and read back by what loads them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gps_denied_onboard.cli.main import main
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.inference.models import ModelFolder
from gps_denied_onboard.provisioning.manifest import ManifestError
from gps_denied_onboard.provisioning.model_folder import write_manifest


def folder(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    models.mkdir()
    for name, data in (("b.onnx", b"1"), ("a_sm87_jp6.2_trt10.3_fp16.engine", b"22"), ("LICENSE", b"333")):
        (models / name).write_bytes(data)
    return models


def test_models_and_engines_are_listed_and_nothing_else(tmp_path: Path) -> None:
    """Licences and folders are no models; what is listed can be loaded, what is not cannot."""
    models = folder(tmp_path)
    written, names = write_manifest(models, None)
    assert names == ["a_sm87_jp6.2_trt10.3_fp16.engine", "b.onnx"]
    assert sorted(p.name for p in models.iterdir()) == sorted([*names, "LICENSE", written.name])
    assert ModelFolder(models).read("b.onnx") == b"1"
    with pytest.raises(ManifestError):
        ModelFolder(models).read("LICENSE")


def test_a_manifest_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`models manifest --out` leaves the folder of models as it is and prints what it lists."""
    models, out = folder(tmp_path), tmp_path / "models.json"
    monkeypatch.setattr(sys, "argv", ["gps-denied-onboard", "models", "manifest", str(models), "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{out}: a_sm87_jp6.2_trt10.3_fp16.engine, b.onnx\n"
    assert not (models / "manifest.json").exists()
    assert ModelFolder(models, out).read("b.onnx") == b"1"


def test_folders_that_hold_no_models(tmp_path: Path) -> None:
    """An empty folder, one that is not there, and a place that cannot be written are sentences."""
    with pytest.raises(UserError, match="holds no model"):
        write_manifest(tmp_path, None)
    with pytest.raises(UserError, match="No such file"):
        write_manifest(tmp_path / "absent", None)
    with pytest.raises(UserError, match="No such file"):
        write_manifest(folder(tmp_path), tmp_path / "absent" / "manifest.json")


def test_compiling_needs_tensorrt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where TensorRT is not installed `models compile` says that the strategy is not linked, and writes nothing."""
    import importlib.util

    if importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("TensorRT is installed here")
    config = tmp_path / "learned.toml"
    config.write_text(f'[inference]\nmodels_directory = "{folder(tmp_path)}"\n')
    out = tmp_path / "engines"
    arguments = ["gps-denied-onboard", "models", "compile", "--config", str(config), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "inference strategy 'tensorrt' is not linked" in capsys.readouterr().err
    assert not out.exists()
