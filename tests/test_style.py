"""Rules of the code that no linter knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "sim").rglob("*.py"))
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
NO_NUMBER = {"None", "bool", "str"}
# Where each of these may be imported: the clock belongs to the engine, validation to the boundary.
OWNER = {"simpy": "sim/engine", "pydantic": "sim/spec", "yaml": "sim/spec", "typer": "sim/cli"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[Function]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def lines_of_code(function: Function) -> int:
    """Lines from `def` to the end, docstring apart: explaining more is no reason to cut a function in two."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    explained = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
    return function.end_lineno - function.lineno + 1 - explained


def test_files_hold_one_concept() -> None:
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    too_long = {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX}
    assert not too_long, f"more than {FILE_LINES_MAX} lines: {too_long}"


def test_functions_fit_on_a_screen() -> None:
    too_long = [
        f"{relative(path)}:{function.lineno} {function.name}: {lines_of_code(function)} lines"
        for path in FILES
        for function in functions(path)
        if lines_of_code(function) > FUNCTION_LINES_MAX
    ]
    assert not too_long


def test_every_formula_names_its_source() -> None:
    """A public function of sim/cost that returns a number says where its formula comes from."""
    without = []
    for path in (path for path in FILES if relative(path).startswith("sim/cost/")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, Function) or node.name.startswith("_"):
                continue
            returned = ast.unparse(node.returns) if node.returns else "None"
            if returned not in NO_NUMBER and "Source:" not in (ast.get_docstring(node) or ""):
                without.append(f"{relative(path)}:{node.lineno} {node.name}")
    assert not without, "no 'Source:' in the docstring of\n" + "\n".join(without)


@pytest.mark.parametrize("library", OWNER)
def test_each_library_has_its_place(library: str) -> None:
    elsewhere = [
        relative(path)
        for path in FILES
        if not relative(path).startswith(OWNER[library]) and library in imported(ast.parse(path.read_bytes()))
    ]
    assert not elsewhere, f"{library} is imported outside {OWNER[library]}"


def imported(tree: ast.Module) -> set[str]:
    """Top-level modules that a file imports, at any depth of its code."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names
