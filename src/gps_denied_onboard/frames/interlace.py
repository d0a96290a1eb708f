"""Whether a video file says that its pictures are stored in fields (interlaced), by the headers of its stream.

FFmpeg's scaler refuses pictures in fields, and OpenCV then hands out the buffer as it was, with no error: black, or the
picture before (vllm-project/vllm#47853). Looked at: `fiel`, `avcC` and `hvcC` of MP4 and MOV, Matroska's
FlagInterlaced and its copy of avcC, sequence headers of H.264 and MPEG-2 in transport, program and elementary streams.
"""

from __future__ import annotations

from pathlib import Path

from gps_denied_onboard.frames.container import movie_box

HEAD_BYTES = 2 << 20
SPS_BYTES_MAX = 512
_CHROMA_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}


def says_interlaced(path: Path) -> bool:
    """Whether the headers allow for pictures in fields; False where they do not say."""
    with path.open("rb") as stream:
        movie = movie_box(stream, path.stat().st_size)
        stream.seek(0)
        head = stream.read(HEAD_BYTES)
    try:
        if movie:
            return _of_movie(movie)
        if head.startswith(b"\x1a\x45\xdf\xa3"):
            return _of_matroska(head)
        return _of_stream(head)
    except IndexError:  # cut off inside a header
        return False


def _of_movie(movie: bytes) -> bool:
    at = movie.find(b"fiel")
    if at >= 0:
        return movie[at + 4] == 2
    at = movie.find(b"avcC")
    if at >= 0:
        return _of_avcc(movie[at + 4 : at + 4 + SPS_BYTES_MAX])
    at = movie.find(b"hvcC")  # general_progressive_source_flag, general_interlaced_source_flag
    return at >= 0 and movie[at + 10] & 0xC0 == 0x40


def _of_matroska(head: bytes) -> bool:
    track = head[max(head.find(b"V_"), 0) :]
    flag = track.find(b"\x9a\x81", 0, 400)
    if flag >= 0 and track[flag + 2] in (1, 2):
        return track[flag + 2] == 1
    at = head.find(b"\x63\xa2") + 2
    if at < 2:
        return False
    at += 9 - head[at].bit_length()  # behind its size
    return _of_avcc(head[at : at + SPS_BYTES_MAX])


def _of_stream(head: bytes) -> bool:
    at = head.find(b"\0\0\1")
    while 0 <= at < len(head) - 5:
        kind = head[at + 3]
        if kind == 0xB5 and head[at + 4] >> 4 == 1:  # sequence extension of MPEG-2: progressive_sequence
            return not head[at + 5] & 0x08
        if kind in (0x67, 0x47, 0x27):
            return _fields_of_sps(head[at + 3 : at + 3 + SPS_BYTES_MAX])
        at = head.find(b"\0\0\1", at + 3)
    return False


def _of_avcc(record: bytes) -> bool:
    """AVCDecoderConfigurationRecord (ISO 14496-15), its first sequence parameter set."""
    return len(record) > 9 and record[0] == 1 and record[5] & 0x1F > 0 and _fields_of_sps(record[8:])


def _fields_of_sps(sps: bytes) -> bool:
    """frame_mbs_only_flag of a sequence parameter set of H.264 (clause 7.3.2.1.1) is 0: fields may occur."""
    bits = _Bits(sps[1:].replace(b"\0\0\3", b"\0\0"))
    profile = bits.take(8)
    bits.take(16)
    bits.exp_golomb()
    if profile in _CHROMA_PROFILES:
        chroma = bits.exp_golomb()
        bits.take(1 if chroma == 3 else 0)
        bits.exp_golomb(), bits.exp_golomb(), bits.take(1)
        if bits.take(1):
            for number in range(12 if chroma == 3 else 8):
                _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.exp_golomb()
    order = bits.exp_golomb()
    if order == 0:
        bits.exp_golomb()
    elif order == 1:
        bits.take(1), bits.exp_golomb(), bits.exp_golomb()
        for _ in range(min(bits.exp_golomb(), 255)):
            bits.exp_golomb()
    bits.exp_golomb(), bits.take(1), bits.exp_golomb(), bits.exp_golomb()
    return bits.take(1) == 0


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    if not bits.take(1):
        return
    for _ in range(size):
        if following:
            code = bits.exp_golomb()
            following = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
        last = following or last


class _Bits:
    """Bits of a header, the highest first; IndexError behind its end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> 7 - (self._at & 7) & 1
            self._at += 1
        return value

    def exp_golomb(self) -> int:
        """An unsigned number as H.264 codes it (ue(v))."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise IndexError
        return (1 << zeros) - 1 + self.take(zeros)
