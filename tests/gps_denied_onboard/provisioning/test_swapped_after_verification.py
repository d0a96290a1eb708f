"""What was verified is what is used: files and rows that are exchanged a moment later are not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.inference.models import ModelFolder
from gps_denied_onboard.provisioning.manifest import Artefact, ManifestError, artefact_of, manifest_bytes
from gps_denied_onboard.provisioning.overview_build import OVERVIEW_FOLDER
from gps_denied_onboard.provisioning.verify import CacheNotTrustedError, read_artefact, tiles_in_box, verify_cache
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.overview import LEVEL_MIN, Overview, OverviewHeader
from gps_denied_onboard.tiles.records import TileDamagedError
from gps_denied_onboard.tiles.sources import StoreTileSource
from gps_denied_onboard.tiles.store import TileStore

from . import making


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> TileStore:
    """Return a store that holds the provisioning tests' tiles."""
    opened = TileStore.open(tmp_path / "store", database_url)
    making.fill(opened)
    return opened


def test_a_tile_that_is_exchanged_after_its_first_read(store: TileStore) -> None:
    """A tile is compared with its row whenever it is read, not only the first time."""
    (record, *_) = store.query_tiles(making.SOURCE, making.ZOOM, making.X0, making.Y0, making.X0 + 1, making.Y0 + 1)
    store.read(record)
    image = store.image_path(record.key)
    image.unlink()
    image.write_bytes(making.tile(record.key.x, record.key.y, 999).jpeg)
    with pytest.raises(TileDamagedError, match="not what was stored"):
        store.read(record)
    store.close()


def test_rows_that_change_after_the_cache_was_verified(store: TileStore, tmp_path: Path) -> None:
    """A square whose rows are no longer those that were signed is no part of the map."""
    making.make_cache(store, tmp_path / "cache")
    body = verify_cache(tmp_path / "cache", making.TRUSTED, store)
    source = StoreTileSource(store, body.source, body.zoom, {(s.column, s.row): s.sha256 for s in body.squares})
    (record, *_) = store.query_tiles(making.SOURCE, making.ZOOM, making.X0, making.Y0, making.X0 + 1, making.Y0 + 1)
    store.replace(record, making.tile(record.key.x, record.key.y, 999))
    assert source.read_tile(record.key.x, record.key.y) is None
    assert source.read_tile(making.X0 + 5, making.Y0 + 4) is not None
    store.close()


def test_a_tile_made_in_flight_is_no_tile_of_the_box(store: TileStore, tmp_path: Path) -> None:
    """Under the map's own name it lies beside a tile of the map and is not counted as one more."""
    making.make_cache(store, tmp_path / "cache")
    body = verify_cache(tmp_path / "cache", making.TRUSTED, store)
    held, whole = tiles_in_box(store, body)
    assert 0 < held <= whole
    made = making.tile(making.X0 + 1, making.Y0, 999)
    store.insert([replace(made, key=replace(made.key, flight_id=UUID(int=7)))])
    assert tiles_in_box(store, body) == (held, whole)
    store.close()


def test_a_coarse_map_that_is_exchanged(store: TileStore, tmp_path: Path) -> None:
    """An overview file is hashed as it is mapped; another one in its place is not used."""
    cache = tmp_path / "cache"
    making.make_cache(store, cache)
    store.close()
    body = verify_cache(cache, making.TRUSTED)
    square = body.squares[0]
    header = OverviewHeader(body.zoom, square.column, square.row, square.sha256)
    digests = {artefact.path.rpartition("/")[2]: artefact.sha256 for artefact in body.artefacts}
    file = cache / OVERVIEW_FOLDER / header.file_name
    data = bytearray(file.read_bytes())
    data[5000] ^= 1
    file.unlink()
    file.write_bytes(bytes(data))
    overview = Overview(cache / OVERVIEW_FOLDER, [header], digests)
    for column in range(square.column * 8, square.column * 8 + 8):
        for row in range(square.row * 8, square.row * 8 + 8):
            assert overview.block(LEVEL_MIN, column, row) is None


@pytest.mark.parametrize("kind", ["other bytes", "longer", "link", "pipe", "gone"])
def test_a_calibration_that_is_exchanged(store: TileStore, tmp_path: Path, kind: str) -> None:
    """The calibration's bytes are compared as they are read; a link, a pipe or other bytes start no flight."""
    cache = tmp_path / "cache"
    making.make_cache(store, cache)
    store.close()
    (artefact,) = verify_cache(cache, making.TRUSTED).artefacts_of("calibration")
    file = cache / artefact.path
    good = file.read_bytes()
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "link":
        (tmp_path / "same").write_bytes(good)
        file.symlink_to(tmp_path / "same")
    elif kind != "gone":
        file.write_bytes(good + b" " if kind == "longer" else good.replace(b"550.0", b"551.0"))
    with pytest.raises(CacheNotTrustedError, match="not the one that was verified"):
        read_artefact(cache, artefact)
    with pytest.raises(CacheNotTrustedError):
        verify_cache(cache, making.TRUSTED)


def models(folder: Path, content: bytes) -> bytes:
    """Make a folder of one model and its manifest; return the manifest."""
    folder.mkdir(exist_ok=True)
    (folder / "net.engine").write_bytes(content)
    listed = manifest_bytes([artefact_of("net.engine", content)])
    (folder / "manifest.json").write_bytes(listed)
    return listed


def test_models_and_their_manifest_exchanged_together(tmp_path: Path) -> None:
    """A models' manifest has the SHA-256 that the cache's manifest signed, whatever the folder says of itself."""
    signed = artefact_of("manifest.json", models(tmp_path / "models", b"good"))
    assert ModelFolder(tmp_path / "models", None, signed.sha256).read("net.engine") == b"good"
    models(tmp_path / "models", b"evil")
    with pytest.raises(ManifestError, match="not the one that was verified"):
        ModelFolder(tmp_path / "models", None, signed.sha256)


def test_a_model_behind_a_link_or_a_pipe(tmp_path: Path) -> None:
    """A model is a plain file of the manifest's size; nothing is waited for."""
    models(tmp_path / "models", b"good")
    folder = ModelFolder(tmp_path / "models")
    (tmp_path / "models" / "net.engine").rename(tmp_path / "elsewhere")
    (tmp_path / "models" / "net.engine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="link"):
        folder.read("net.engine")
    (tmp_path / "models" / "net.engine").unlink()
    os.mkfifo(tmp_path / "models" / "net.engine")
    with pytest.raises(UserError, match="no plain file"):
        folder.read("net.engine")


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protobuf."""
    out = bytearray()
    for value in ((number << 3) | 2, len(content)):
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out) + content


OUTSIDE = field(13, field(1, b"location") + field(2, b"../../etc/passwd"))  # TensorProto.external_data
LOCATION = bytes([14 << 3, 1])  # TensorProto.data_location = EXTERNAL
HIDING_PLACES = {
    "initializer": field(7, field(5, OUTSIDE + LOCATION)),
    "initializer without a location": field(7, field(5, OUTSIDE)),
    "initializer that only says so": field(7, field(5, LOCATION)),
    "sparse values": field(7, field(15, field(1, OUTSIDE))),
    "constant": field(7, field(1, field(5, field(5, OUTSIDE)))),
    "list of constants": field(7, field(1, field(5, field(10, OUTSIDE)))),
    "branch of an If": field(7, field(1, field(5, field(6, field(5, OUTSIDE))))),
    "graph in a list": field(7, field(1, field(5, field(11, field(5, OUTSIDE))))),
    "function": field(25, field(7, field(5, field(5, OUTSIDE)))),
    "training": field(20, field(1, field(5, OUTSIDE))),
}


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_a_model_that_takes_its_weights_from_elsewhere(tmp_path: Path, place: str) -> None:
    """ONNX external data is refused wherever in a model it hides."""
    data = HIDING_PLACES[place]
    (tmp_path / "net.onnx").write_bytes(data)
    (tmp_path / "manifest.json").write_bytes(manifest_bytes([artefact_of("net.onnx", data)]))
    with pytest.raises(UserError, match="weights from other files"):
        ModelFolder(tmp_path).read_onnx("net")


def test_only_what_was_signed_is_read(tmp_path: Path) -> None:
    """A file that is larger than signed is refused by its size: nobody waits for a terabyte to be hashed."""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(CacheNotTrustedError):
        read_artefact(tmp_path, Artefact("huge", 5, "0" * 64))


def test_the_tile_codec_is_given_what_was_hashed(store: TileStore) -> None:
    """The mapping that was hashed is the one that is decoded."""
    (record, *_) = store.query_tiles(making.SOURCE, making.ZOOM, making.X0, making.Y0, making.X0 + 1, making.Y0 + 1)
    jpeg, mask = store.read(record)
    store.image_path(record.key).unlink()
    assert codec.decode_tile(jpeg, mask)[0].shape == (256, 256)
    store.close()
