"""Names of compiled engines: an engine is good for one GPU generation, one TensorRT, one precision, and says so.

    xfeat_dense_sm87_jp6.2_trt10.3_fp16.engine

Pure. A name is this host's or it is not loaded: TensorRT may run another host's engine, and compute nonsense.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gps_denied_onboard.errors import UserError

PRECISIONS = ("fp32", "fp16")
_NAME = re.compile(
    r"(?P<model>[A-Za-z0-9][A-Za-z0-9_-]*?)_sm(?P<sm>[1-9][0-9]{1,2})_jp(?P<jp>[0-9]+\.[0-9]+|none)"
    r"_trt(?P<trt>[0-9]+\.[0-9]+)_(?P<precision>fp32|fp16)\.engine"
)


class EngineFileError(UserError):
    """An engine file that is not this host's, or is named in no way that could tell."""


@dataclass(frozen=True, slots=True)
class Host:
    """What an engine is compiled for: compute capability (87 is 8.7), JetPack ("none" elsewhere), TensorRT."""

    sm: int
    jetpack: str
    tensorrt: str


@dataclass(frozen=True, slots=True)
class EngineFile:
    """The parts of an engine's file name."""

    model: str
    host: Host
    precision: str

    @property
    def name(self) -> str:
        """The file's name."""
        host = self.host
        return f"{self.model}_sm{host.sm}_jp{host.jetpack}_trt{host.tensorrt}_{self.precision}.engine"


def parse_name(name: str) -> EngineFile:
    """The parts of a file name; EngineFileError for a name that is not exactly one of an engine."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise EngineFileError(
            f"'{name}' is no engine's name; it must read MODEL_smNN_jpX.Y_trtX.Y_fp16.engine. Compile it again."
        )
    return EngineFile(match["model"], Host(int(match["sm"]), match["jp"], match["trt"]), match["precision"])


def engine_for(model: str, host: Host, precision: str, names: list[str]) -> EngineFile:
    """The engine of `model` for `host` among `names`; EngineFileError says which hosts there are engines for."""
    wanted = EngineFile(model, host, precision)
    if wanted.name in names:
        return parse_name(wanted.name)
    others = sorted(name for name in names if name.startswith(f"{model}_") and name.endswith(".engine"))
    raise EngineFileError(
        f"no engine '{wanted.name}' in the manifest, which has {', '.join(others) or 'none of this model'}; "
        "compile it on this host with `gps-denied-onboard models compile`."
    )


def jetpack_of(release: str) -> str:
    """JetPack's version by NVIDIA's /etc/nv_tegra_release, "none" for an empty text.

    L4T 36.x is JetPack 6 (36.3: 6.0, 36.4 to 36.4.2: 6.1, from 36.4.3: 6.2), as NVIDIA's archive lists them; another
    release is EngineFileError, as engines for it have never been tried.
    """
    if not release.strip():
        return "none"
    match = re.match(r"# R(\d+) \(release\), REVISION: (\d+)\.(\d+)", release)
    number = tuple(int(part) for part in match.groups()) if match is not None else (0, 0, 0)
    if number[:2] == (36, 3):
        return "6.0"
    if number[:2] == (36, 4):
        return "6.2" if number[2] >= 3 else "6.1"
    raise EngineFileError(
        f"this board's release '{release.strip().splitlines()[0][:80]}' is not JetPack 6; flash the JetPack that the "
        "image is made for."
    )
