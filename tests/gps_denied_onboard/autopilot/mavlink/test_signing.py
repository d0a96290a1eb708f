"""MAVLink 2 signing against pymavlink's own signer: who is heard, who is refused, what survives a restart."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega

from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.signing import (
    LINK_ID,
    NEW_STREAM_TICKS,
    Signing,
    first_timestamp,
    open_signing,
    read_key,
)
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import Alert

KEY = bytes(range(1, 33))
START = 40_000_000_000_000
SECOND = 100_000
NOW_NS = 7_000_000_000


def signer(system_id: int = 1, key: bytes = KEY, timestamp: int = START, link_id: int = 0) -> Any:
    """A pymavlink packer that signs."""
    mav = ardupilotmega.MAVLink(None, srcSystem=system_id, srcComponent=1)
    mav.signing.secret_key = key
    mav.signing.sign_outgoing = True
    mav.signing.link_id = link_id
    mav.signing.timestamp = timestamp
    return mav


def heartbeat(mav: Any) -> bytes:
    packet: bytes = mav.heartbeat_encode(1, 3, 0, 0, 4).pack(mav)
    return packet


def state_file(tmp_path: Path, timestamp: int = START, **streams: int) -> Path:
    path = tmp_path / "signing.state"
    path.write_text(json.dumps({"timestamp": timestamp, "streams": streams}))
    return path


def guarded(signing: Signing) -> Any:
    parser = ardupilotmega.MAVLink(None)
    parser.robust_parsing = True
    signing.guard(parser)
    return parser


def accepted(parser: Any, packet: bytes) -> bool:
    (message,) = parser.parse_buffer(packet)
    return bool(message.get_type() == "HEARTBEAT")


@pytest.fixture
def signing(tmp_path: Path) -> Signing:
    return Signing(bytearray(KEY), state_file(tmp_path))


def test_only_our_key_is_heard(signing: Signing) -> None:
    """A frame that our key has signed is heard; another key's, an unsigned one and MAVLink 1 are not."""
    parser = guarded(signing)
    assert accepted(parser, heartbeat(signer()))
    assert not accepted(parser, heartbeat(signer(2, key=KEY[::-1])))
    plain = ardupilotmega.MAVLink(None, srcSystem=3, srcComponent=1)
    assert not accepted(parser, heartbeat(plain))
    assert not accepted(parser, plain.heartbeat_encode(1, 3, 0, 0, 4).pack(plain, force_mavlink1=True))


def test_a_changed_byte_is_not_heard(signing: Signing) -> None:
    """A frame whose payload was changed after signing, with its checksum made good, is refused."""
    packet = bytearray(heartbeat(signer()))
    forged = signer()
    forged.signing.sign_outgoing = False
    other = forged.heartbeat_encode(2, 3, 0, 0, 4).pack(forged)
    assert len(other) + 13 == len(packet)
    packet[10 : len(other) - 2] = other[10:-2]
    crc = ardupilotmega.x25crc(bytes(packet[1 : len(other) - 2]) + bytes([50])).crc
    packet[len(other) - 2 : len(other)] = crc.to_bytes(2, "little")
    assert not accepted(guarded(signing), bytes(packet))


def test_replayed_frames_are_not_heard(signing: Signing) -> None:
    """The same frame twice, and an older one of the same stream, are refused; the stream goes on."""
    parser, mav = guarded(signing), signer()
    old, first = heartbeat(mav), heartbeat(mav)
    assert accepted(parser, first)
    assert not accepted(parser, first)
    assert not accepted(parser, old)
    assert accepted(parser, heartbeat(mav))


def test_a_forged_timestamp_does_not_shut_the_true_sender_out(signing: Signing) -> None:
    """A frame from the far future under a wrong key leaves the stream as it was."""
    parser = guarded(signing)
    assert not accepted(parser, heartbeat(signer(key=KEY[::-1], timestamp=2**48 - 2)))
    assert accepted(parser, heartbeat(signer()))


@pytest.mark.parametrize(("behind", "heard"), [(NEW_STREAM_TICKS, True), (NEW_STREAM_TICKS + 1, False)])
def test_a_new_stream_may_be_a_minute_behind(signing: Signing, behind: int, heard: bool) -> None:
    """A sender that was never heard may be 60 s behind us, not more."""
    assert accepted(guarded(signing), heartbeat(signer(timestamp=START - behind))) is heard


def test_our_packets_pass_pymavlinks_own_check(signing: Signing) -> None:
    """Each packet is signed anew, with a timestamp above the one before and above what was heard."""
    accepted(guarded(signing), heartbeat(signer(timestamp=START + 500)))
    encoder = MavlinkEncoder(signing=signing)
    receiver = ardupilotmega.MAVLink(None)
    receiver.signing.secret_key = KEY
    receiver.signing.timestamp = START + 500
    packets = [encoder.heartbeat(), *encoder.statustext(Alert(0, 4, "x")), encoder.heartbeat()]
    assert [receiver.parse_buffer(packet)[0].get_signed() for packet in packets] == [True] * 3
    assert packets[0][-13] == LINK_ID
    stamps = [int.from_bytes(packet[-12:-6], "little") for packet in packets]
    assert stamps == [START + 501, START + 502, START + 503]


def test_timestamps_run_with_the_clock(signing: Signing) -> None:
    """After ten seconds of our clock a packet's timestamp is ten seconds on; a clock that goes back changes nothing."""
    signing.tick(NOW_NS)
    signing.tick(NOW_NS + 10_000_000_000)
    assert signing.timestamp == START + 10 * SECOND
    signing.tick(NOW_NS)
    assert signing.timestamp == START + 10 * SECOND


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """What was heard before a restart is refused after it, and our own timestamps go on."""
    path = state_file(tmp_path)
    before, mav = Signing(bytearray(KEY), path), signer(timestamp=START + 700)
    packet = heartbeat(mav)
    assert accepted(guarded(before), packet)
    before.close()
    after = Signing(bytearray(KEY), path)
    assert after.timestamp == START + 700
    assert not after.heard
    parser = guarded(after)
    assert not accepted(parser, packet)
    assert accepted(parser, heartbeat(mav))
    assert after.heard


def test_timestamps_are_kept_while_flying(tmp_path: Path) -> None:
    """A power cut loses seconds, not the flight: the file follows every few seconds once the autopilot was heard."""
    path = state_file(tmp_path)
    signing = Signing(bytearray(KEY), path)
    signing.tick(NOW_NS)
    assert json.loads(path.read_text())["timestamp"] == START
    accepted(guarded(signing), heartbeat(signer(timestamp=START + 900)))
    signing.tick(NOW_NS + 1_000_000)
    assert json.loads(path.read_text()) == {"timestamp": START + 900, "streams": {"0/1/1": START + 900}}
    assert [entry.name for entry in tmp_path.iterdir()] == ["signing.state"]


def test_the_key_is_forgotten_on_close(signing: Signing) -> None:
    """After close no byte of the key is left in memory that we hold."""
    key = signing._key
    signing.close()
    assert bytes(key) == bytes(32)


def key_file(folder: Path, content: bytes = KEY, mode: int = 0o600) -> Path:
    path = folder / "flight.key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_key_files(tmp_path: Path) -> None:
    """A good key file is read; without one there is no signing; its state file lies beside it."""
    path = key_file(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bytes(read_key(path)) == KEY
    assert open_signing("", "") is None
    opened = open_signing(str(path), "")
    assert opened is not None
    opened.heard = True
    opened.save()
    assert (tmp_path / "flight.key.state").is_file()


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (KEY[:-1], 0o600, "must hold exactly 32 bytes"),
        (KEY + b"\n", 0o600, "must hold exactly 32 bytes"),
        (b"", 0o600, "must hold exactly 32 bytes"),
        (bytes(32), 0o600, "all zeros"),
        (KEY, 0o640, "may be read by others; run: chmod 600"),
        (KEY, 0o604, "may be read by others; run: chmod 600"),
    ],
)
def test_bad_key_files(tmp_path: Path, content: bytes, mode: int, says: str) -> None:
    """A key of the wrong length, a readable one, one of zeros: refused with what to do, without a byte of it."""
    path = key_file(tmp_path, content, mode)
    with pytest.raises(UserError, match=says) as error:
        open_signing(str(path), "")
    assert KEY[:4].hex() not in str(error.value)
    with pytest.raises(UserError, match="cannot be read"):
        read_key(tmp_path / "absent.key")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"timestamp": 0, "streams": {}}', '{"timestamp": 281474976710656, "streams": {}}',
     '{"timestamp": 5, "streams": []}', '{"timestamp": 5, "streams": {"1/2": 3}}', '{"timestamp": "x", "streams": {}}'],
)  # fmt: skip
def test_damaged_state_files(tmp_path: Path, text: str) -> None:
    """Timestamps that cannot be read are not guessed: the user is told to set signing up again."""
    path = tmp_path / "signing.state"
    path.write_text(text)
    with pytest.raises(UserError, match="is damaged; remove it and set signing up again"):
        Signing(bytearray(KEY), path)


def test_a_state_file_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is not there is told before take-off; a disk that fails in flight stops nothing."""
    with pytest.raises(UserError, match=r"cannot be written; set autopilot\.signing_state"):
        open_signing(str(key_file(tmp_path)), str(tmp_path / "absent" / "state"))
    folder = tmp_path / "gone"
    folder.mkdir()
    signing = Signing(bytearray(KEY), folder / "state")
    folder.rmdir()
    signing.save()
    assert not folder.exists()


def test_the_first_timestamp_counts_from_2015() -> None:
    """Ten microseconds a count since 2015-01-01; a clock before that gives the least."""
    assert first_timestamp(1_420_070_401 * 10**9) == SECOND
    assert first_timestamp(0) == 1
