"""operator-tool from outside: exit codes, one sentence for mistakes, nothing left behind, help without delay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gps_denied_operator import cli
from gps_denied_operator.cli import spread

SOURCE = Path(__file__).resolve().parents[3] / "src"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["flights", "--seeds", "9-0", "--minutes", "1"], "--seeds '9-0'"),
        (["flights", "--seeds", "a-b", "--minutes", "1"], "--seeds 'a-b' is not understood"),
        (["flights", "--seeds", "0", "--minutes", "-1"], "--minutes must be"),
        (["flights", "--seeds", "0", "--minutes", "1", "--config", "no.toml"], "no.toml does not exist"),
        (["flights", "--seeds", "0", "--minutes", "0.1", "--scenario", "picnic"], "unknown scenario 'picnic'"),
        (["photos", "--photos", "nowhere", "--map", "nowhere.tif"], "nowhere does not exist"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    sentence: str,
) -> None:
    """A user's mistake ends with code 2 and one line on stderr, the same as JSON on stdout, and leaves no folder."""
    rest = ["--out", str(tmp_path / "out"), "--json"]
    monkeypatch.setattr(sys, "argv", ["operator-tool", "evaluate", *arguments, *rest])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert sentence in said.err
    assert len(said.err.strip().splitlines()) == 1
    told = json.loads(said.out)
    assert (told["outcome"], told["exit_code"]) == ("failure", 2)
    assert sentence in told["reason"]
    assert list(tmp_path.iterdir()) == []


def test_help_loads_nothing_heavy() -> None:
    """Help comes without the libraries that take time to load."""
    told = "import sys; from gps_denied_operator import cli; sys.argv = 'operator-tool evaluate photos --help'.split()"
    heavy = "{'cv2', 'scipy', 'gtsam', 'rasterio', 'alembic', 'psycopg', 'numpy', 'pymavlink'}"
    script = f"{told}\ntry:\n    cli.main()\nfinally:\n    print('heavy:', sorted({heavy} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert run.returncode == 0
    assert "--help" in run.stdout
    assert run.stdout.rstrip().endswith("heavy: []")


def test_several_maps_after_one_option() -> None:
    """`--map a b` means the same as `--map a --map b`, wherever it stands."""
    assert spread(["photos", "--map", "a", "b", "--out", "o"]) == ["photos", "--map", "a", "--map", "b", "--out", "o"]
    assert spread(["--map", "a", "--map", "b", "c"]) == ["--map", "a", "--map", "b", "--map", "c"]
    assert spread(["--out", "o", "--json"]) == ["--out", "o", "--json"]
    assert spread(["--map", "a", "--", "b"]) == ["--map", "a", "--", "b"]
