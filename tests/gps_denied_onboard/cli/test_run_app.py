"""Programs called wrongly: one sentence that names the mistake and where to look, exit code 2."""

from __future__ import annotations

import importlib
import json
import sys

import pytest

PROGRAMS = ("gps_denied_onboard.cli.main", "gps_denied_operator.cli", "gps_denied_sim.cli")


def run(monkeypatch: pytest.MonkeyPatch, module: str, *words: str) -> int:
    """Exit code of a program's entry point."""
    monkeypatch.setattr(sys, "argv", ["program", *words])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        (PROGRAMS[0], ["replay"], "error: Missing argument 'recording'. See `gps-denied-onboard replay --help`."),
        (PROGRAMS[1], ["nothing"], "operator-tool: No such command 'nothing'. See `operator-tool --help`."),
        (PROGRAMS[1], ["evaluate", "flights", "--seeds"], "operator-tool: Option '--seeds' requires an argument."),
        (PROGRAMS[2], ["fly", "--nope"], "gps-denied-sim: No such option: --nope. See `gps-denied-sim fly --help`."),
    ],
)
def test_mistake_in_the_call_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], module: str, words: list[str], said: str
) -> None:
    """The program's own form, as for every other mistake; nothing goes to stdout."""
    assert run(monkeypatch, module, *words) == 2
    out, err = capfd.readouterr()
    assert (out, err) == ("", f"{said}\n")


@pytest.mark.parametrize("module", PROGRAMS)
def test_no_argument_shows_the_help(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], module: str
) -> None:
    """The commands are listed, and the exit code says that nothing was done; each tells its release."""
    assert run(monkeypatch, module) == 2
    assert "Commands:" in capfd.readouterr().err
    assert run(monkeypatch, module, "--version") == 0
    assert capfd.readouterr().out.strip().count(".") == 2


def test_json_tells_of_a_missing_option(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A program that reads our JSON reads why there is none."""
    assert run(monkeypatch, PROGRAMS[1], "evaluate", "photos", "--json") == 2
    told = json.loads(capfd.readouterr().out)
    assert (told["outcome"], told["exit_code"]) == ("failure", 2)
    assert told["reason"].startswith("Missing option '--photos'.")
