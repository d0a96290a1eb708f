"""What every command has: quick help, JSON, completion, an exit code that is documented."""

from __future__ import annotations

import ast
import importlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from gps_denied_onboard.errors import UserError
from gps_denied_operator.cli import app, main

from ..source_trees import nodes_of, tree_of

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "gps_denied_operator"
HEAVY = {
    "cryptography", "cv2", "defusedxml", "gtsam", "httpx", "mcap", "numpy", "onnxruntime", "orjson", "paramiko", "PIL",
    "psycopg", "pyarrow", "pymavlink", "pyproj", "rasterio", "rtree", "scipy", "serial", "shapely", "sqlalchemy",
    "stamina", "starlette", "structlog", "uvicorn",
}  # fmt: skip
WITHOUT_JSON = {  # these write a stream or a page, or run until they are stopped
    "fdr extract", "fdr tail", "flash", "tiles serve",
}  # fmt: skip


def commands(group: TyperGroup, prefix: str = "") -> Iterator[tuple[str, TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{prefix}{name} ")
        else:
            assert isinstance(command, TyperCommand)
            yield f"{prefix}{name}", command


def all_commands() -> dict[str, TyperCommand]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return dict(commands(group))


def test_help_loads_nothing_heavy() -> None:
    """`--help` of the program and of each group imports no numeric, image, network or database library."""
    code = (
        "import sys, runpy\n"
        "from gps_denied_operator.cli import app\n"
        "for words in (['--help'], *([group.name, '--help'] for group in app.registered_groups)):\n"
        "    try: app(args=words)\n"
        "    except SystemExit as ended: assert ended.code == 0, words\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    loaded = set(answer.stdout.rpartition("LOADED")[2].split())
    assert "typer" in loaded
    assert loaded & HEAVY == set()


def test_every_command_speaks_json() -> None:
    """Each command that ends with an answer has --json."""
    silent = {
        name
        for name, command in all_commands().items()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert silent == WITHOUT_JSON


def test_a_mistake_is_json_too(tmp_path: Path) -> None:
    """With --json the standard output holds one object with the exit code, and the sentence is on stderr as well."""
    command = [sys.executable, "-m", "gps_denied_operator.cli", "plan", "show", str(tmp_path / "none.plan"), "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "src")
    told = orjson.loads(answer.stdout)
    assert answer.returncode == told["exit_code"] == 90
    assert told["outcome"] == "failure"
    assert told["reason"] in answer.stderr


def assignments(node: ast.ClassDef) -> list[ast.stmt]:
    return [line for line in node.body if isinstance(line, ast.Assign | ast.AnnAssign)]


def exit_codes() -> dict[str, int]:
    """The exit code of each error of the operator's package that has one of its own."""
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        for node in nodes_of(tree_of(file)):
            if isinstance(node, ast.ClassDef) and any("exit_code" in ast.unparse(line) for line in assignments(node)):
                module = ".".join(file.relative_to(ROOT / "src").with_suffix("").parts)
                kind = getattr(importlib.import_module(module), node.name)
                if issubclass(kind, UserError) and "exit_code" in vars(kind):
                    found[node.name] = kind.exit_code
    return found


def test_exit_codes_are_documented_and_do_not_move() -> None:
    """Every code is in the table of operating.md; those that scripts rely on are what they were."""
    found = exit_codes()
    page = (ROOT / "_docs" / "operating.md").read_text(encoding="utf-8")
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert set(found.values()) | {0, 1, 2} <= table
    fixed = {
        "FlightNotFoundError": 90, "FlightAccessError": 91, "FlightNetworkError": 92, "FlightMalformedError": 93,
        "FlightEmptyRouteError": 94, "FlightOutsideLimitsError": 95, "NoFooterError": 60, "NotCleanError": 61,
        "OtherFlightError": 62, "UnreadableFlightError": 63, "RelocRefusedError": 41, "RelocUnansweredError": 42,
        "CalibrationRefusedError": 70,
    }  # fmt: skip
    assert fixed.items() <= found.items()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str) -> None:
    """`--show-completion` prints a script for the shell, and the program answers what it asks."""
    from typer.testing import CliRunner

    environment = {"_OPERATOR_TOOL_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "operator-tool pl",
                   "COMP_WORDS": "operator-tool pl", "COMP_CWORD": "1",
                   "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
    answer = CliRunner().invoke(app, [], prog_name="operator-tool", env=environment)
    assert "plan" in answer.output
    assert "tiles" not in answer.output


def test_help_keeps_every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of tables in square brackets are no markup: each option's help stands in the help text whole."""
    monkeypatch.setenv("COLUMNS", "4000")
    bracketed = 0
    for name, command in all_commands().items():
        shown = " ".join(CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "4000"}).stdout.split())
        for parameter in command.params:
            text = " ".join(str(getattr(parameter, "help", "") or "").split())
            assert text in shown, (name, parameter.name)
            bracketed += "[" in text
    assert bracketed > 3


def test_a_fault_of_our_own_is_a_sentence_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback reaches the user: the exit code is 99 and the details lie in a file that is named."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for error, code, said in (
        (ZeroDivisionError("division by zero"), 99, "a fault of the program itself (ZeroDivisionError"),
        (PermissionError(13, "Permission denied", "/x/y"), 2, "/x/y: Permission denied"),
        (MemoryError(), 71, "not enough memory"),
    ):

        def broken(error: Exception = error, **_: object) -> None:
            raise error

        monkeypatch.setattr("gps_denied_operator.cli.app", broken)
        monkeypatch.setattr(sys, "argv", ["operator-tool", "plan", "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        assert ended.value.code == code
        assert said in shown.err
        assert "Traceback" not in shown.err + shown.out
        assert orjson.loads(shown.out)["exit_code"] == code
    (kept,) = tmp_path.glob("operator-tool-fault-*.txt")
    assert "Traceback" in kept.read_text()


@pytest.mark.slow
def test_a_command_at_its_limit_of_time_is_told_to_machines_too() -> None:
    """A server of flights that never answers: its parent ends the command, and gives the one JSON object of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "gps_denied_operator.cli", "plan", "show", "--flight-id", str(uuid.uuid4()),
             "--provider", address, "--json"],
            capture_output=True, text=True, timeout=60, env={**os.environ, "GPS_DENIED_TIME_S": "4"},
        )  # fmt: skip
    assert done.returncode == 72
    assert orjson.loads(done.stdout)["exit_code"] == 72
    assert "GPS_DENIED_TIME_S" in done.stderr
