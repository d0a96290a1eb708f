"""A provider that means harm: whatever it sends, the store stays whole, memory small, and secrets unsaid."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.admission import Admission
from gps_denied_operator.tiles.download import DownloadReport, TileDownloader
from gps_denied_operator.tiles.feeds import ProviderFeed
from gps_denied_operator.tiles.http import ProviderRefusedError, RetrySchedule, retry_after_s
from gps_denied_operator.tiles.runs import traced_run
from gps_denied_sim.provider.faults import Faults, Receive, Scope, Send
from gps_denied_sim.provider.serve import provider_app, running
from gps_denied_sim.provider.tls import make_certificates

from .providers import KEY, QUICK, X0, Y0, ZOOM, area, feed, offer_folder, picture, serving

FEW = RetrySchedule(attempts=2, wait_first_s=0.001, wait_cap_s=0.002, timeout_s=20.0, body_timeout_s=20.0)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def huge_jpeg() -> bytes:
    """Return a tile whose header claims 65,500 x 65,500 pixels: 12 GB when decoded."""
    data = bytearray(picture(1))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(data)


def huge_png() -> bytes:
    """Return a small PNG that decodes to 900 MB."""

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(bytes(30_000))) + part(b"IEND", b"")


HARM = {
    "html": b"<html>no tile</html>" * 20,
    "not whole": picture(1)[:-500],
    "wrong size": cv2.imencode(".jpg", np.zeros((128, 128), np.uint8))[1].tobytes(),
    "huge": huge_jpeg(),
    "huge png": huge_png(),
    "empty": b"",
    "gzip": zlib.compress(bytes(10_000_000)),
}


class Hostile:
    """Offers one tile and sends `body` for it; `entry` changes what the inventory says."""

    def __init__(self, body: bytes, entry: dict[str, Any] | None = None, answer: bytes | None = None) -> None:
        self.body, self.answer = body, answer
        self.entry = {"zoom": ZOOM, "x": X0, "y": Y0, "captured_at": None, "ground_resolution_m_px": 0.4,
                      "sha256": hashlib.sha256(body).hexdigest(), "bytes": max(len(body), 1)}  # fmt: skip
        self.entry |= entry or {}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        inventory = json.dumps({"tiles": [self.entry]}).encode() if self.answer is None else self.answer
        body = inventory if scope["path"].endswith("inventory") else self.body
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


def download(store: TileStore, url: str) -> DownloadReport:
    with feed(url, FEW) as tiles:
        admission = Admission(store, TilesConfig(), lambda: NOW)
        return TileDownloader(store, tiles, admission, 2).download_tiles_for_area(area(1))


@pytest.mark.parametrize("kind", HARM)
def test_bodies_that_are_no_tiles_are_refused(store: TileStore, kind: str) -> None:
    """HTML, torn, small, gigantic and packed bodies with a right digest are counted as damaged; nothing is written."""
    with serving(Hostile(HARM[kind])) as url:
        report = download(store, url)
    assert (report.outcome, report.rejected_damaged, report.downloaded) == ("failure", 1, 0)
    assert store.totals() == (0, 0)
    assert list(store.root.glob("provider*")) == []


def test_another_picture_than_was_promised_is_refused(store: TileStore) -> None:
    """A good tile under another tile's digest costs itself alone: the run ends with a report, nothing is written."""
    with serving(Hostile(picture(1), {"sha256": hashlib.sha256(picture(2)).hexdigest()})) as url:
        report = download(store, url)
    assert (report.outcome, report.rejected_damaged, report.downloaded) == ("failure", 1, 0)
    assert store.totals() == (0, 0)


def test_a_picture_that_claims_to_be_huge_is_not_decoded() -> None:
    """The header alone is read of such a picture."""
    with pytest.raises(ValueError, match=r"not 256x256|not an image"):
        codec.check_jpeg_tile(huge_jpeg())
    with pytest.raises(ValueError, match="not an image"):
        codec.picture_size(huge_png())


@pytest.mark.parametrize("entry", [
    {"x": "../../../../etc/passwd"}, {"x": -1}, {"x": X0 + 1}, {"y": 1 << 40}, {"sha256": "zz"}, {"sha256": "00"},
    {"captured_at": "yesterday"}, {"captured_at": "2026-01-01"}, {"ground_resolution_m_px": float("inf")},
    {"bytes": 10**12}, {"zoom": 3}, {"captured_at": {"$gt": 1}},
])  # fmt: skip
def test_inventories_that_lie_lead_nowhere(store: TileStore, tmp_path: Path, entry: dict[str, Any]) -> None:
    """Paths, places outside of the question, impossible numbers and dates: no file appears outside of the store."""
    with serving(Hostile(picture(1), entry)) as url:
        report = download(store, url)
    assert (report.outcome, report.downloaded) == ("failure", 0)
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")} == {"store"}
    assert list(store.root.glob("provider*")) == []


@pytest.mark.slow
def test_drawn_answers_are_sentences_or_reports(store: TileStore) -> None:
    """Whatever an inventory answers, the client ends with a report or a sentence for its user."""
    names = st.sampled_from(["tiles", "zoom", "x", "y", "sha256", "bytes"])
    tree = st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
        max_leaves=8,
    )
    provider = Hostile(b"")

    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(answer=st.binary(max_size=200) | tree.map(lambda drawn: json.dumps({"tiles": drawn}).encode()))
    def ask(answer: bytes) -> None:
        provider.answer = answer
        outcome = "a sentence"
        with contextlib.suppress(UserError):
            outcome = download(store, url).outcome
        assert outcome in {"a sentence", "failure"}
        assert store.totals() == (0, 0)

    with serving(provider) as url:
        ask()


def test_an_endless_body_is_cut_off(store: TileStore) -> None:
    """A body without end is ended by the client, at its limit of bytes or of time."""

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("inventory"):
            await Hostile(picture(1))(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100_000):
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
            await asyncio.sleep(0)

    with serving(endless) as url, pytest.raises(ProviderRefusedError, match="more than"):
        download(store, url)


@pytest.mark.parametrize("fault", ["expired", "wrong-host", "unknown-ca"])
def test_a_wrong_certificate_fails_at_once(tmp_path: Path, fault: str) -> None:
    """A certificate that is expired, of another host or of an unknown authority is refused before the key is sent."""
    ca, certificate, key = make_certificates(tmp_path / "tls", datetime.now(UTC), fault)
    app = provider_app(offer_folder(tmp_path / "tiles", 1), KEY, Faults())
    with (
        running(app, certificate, key) as port, feed(f"https://localhost:{port}", QUICK, ca=ca) as tiles,
        pytest.raises(ProviderRefusedError, match="certificate"),
    ):  # fmt: skip
        tiles.offers([(X0, Y0)])
    assert app.requests == 0


def test_a_good_certificate_of_our_authority_is_taken(tmp_path: Path) -> None:
    """With the test CA given the same server is spoken to; the system's authorities alone refuse it."""
    ca, certificate, key = make_certificates(tmp_path / "tls", datetime.now(UTC))
    app = provider_app(offer_folder(tmp_path / "tiles", 1), KEY, Faults())
    with running(app, certificate, key) as port:
        with feed(f"https://127.0.0.1:{port}", QUICK, ca=ca) as tiles:
            assert len(tiles.offers([(X0, Y0)])) == 1
        with feed(f"https://127.0.0.1:{port}", QUICK) as tiles, pytest.raises(ProviderRefusedError):
            tiles.offers([(X0, Y0)])


@pytest.mark.parametrize(("key", "said"), [("", "401"), ("a-wrong-secret-key", "403")])
def test_a_refused_key_fails_at_once_and_is_not_said(tmp_path: Path, key: str, said: str) -> None:
    """401 and 403 end the run after one request; the message does not hold the key."""
    app = provider_app(offer_folder(tmp_path / "tiles", 1), KEY, Faults())
    with (
        running(app) as port, feed(f"http://127.0.0.1:{port}", QUICK, key=key) as tiles,
        pytest.raises(ProviderRefusedError, match=said) as raised,
    ):  # fmt: skip
        tiles.offers([(X0, Y0)])
    assert app.requests == 1
    assert "a-wrong-secret-key" not in str(raised.value)


def test_a_key_is_not_sent_in_clear() -> None:
    """An address without TLS elsewhere than on this machine is refused where a key would go over it."""
    with pytest.raises(UserError, match="not encrypted"):
        ProviderFeed("http://tiles.example.org", ZOOM, KEY, None, QUICK, 1)
    with pytest.raises(UserError, match="not an address"):
        ProviderFeed("ftp://user:planted-password@tiles.example.org/?token=planted", ZOOM, KEY, None, QUICK, 1)


def test_secrets_are_taken_out_of_the_log(tmp_path: Path) -> None:
    """A message that holds the key is written with stars in its place, also in a traceback."""
    import logging

    key = "made-up-key-77"  # it reaches the test's own log, unlike the planted ones
    with traced_run(tmp_path, "download", [key]) as report:
        logging.getLogger("gps_denied_operator.x").error("key %s was used", key)
        try:
            raise ValueError(key)
        except ValueError:
            logging.getLogger("gps_denied_operator.x").exception("failed")
    text = "".join(path.read_text() for path in report.parent.iterdir())
    assert key not in text
    assert text.count("***") >= 2
    assert [json.loads(line)["level"] for line in text.splitlines()] == ["ERROR", "ERROR"]


@pytest.mark.parametrize(("text", "seconds"), [
    ("3", 3.0), ("0", 0.0), ("-5", 0.0), ("Mon, 01 Jun 2026 00:00:30 GMT", 30.0),
    ("Mon, 01 Jun 2020 00:00:30 GMT", 0.0), ("soon", None), (None, None), ("nan", None), ("1e99", None),
])  # fmt: skip
def test_retry_after_in_both_forms(text: str | None, seconds: float | None) -> None:
    """Seconds and HTTP-dates are read; nonsense is as if it were absent."""
    assert retry_after_s(text, NOW) == seconds
