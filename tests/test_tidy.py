"""Style that a machine can see: sizes, leftovers, clocks, dead modules, addresses."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from .source_trees import nodes_of, statements_of, tree_of

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
MAX_CONSTRUCTOR_ARGUMENTS = 7
PACKAGES = ("gps_denied_onboard", "gps_denied_operator", "gps_denied_sim")
TOP_LEVEL = {
    ".ci", ".clang-format", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
    "Makefile", "README.md", "SECURITY.md", "_docs", "cpp", "flake.lock", "flake.nix", "images", "migrations", "nix",
    "pyproject.toml", "requirements", "src", "tests", "tools",
}  # fmt: skip
MADE = {".git", ".venv", "build", "dist", "result", "shared"}  # ignored by git, or not part of the tree
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70
EXEMPT_FROM_SIZE: dict[str, str] = {}  # path -> why (tables and generated code only)

# Estimation and geometry: same input, same output, wherever and whenever it runs.
PURE = (
    "geometry",
    "imaging",
    "odometry",
    "localisation",
    "fusion",
    "integrity",
    "pipeline",
    "pipeline_parts",
    "messages",
)
IMPURE_IMPORTS = {"asyncio", "concurrent", "multiprocessing", "random", "socket", "subprocess", "threading", "time"}
IMPURE_CALLS = {
    "now", "utcnow", "today", "fromtimestamp", "astimezone",  # the last two ask the machine for its time zone
    "setNumThreads", "getNumThreads", "open", "read_bytes", "read_text",
}  # fmt: skip

TEXT = {".py", ".cpp", ".hpp", ".h", ".txt", ".in", ".toml", ".md", ".nix", ".json", ".lock", ".sh", ".mako", ""}


def tree_files(*tops: str) -> list[Path]:
    """Return the text files of the tree under the given top-level entries, build products left out."""
    found: list[Path] = []
    for top in tops or sorted(TOP_LEVEL):
        path = ROOT / top
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and file.suffix in TEXT and "__pycache__" not in file.parts:
                found.append(file)
    return found


def python_files(*tops: str) -> list[Path]:
    return [file for file in tree_files(*tops) if file.suffix == ".py"]


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in statements_of(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def cpp_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield (first line, lines) of each outermost braced block that is not a namespace, class, struct or enum."""
    keep_lines = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
    code = keep_lines.sub(lambda match: "\n" * match.group().count("\n"), text)
    stack: list[tuple[bool, int]] = []  # (is it code, line of the opening brace)
    line, head = 1, ""
    for char in code:
        if char == "{":
            transparent = re.search(r"\b(namespace|class|struct|union|enum|extern)\b[^()=]*$", head) is not None
            stack.append((not transparent, line))
            head = ""
        elif char == "}":
            is_code, first = stack.pop()
            if is_code and not any(outer for outer, _ in stack):
                yield first, line - first + 1
            head = ""
        elif char == ";":
            head = ""
        else:
            head += char
        line += char == "\n"


def test_top_level_is_the_tree_of_the_architecture() -> None:
    """The repository's top level holds the agreed entries, all of them, and nothing else that is tracked."""
    present = {entry.name for entry in ROOT.iterdir() if not entry.name.endswith("_cache")} - MADE - {".hypothesis"}
    assert present == TOP_LEVEL


def test_files_are_short() -> None:
    """No source or test file is longer than 500 lines."""
    lengths = {relative(file): len(file.read_text(encoding="utf-8").splitlines()) for file in tree_files(
        "src", "cpp", "tests", "nix", "migrations", ".ci", "tools")}  # fmt: skip
    long = {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES and name not in EXEMPT_FROM_SIZE}
    assert not long


def test_python_functions_fit_a_screen() -> None:
    """No Python function is longer than 70 lines."""
    long = [
        f"{relative(file)}:{function.lineno} {function.name} {function.end_lineno - function.lineno + 1}"
        for file in python_files("src", "tests", "migrations")
        if relative(file) not in EXEMPT_FROM_SIZE
        for function in functions(tree_of(file))
        if function.end_lineno is not None and function.end_lineno - function.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not long


def crowded_constructors(tree: ast.Module) -> Iterator[str]:
    """Yield the classes whose `__init__` takes more than seven arguments besides `self`; dataclasses write none."""
    for node in statements_of(tree):
        for function in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                given = function.args
                count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - 1
                if count > MAX_CONSTRUCTOR_ARGUMENTS:
                    yield f"{node.name} {count}"


def test_constructors_take_seven_arguments_at_most() -> None:
    """No constructor in src takes more than seven arguments: more of them are grouped in a frozen dataclass."""
    crowded = {relative(file): list(crowded_constructors(tree_of(file))) for file in python_files("src")}
    assert {name: classes for name, classes in crowded.items() if classes} == {}


def test_crowded_constructors_are_found() -> None:
    """Eight arguments are told, seven are not, keyword-only ones counted."""
    text = "class A:\n def __init__(self, a, b, c, d, e, f, *, g{}): ...\n"
    assert list(crowded_constructors(ast.parse(text.format("")))) == []
    assert list(crowded_constructors(ast.parse(text.format(", h=1")))) == ["A 8"]


SINGLE_PLACE = "src/gps_denied_onboard/geometry/geodesy.py"
CONSTANTS_OF_NATURE = {5.991: 1e-3, 6378137.0: 1.0, 6371008.8: 400.0}
"""95 % of chi-square with two degrees of freedom, the WGS 84 semi-major axis and the mean radius in m -> how near to it
another number is the same one."""
TWINS_ALLOWED = {
    "src/gps_denied_operator/scoring/metrics.py": "the judge's own exact quantile: it shares no figure with the judged",
    "src/gps_denied_sim/scene/terrain.py": "the simulated world's own radius: it is not made of the estimator's model",
}


def constant_twins(tree: ast.AST) -> list[float]:
    return [
        float(node.value)
        for node in nodes_of(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float)
        if any(abs(node.value - number) <= near for number, near in CONSTANTS_OF_NATURE.items())
    ]


def test_constants_of_nature_stand_in_one_place() -> None:
    """The earth's radii and the 95 % chi-square are written in geodesy.py alone, but for the twins told by name."""
    twins = {relative(file) for file in python_files("src") if constant_twins(tree_of(file))}
    assert twins == {SINGLE_PLACE, *TWINS_ALLOWED}
    assert set(constant_twins(tree_of(ROOT / SINGLE_PLACE))) == set(CONSTANTS_OF_NATURE)


def test_cpp_functions_fit_a_screen() -> None:
    """No C++ function body is longer than 70 lines."""
    long = [
        f"{relative(file)}:{first} {lines}"
        for file in tree_files("cpp")
        if file.suffix in {".cpp", ".hpp", ".h"} and relative(file) not in EXEMPT_FROM_SIZE
        for first, lines in cpp_blocks(file.read_text(encoding="utf-8"))
        if lines > MAX_FUNCTION_LINES
    ]
    assert not long


def test_cpp_block_finder_sees_functions_and_skips_namespaces() -> None:
    """The C++ size check counts function bodies inside namespaces and classes, not the namespaces themselves."""
    text = "namespace a {\nstruct S {\n  int f() const {\n    return 1;  // }\n  }\n};\n}  // namespace a\n"
    assert list(cpp_blocks(text)) == [(3, 3)]


def is_pure(file: Path) -> bool:
    parts = file.relative_to(ROOT / "src" / "gps_denied_onboard").with_suffix("").parts
    return parts[0] in PURE


def impurities(tree: ast.Module) -> Iterator[str]:
    for node in nodes_of(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        yield from (f"line {node.lineno}: {name}" for name in names if name.split(".")[0] in IMPURE_IMPORTS)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            yield f"line {node.lineno}: open()"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE_CALLS:
            yield f"line {node.lineno}: {node.func.attr}()"


def test_the_core_touches_no_clock_socket_thread_or_file() -> None:
    """The pure packages import no clock, socket, thread or process and open no file."""
    found = {
        relative(file): list(impurities(tree_of(file)))
        for file in python_files("src/gps_denied_onboard")
        if is_pure(file)
    }
    assert {name: what for name, what in found.items() if what} == {}


def test_random_numbers_have_a_seed_from_outside() -> None:
    """No source file makes a random generator without a seed."""
    unseeded = [
        f"{relative(file)}:{node.lineno}"
        for file in python_files("src")
        for node in nodes_of(tree_of(file))
        if isinstance(node, ast.Call) and not node.args and not node.keywords
        and isinstance(node.func, ast.Name | ast.Attribute)
        and (node.func.id if isinstance(node.func, ast.Name) else node.func.attr) == "default_rng"
    ]  # fmt: skip
    assert not unseeded


LEFTOVERS = re.compile(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b")
THIS_FILE = Path(__file__).resolve()


def test_nothing_is_left_for_later() -> None:
    """No file holds a note to do something later or an error for what is not written."""
    left = [
        f"{relative(file)}:{number}"
        for file in tree_files()
        if file != THIS_FILE
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if LEFTOVERS.search(line)
    ]
    assert not left


def test_no_path_of_somebodys_machine() -> None:
    """No file names a path that exists only on the machine where it was written."""
    pattern = re.compile(r"(?<![\w.$}~*-])/(?:root|work|home)(?:/|\b(?![\w-]))")
    named = [
        f"{relative(file)}:{number}: {line.strip()}"
        for file in tree_files()
        if file != THIS_FILE
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not named


def test_pins_and_build_files_name_no_server() -> None:
    """Requirements, pins and build files hold names and hashes; the package clients' own configuration says where."""
    build = tree_files(
        "requirements", "pyproject.toml", "Makefile", ".ci", "tools", "nix", "images", "flake.nix", "flake.lock"
    )
    addressed = [
        f"{relative(file)}:{number}"
        for file in [*build, ROOT / "cpp" / "CMakeLists.txt"]
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"(?:https?|ftp)" r"://|--(?:extra-)?index-url|--find-links", line)
        and "--no-emit" not in line
    ]  # fmt: skip
    assert not addressed


def test_every_test_says_what_it_shows() -> None:
    """Every test function has a docstring."""
    silent = [
        f"{relative(file)}:{function.lineno} {function.name}"
        for file in python_files("tests")
        for function in functions(tree_of(file))
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert not silent


def module_names() -> dict[str, Path]:
    names: dict[str, Path] = {}
    for file in python_files("src"):
        parts = file.relative_to(ROOT / "src").with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return names


def named_by(module: str, file: Path, known: dict[str, Path]) -> set[str]:
    """Return the project modules that one module imports or names in a string, e.g. in a registry of strategies."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in nodes_of(tree_of(file)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*anchor, *filter(None, [base])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and re.fullmatch(r"gps_denied_\w+(\.\w+)*(:\w+)?", str(node.value)):
            found.add(str(node.value).split(":")[0])
    parents = {name.rpartition(".")[0] for name in found} | {module.rpartition(".")[0]}
    return (found | parents) & known.keys()


def test_no_module_is_dead() -> None:
    """Every module can be reached from a command's entry point through imports or registry names."""
    known = module_names()
    waiting = {target.split(":")[0] for target in SCRIPTS.values()}
    assert waiting <= known.keys()
    migrations = [named_by("migrations", file, known) for file in python_files("migrations")]
    waiting.update(*migrations)
    alive: set[str] = set()
    while waiting:
        module = waiting.pop()
        alive.add(module)
        waiting |= named_by(module, known[module], known) - alive
    assert sorted(known.keys() - alive - set(PACKAGES)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed(package: str) -> None:
    """Each package tells type checkers that it carries types."""
    assert (ROOT / "src" / package / "py.typed").is_file()


def commands(prefix: str, app: typer.Typer) -> Iterator[str]:
    """Yield each command of a Typer application as a user types it."""
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__.replace("_", "-") if command.callback else "")
        yield f"{prefix} {name}"
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from commands(f"{prefix} {group.name}", group.typer_instance)


@pytest.mark.parametrize(
    ("program", "module"),
    [(name, target.split(":")[0]) for name, target in SCRIPTS.items()],
)
def test_every_command_is_in_the_operating_page(program: str, module: str) -> None:
    """Each command of each program is shown in a page _docs/operating*.md."""
    page = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "_docs").glob("operating*.md"))
    names = list(commands(program, importlib.import_module(module).app))
    assert names
    assert [name for name in names if name not in page] == []


def test_every_make_target_has_a_line_of_help() -> None:
    """Each phony target of the Makefile says what it does."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    assert set(phony.group(1).split()) == set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
