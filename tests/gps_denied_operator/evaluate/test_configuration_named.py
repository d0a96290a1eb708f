"""Which configuration a result names: its values, a hash that follows from them alone, and what differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.evaluate.configuration import configuration_facts, configuration_sha256, differences


def test_the_hash_follows_from_the_values(tmp_path: Path) -> None:
    """Comments, order and defaults that are written out change nothing; a value does."""
    plain, same, other = (tmp_path / name for name in ("plain.toml", "same.toml", "other.toml"))
    plain.write_text("[pipeline]\nqueue_length = 3\n")
    same.write_text("# mine\n[gcs]\naddress = ''\n[pipeline]\nqueue_length = 3\noutput_rate_hz = 10.0\n")
    other.write_text("[pipeline]\nqueue_length = 4\n")
    facts = [configuration_facts(path) for path in (plain, same, other, None)]
    hashes = [each["configuration_sha256"] for each in facts]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    assert configuration_sha256(facts[0]["configuration"]) == hashes[0]
    assert differences(facts[0]["configuration"], facts[2]["configuration"]) == [("pipeline.queue_length", 3, 4)]


def test_a_wrong_configuration_is_told_before_any_work(tmp_path: Path) -> None:
    """An unknown key is the configuration's own UserError."""
    (tmp_path / "wrong.toml").write_text("[pipeline]\nqueue = 3\n")
    with pytest.raises(UserError, match=r"pipeline\.queue"):
        configuration_facts(tmp_path / "wrong.toml")
