"""Every command that the operating pages and README name is one that the programs accept, with these options."""

from __future__ import annotations

import functools
import importlib
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from gps_denied_onboard.config import load_config
from gps_denied_operator.cli import spread
from gps_denied_operator.companion.config import read_companion

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "_docs").glob("operating*.md")), ROOT / "_docs" / "first-hour.md"]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@functools.cache
def program_parser(program: str) -> TyperGroup:
    """Return the parser of one of the three programs."""
    parser: Any = typer.main.get_command(importlib.import_module(SCRIPTS[program].split(":")[0]).app)
    assert isinstance(parser, TyperGroup)
    return parser


def documented() -> list[str]:
    """Commands of the code blocks, without what a shell does around them."""
    prompt = r"^(?: {4})?(?:\.venv/bin/|workstation\$ |companion\$ )"
    typed = re.compile(prompt + r"((?:" + "|".join(SCRIPTS) + r")[^\n#&|]*)", re.MULTILINE)
    found = [command for page in PAGES for command in typed.findall(page.read_text(encoding="utf-8"))]
    return sorted({command.strip() for command in found})


def test_all_three_programs_are_documented() -> None:
    """The documents show each installed command at least once."""
    shown = {Path(shlex.split(command)[0]).name for command in documented()}
    assert shown == set(SCRIPTS)


@pytest.mark.parametrize("command", documented())
def test_the_documented_command_is_accepted(command: str) -> None:
    """The command line is parsed to its end by the program's own parser: no unknown option, nothing missing."""
    program, *arguments = shlex.split(command)
    parser: Any = program_parser(Path(program).name)
    arguments = spread(arguments)
    context = parser.make_context(None, [*arguments], resilient_parsing=True)
    while isinstance(parser, TyperGroup):
        name, found, arguments = parser.resolve_command(context, arguments)
        assert found is not None, name
        parser = found
        context = parser.make_context(name, [*arguments], parent=context, resilient_parsing=True)
    parser.make_context(parser.name, [*arguments], parent=context.parent)


def options(command: Any, name: str) -> list[str]:
    """Each long option of a command or of the commands of a group, behind the command's name."""
    if isinstance(command, TyperGroup):
        return [line for key, sub in command.commands.items() for line in options(sub, f"{name} {key}")]
    return [f"{name} {option}" for given in command.params for option in given.opts if option.startswith("--")]


@pytest.mark.parametrize("program", SCRIPTS)
def test_every_option_is_documented(program: str) -> None:
    """Each option that `--help` lists stands in one of the operating pages."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.name.startswith("operating"))
    known = options(program_parser(program), program)
    assert known
    assert [line for line in known if not re.search(rf"{line.split()[-1]}(?![\w-])", text)] == []


def test_make_targets_exist() -> None:
    """Every `make` that the documents name is a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"^(?: {4})?make ([a-z-]+)|`make ([a-z-]+)[^`\n]*`", page.read_text(), re.MULTILINE)
        for target in target
        if target
    }
    assert named
    assert named <= targets


def test_the_documented_configuration_is_read(tmp_path: Path) -> None:
    """The configurations in the operating pages, companion files among them, have no unknown key and no wrong type."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    blocks = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    loaded = []
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        if block.startswith("host = "):
            assert read_companion(path).user == "operator"
        else:
            loaded.append(load_config(path))
    assert loaded[0].mission.origin_latitude_deg == pytest.approx(33.6437)
    assert [config.strategies.matching for config in loaded].count("learned") == 1
