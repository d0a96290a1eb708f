"""What a companion brings in of its own is signed only once somebody looked at it, and for that companion alone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.provisioning.cache_manifest import CacheBody
from gps_denied_onboard.provisioning.manifest import Artefact, artefact_of
from gps_denied_onboard.provisioning.mission_file import MissionFile
from gps_denied_onboard.provisioning.provision import calibration_bytes, route_file
from gps_denied_onboard.provisioning.trusted_keys import TrustedKeys
from gps_denied_onboard.tiles.coverage import TileBlock
from gps_denied_operator.cache.build import BuildFailedError, BuildReport, Order, _Build
from gps_denied_operator.cache.consent import Ledger, NotAgreedError, Offered, token_of
from gps_denied_operator.companion.config import CompanionSettings
from gps_denied_operator.companion.ssh import CompanionLink

from .ssh_server import sshd

SQUARES = (TileBlock(4934, 2818, 7, "cd" * 32),)
BODY = CacheBody(
    "m", "f", 49.0, 37.0, (36.9, 48.9, 37.1, 49.1), "ab" * 32, "provider", 18, False, SQUARES,
    (Artefact("overview/a", 5, "ef" * 32),), "12" * 16, 3,
)  # fmt: skip
CAMERA, ENGINE = Offered("calibration", "c1", "fx_px 550"), Offered("model", "e1", "xfeat.engine")


def ledger(folder: Path, host_key: str = "SHA256:one") -> Ledger:
    return Ledger(folder / "companions.json", host_key)


def agreed(folder: Path, body: CacheBody, offered: Sequence[Offered]) -> None:
    """Look, agree and sign."""
    ledger(folder).check(body, offered, set(), token_of(offered), None)
    ledger(folder).note(body, offered)


def test_what_is_new_is_shown_and_asked_for_once(tmp_path: Path) -> None:
    """Unseen things are told with digits that stand for them alone; agreed to, they are not asked for again."""
    with pytest.raises(NotAgreedError, match="calibration: fx_px 550") as asked:
        ledger(tmp_path).check(BODY, [CAMERA], set(), "", None)
    token = str(asked.value).split("--accept ")[1].rstrip(".")
    assert not (tmp_path / "companions.json").exists()
    ledger(tmp_path).check(BODY, [CAMERA], set(), token, None)
    ledger(tmp_path).note(BODY, [CAMERA])
    ledger(tmp_path).check(dataclasses.replace(BODY, counter=4), [CAMERA], set(), "", None)


def test_agreeing_to_one_thing_is_not_agreeing_to_another(tmp_path: Path) -> None:
    """The digits of a calibration do not sign an engine beside it, nor another calibration; nor does a plain yes."""
    for token in (token_of([CAMERA]), "yes", "true", "", token_of([])):
        with pytest.raises(NotAgreedError, match=r"xfeat\.engine"):
            ledger(tmp_path).check(BODY, [CAMERA, ENGINE], set(), token, None)
    agreed(tmp_path, BODY, [CAMERA])
    with pytest.raises(NotAgreedError, match="fx_px 551"):
        ledger(tmp_path).check(
            dataclasses.replace(BODY, counter=4), [Offered("calibration", "c2", "fx_px 551")], set(), "", None
        )


def test_what_this_workstation_holds_is_not_asked_for_and_a_person_may_say_no(tmp_path: Path) -> None:
    """Own digests pass; a question that is denied is a refusal."""
    ledger(tmp_path).check(BODY, [CAMERA], {"c1"}, "", None)
    shown: list[str] = []
    ledger(tmp_path).check(BODY, [CAMERA], set(), "", lambda lines: not shown.extend(lines))
    assert shown == ["calibration: fx_px 550"]
    with pytest.raises(NotAgreedError):
        ledger(tmp_path).check(BODY, [CAMERA], set(), "", lambda _lines: False)


def test_a_name_belongs_to_one_host_key(tmp_path: Path) -> None:
    """Another machine that calls itself like this one, and this one under another name, get no signature."""
    agreed(tmp_path, BODY, [CAMERA])
    with pytest.raises(NotAgreedError, match="calls itself"):
        ledger(tmp_path, "SHA256:two").check(BODY, [CAMERA], {"c1"}, "", None)
    with pytest.raises(NotAgreedError, match="calls itself"):
        ledger(tmp_path).check(dataclasses.replace(BODY, companion_id="34" * 16, counter=4), [CAMERA], {"c1"}, "", None)


def test_a_counter_is_signed_once(tmp_path: Path) -> None:
    """A lower counter, and another manifest under the same one, are refused; the same one again is not."""
    agreed(tmp_path, BODY, [CAMERA])
    ledger(tmp_path).check(BODY, [CAMERA], set(), "", None)
    for other in (dataclasses.replace(BODY, counter=2), dataclasses.replace(BODY, flight_id="g")):
        with pytest.raises(NotAgreedError, match="counter"):
            ledger(tmp_path).check(other, [CAMERA], set(), "", None)


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": {"companion_id": 1}}', "{" * 5000])
def test_a_damaged_ledger_fails_closed(tmp_path: Path, content: str) -> None:
    """What was signed is not forgotten in silence."""
    (tmp_path / "companions.json").write_text(content)
    with pytest.raises(UserError, match="remembers what was signed"):
        ledger(tmp_path)


def phases(settings: CompanionSettings) -> _Build:
    """A build whose companion described itself, and whose workstation made its own overviews."""
    order = Order(MissionFile("m", "f", 49.0, 37.0, BODY.bbox_deg), "provider", 18, bytes(32), TrustedKeys({}), "")
    build = _Build(order, settings, BuildReport(), lambda _line: None)
    build.described = {"composition_sha256": "ab" * 32, "companion_id": "12" * 16}
    build.squares, build.overviews = SQUARES, {"overview/a": "ef" * 32}
    return build


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"downgraded": True}, "freshness"), ({"companion_id": "34" * 16}, "companion"), ({"zoom": 17}, "map"),
        ({"composition_sha256": "cd" * 32}, "composition"), ({"mission_id": "n"}, "mission"),
        ({"squares": ()}, "tiles"),
        ({"artefacts": (Artefact("route/route-a.json", 5, "ef" * 32),)}, "route"),
        ({"origin_latitude_deg": 49.01}, "origin"), ({"bbox_deg": (36.9, 48.9, 37.1, 49.2)}, "box"),
    ],
)  # fmt: skip
def test_what_the_workstation_knows_is_compared(changes: dict[str, object], why: str) -> None:
    """Every part of a body that the workstation asked for or made itself must be the same."""
    build = phases(CompanionSettings("h", "u", "i"))
    build._compare(BODY)
    with pytest.raises(BuildFailedError, match=rf"not what was asked for \({re.escape(why)}\)"):
        build._compare(dataclasses.replace(BODY, **changes))  # type: ignore[arg-type]


def test_the_route_in_the_cache_is_the_one_that_was_asked_for() -> None:
    """A cache with the mission's own paths is signed; one without them, or with others, is not."""
    build = phases(CompanionSettings("h", "u", "i"))
    mission = dataclasses.replace(build.order.mission, paths_deg=(((49.0, 37.0), (49.05, 37.0)),))
    other = dataclasses.replace(mission, paths_deg=(((49.0, 37.0), (49.05, 37.1)),))
    build.order = dataclasses.replace(build.order, mission=mission)
    route, strange = (
        tuple(artefact_of(path, data) for path, data in route_file(one).items()) for one in (mission, other)
    )
    build._compare(dataclasses.replace(BODY, artefacts=(*BODY.artefacts, *route)))
    for artefacts in (BODY.artefacts, (*BODY.artefacts, *strange), (*BODY.artefacts, *route, *strange)):
        with pytest.raises(BuildFailedError, match=r"not what was asked for \(route\)"):
            build._compare(dataclasses.replace(BODY, artefacts=artefacts))


def test_calibration_and_engines_are_offered_for_a_look(tmp_path: Path) -> None:
    """All that is in the cache besides the compared overviews is shown: numbers of the camera, each model, the rest."""
    camera = calibration_bytes(CameraModel(684, 456, 550.0, 551.5, 341.5, 227.5))
    (tmp_path / "sshd").mkdir()
    with sshd(tmp_path / "sshd") as settings, CompanionLink(settings) as link:
        (Path(settings.cache) / "calibration").mkdir(parents=True)
        (Path(settings.cache) / "calibration" / "camera.json").write_bytes(camera)
        files = (
            artefact_of("calibration/camera.json", camera), artefact_of("models/a/\u0416.engine", b"x"), *BODY.artefacts
        )  # fmt: skip
        build = phases(settings)
        offered = build._offered(link, dataclasses.replace(BODY, artefacts=files))
        assert [one.kind for one in offered] == ["companion", "software", "calibration", "model"]
        assert "fy_px 551.5" in offered[2].told
        build.overviews = {"overview/a": "00" * 32}
        assert [one.kind for one in build._offered(link, BODY)][-1] == "map overview"
        for strange in (artefact_of("overview/b", b"x"), artefact_of("bin/sh", b"x")):
            with pytest.raises(BuildFailedError, match="unasked for"):
                build._offered(link, dataclasses.replace(BODY, artefacts=(*BODY.artefacts, strange)))
        with pytest.raises(BuildFailedError, match="lacks overview/a"):
            build._offered(link, dataclasses.replace(BODY, artefacts=()))
        (Path(settings.cache) / "calibration" / "camera.json").write_bytes(camera.replace(b"551.5", b"552.5"))
        with pytest.raises(BuildFailedError, match="not the file that its manifest names"):
            build._offered(link, dataclasses.replace(BODY, artefacts=files))
