"""Engine files: one name for one host, and no other name is accepted."""

from __future__ import annotations

import pytest

from gps_denied_onboard.inference.engine_files import (
    EngineFile,
    EngineFileError,
    Host,
    engine_for,
    jetpack_of,
    parse_name,
)

ORIN = Host(87, "6.2", "10.3")
NAME = "xfeat_dense_sm87_jp6.2_trt10.3_fp16.engine"
RELEASE = (
    "# R36 (release), REVISION: {}, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n"
)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (EngineFile("xfeat_dense", ORIN, "fp16"), NAME),
        (EngineFile("light_L3", Host(90, "none", "10.13"), "fp32"), "light_L3_sm90_jpnone_trt10.13_fp32.engine"),
        (EngineFile("a", Host(120, "7.0", "11.1"), "fp16"), "a_sm120_jp7.0_trt11.1_fp16.engine"),
    ],
)  # fmt: skip
def test_names_go_both_ways(file: EngineFile, name: str) -> None:
    """A file's parts make its name, and the name gives the parts back."""
    assert file.name == name
    assert parse_name(name) == file


@pytest.mark.parametrize(
    "name",
    [
        "xfeat_dense.engine",
        "xfeat_dense_sm87_jp6.2_trt10.3_int8.engine",
        "xfeat_dense_sm087_jp6.2_trt10.3_fp16.engine",
        "xfeat_dense_sm87_jp6_trt10.3_fp16.engine",
        "xfeat_dense_sm87_jp6.2_trt10.3.0_fp16.engine",
        f"{NAME}.part",
        f"{NAME}\n",
        f"models/{NAME}",
        f"../{NAME}",
        NAME.upper(),
        "_sm87_jp6.2_trt10.3_fp16.engine",
        "",
    ],
)
def test_other_names_are_none(name: str) -> None:
    """A name that leaves anything open, or has anything more, is refused."""
    with pytest.raises(EngineFileError, match="no engine's name"):
        parse_name(name)


@pytest.mark.parametrize(
    ("host", "precision"),
    [
        (Host(89, "6.2", "10.3"), "fp16"),
        (Host(87, "6.1", "10.3"), "fp16"),
        (Host(87, "6.2", "10.7"), "fp16"),
        (Host(87, "none", "10.3"), "fp16"),
        (ORIN, "fp32"),
    ],
)
def test_another_hosts_engine_is_not_taken(host: Host, precision: str) -> None:
    """An engine of another GPU, JetPack, TensorRT or precision is not this host's; the sentence shows what there is."""
    assert engine_for("xfeat_dense", ORIN, "fp16", [NAME]).name == NAME
    with pytest.raises(EngineFileError, match=rf"which has {NAME}; compile it on this host"):
        engine_for("xfeat_dense", host, precision, [NAME, "lighterglue_L3.onnx"])


def test_no_engine_at_all() -> None:
    """Without any engine of the model the sentence says so."""
    with pytest.raises(EngineFileError, match="which has none of this model"):
        engine_for("xfeat_dense", ORIN, "fp16", ["xfeat_dense.onnx"])


@pytest.mark.parametrize(("revision", "jetpack"), [("3.0", "6.0"), ("4.0", "6.1"), ("4.3", "6.2"), ("4.4", "6.2")])
def test_jetpack_by_the_boards_release(revision: str, jetpack: str) -> None:
    """L4T's revision gives the JetPack; a machine that is no Jetson has none."""
    assert jetpack_of(RELEASE.format(revision)) == jetpack
    assert jetpack_of("") == "none"


@pytest.mark.parametrize("release", [RELEASE.format("9.0"), RELEASE.replace("R36", "R35").format("4.1"), "# what"])
def test_a_release_that_nobody_has_tried(release: str) -> None:
    """Another L4T is refused rather than guessed."""
    with pytest.raises(EngineFileError, match="is not JetPack 6"):
        jetpack_of(release)
