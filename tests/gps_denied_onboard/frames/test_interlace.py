"""Videos whose pictures are stored in fields are refused with the reason: the decoder gives no pictures of them."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.interlace import says_interlaced
from gps_denied_onboard.frames.video import VideoSource

# Twelve fields of a test pattern, 32x32, H.264 in MP4, compressed.
FIELDS = zlib.decompress(base64.b85decode(
    "c-muNU{FXasVvAW&d+6FU}6B#Kx~v)mTZ_?U}DI?z`&7Kl$y%Gz!;I6l2`)d|4i*@;;_H`bm~Us&XdV8(f2NV3OpL|X7}zZYO70DaGc_JThbCC"
    ";P!B#b&<lRAjwA0>&7gPjSlj>kc&Of@G>=EeVSs+lv<q)H`jC3vK+CxzdLvP%D(K#GKTuU83!$O{QsY3DPvoD{C~^B>|&!c4V`Db)(Ww$|6b_K"
    "p?YTdttG$LxbBVgozeMP-dXlWzWV!1Yh)X>1qzsiBt*{Kc3boFkb~axS;EKGMVxe6XE@=N{A!h{(fg-t*}F_}$Mri5_J<7T&YfE6C*QOCzfgGU"
    "{s%fwJMO3G_nkVV+82M6%k25rl4YG;fAidm({|l?mHzOZ&EA|TpHuy8{ZIEg0zJ>}I7=z=|I`Ku(<P*SY9oZ1<_s6@05U<M%8s*EIsbq3^WC}Y"
    "bxg0b)6M)#_9-v6U$f@_|Ne}?qKZyM-9!ckW|`dl{4${OoZPaE6b2N)`~paPU|?hbAp~GVRfW!XV89EQfGE49C@~wzjw#6o+sTZ@v=10MiLqA!"
    "iWwMGQd3HbfwW9&PH_p6jt>aEjE{3uG7~{Ma#PU#ZUn?U453HB9NmnRoFbS^S!PNqvdS<ZKi?xUFC`}xq=vCCH#08{$Pg*Z1sjU&OqCRfoJ>kl"
    "Y8sNGcuI?M6d-Iyzv7al93XpNaY=CslA3j(Oo1aPK%Q1$@Bq>tFcmyLK=leanMoB!W+vDoLgN2_AZY?r<;<AEAo~9ygLpcSUh_mdK?xKkOduk~"
    "P9tOjBLiE;?}jIvbpHPM0n#Z@kXT#*bp;5EB$X6FgIN0j%=F?CaPY%i%La~lpjx1>ki|h*1}K({CdLM(b%1hJNUjEn{{>=hG^`FWJ2@Z890MS>"
    "Elnu_MX_maDwqZVMdauNCV`^Ff`T06py9{_rWpWKl?vt"
))  # fmt: skip
SPS_FIELDS = bytes.fromhex("67640015ace42b6022000003000200000300643e285490")
SPS_FRAMES = bytes.fromhex("6764000dacd94141fb011000000300100000030320f1429960")


def box(kind: bytes, *contents: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, contents)), kind) + b"".join(contents)


def avcc(sps: bytes) -> bytes:
    return bytes([1, *sps[1:4], 0xFF, 0xE1]) + len(sps).to_bytes(2, "big") + sps + b"\1\0\4\x68\xeb\xe3\xcb"


def movie(inside: bytes) -> bytes:
    return box(b"ftyp", b"isom") + box(b"moov", box(b"trak", inside))


def matroska(inside: bytes) -> bytes:
    return b"\x1a\x45\xdf\xa3\x84abcd" + b"\x86\x8fV_MPEG4/ISO/AVC" + inside


def private(sps: bytes) -> bytes:
    return b"\x63\xa2" + bytes([0x80 | len(avcc(sps))]) + avcc(sps)


def mpeg2(progressive: bool) -> bytes:
    return b"\0\0\1\xba!" + bytes(9) + b"\0\0\1\xb5" + bytes([0x14, 0x8A if progressive else 0x82]) + bytes(8)


def hvcc(flags: int) -> bytes:
    return box(b"hvcC", bytes([1, 1]), bytes(4), bytes([flags]), bytes(16))


STREAMS: dict[str, tuple[bytes, bool]] = {
    "MP4, fields": (movie(box(b"avcC", avcc(SPS_FIELDS))), True),
    "MP4, frames": (movie(box(b"avcC", avcc(SPS_FRAMES))), False),
    "MOV, two fields": (movie(box(b"fiel", b"\2\1")), True),
    "MOV, one field": (movie(box(b"fiel", b"\1\0")), False),
    "HEVC, interlaced source": (movie(hvcc(0x40)), True),
    "HEVC, progressive source": (movie(hvcc(0x90)), False),
    "Matroska's flag": (matroska(b"\x9a\x81\1"), True),
    "Matroska's flag of frames": (matroska(b"\x9a\x81\2" + private(SPS_FIELDS)), False),
    "Matroska, fields": (matroska(private(SPS_FIELDS)), True),
    "Matroska, frames": (matroska(private(SPS_FRAMES)), False),
    "H.264 alone, fields": (b"\0\0\0\1\x09\xf0\0\0\0\1" + SPS_FIELDS + bytes(9), True),
    "H.264 alone, frames": (b"\0\0\0\1" + SPS_FRAMES + bytes(9), False),
    "MPEG-2, fields": (mpeg2(False), True),
    "MPEG-2, frames": (mpeg2(True), False),
    "cut off in a header": (movie(box(b"avcC", avcc(SPS_FIELDS)[:12])), False),
    "nothing of it": (b"RIFF" + bytes(60), False),
}


@pytest.mark.parametrize("what", STREAMS)
def test_headers_say_whether_pictures_are_in_fields(what: str, tmp_path: Path) -> None:
    """The flags of containers and sequence headers; where there is none, nothing is claimed."""
    data, expected = STREAMS[what]
    (tmp_path / "a").write_bytes(data)
    assert says_interlaced(tmp_path / "a") is expected


def test_an_interlaced_video_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Its pictures would be one and the same buffer; the refusal says why and names a command."""
    (tmp_path / "a.mp4").write_bytes(FIELDS)
    with pytest.raises(UserError, match=r"is interlaced.*bwdif"):
        VideoSource(tmp_path / "a.mp4")


def test_a_frame_is_given_again_each_time_that_it_is_asked_for(tmp_path: Path) -> None:
    """Of whole frames under a header that allows for fields, the same one twice is no repeated buffer."""
    path = tmp_path / "a.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for k in range(6):
        writer.write(np.full((48, 64, 3), 40 * k, dtype=np.uint8))
    writer.release()
    data, more = path.read_bytes(), box(b"udta", box(b"fiel", b"\2\1"))
    at = data.rindex(b"moov") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    assert at + size == len(data)
    path.write_bytes(data[:at] + (size + len(more)).to_bytes(4, "big") + data[at + 4 :] + more)
    assert says_interlaced(path)
    source = VideoSource(path, indices=[3])
    assert [[frame.index for frame in source] for _ in range(2)] == [[3], [3]]
    assert source.problems == ()
