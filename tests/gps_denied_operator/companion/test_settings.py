"""A companion file is read whole, or its wrong key is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.companion.config import CompanionSettings, read_companion

RIGHT = 'host = "10.0.0.7"\nuser = "pilot"\nidentity = "id_ed25519"\n'


def test_three_keys_are_enough(tmp_path: Path) -> None:
    """Host, user and identity are asked for, the rest has defaults; a whole number stands for seconds."""
    file = tmp_path / "companion.toml"
    file.write_text(f"{RIGHT}connect_timeout_s = 3\n", encoding="utf-8")
    assert read_companion(file) == CompanionSettings("10.0.0.7", "pilot", "id_ed25519", connect_timeout_s=3.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{RIGHT}prot = 22\n", "did you mean 'port'"),
        (f'{RIGHT}port = "22"\n', "'port' must be int"),
        (f"{RIGHT}port = 0\n", "give 1 to 65535"),
        (f"{RIGHT}connect_timeout_s = nan\n", "finite"),
        (f'{RIGHT}cache = "here"\n', "absolute path"),
        ('host = "10.0.0.7"\nuser = "pilot"\n', "missing key 'identity'"),
        (RIGHT.replace("10.0.0.7", "-oProxyCommand=x y"), "give the companion's address"),
        ("host = \n", "not valid TOML"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, text: str, words: str) -> None:
    """Each mistake is answered with the file and the key that is wrong."""
    file = tmp_path / "companion.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words) as refused:
        read_companion(file)
    assert str(file) in str(refused.value)
