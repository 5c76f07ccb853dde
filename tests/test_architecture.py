"""The plan of the house: which package may import which, and where each query of sql/ lies."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from madetl.store import sqlfiles

PACKAGE = Path(sqlfiles.__file__).parents[1]
FLOORS = [  # from the top down: a room imports from the floors below its own alone
    {"__main__"},
    {"cli"},
    {"study"},
    {"report", "web", "exporting"},
    {"status", "judgment", "replay"},
    {"evolution", "inference", "similarity", "selection"},
    {"asking", "ranking", "importing"},
    {"providers", "store", "metrics", "formats", "rendering"},
    {"records", "text", "arrays", "errors", "__init__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ONLY = {  # what nobody else may import
    "click": {"cli"},
    "flask": {"web"},
    "waitress": {"web"},
    "jinja2": {"report"},
    "matplotlib": {"report", "replay"},
}
READ_BESIDE = {("similarity", "selection/mad_picks")}  # the prefilter asks about what a selection would pick


def room(file: Path) -> str:
    """The top-level package or module below madetl/ that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def nodes(file: Path) -> list[ast.AST]:
    """Everything in a file, however deep."""
    return list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


FILES = [(room(file), nodes(file)) for file in sorted(PACKAGE.rglob("*.py"))]
CONSTANTS = [
    (here, {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)})
    for here, tree in FILES
]


def imported(tree: list[ast.AST]) -> Iterator[str]:
    """The modules that a file names in its imports, wherever they stand."""
    for node in tree:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


ARROWS = {(here, there.split(".")[1]) for here, tree in FILES for there in imported(tree) if there[:7] == "madetl."}


def test_imports_point_down() -> None:
    known = {(here, there if there in FLOOR else "__init__") for here, there in ARROWS}
    assert {here for here, _ in FILES} == set(FLOOR)
    assert [(here, there) for here, there in known if here != there and FLOOR[there] <= FLOOR[here]] == []


@pytest.mark.parametrize("library", ONLY)
def test_a_library_has_its_rooms(library: str) -> None:
    users = {here for here, tree in FILES for name in imported(tree) if name.split(".")[0] == library}
    assert users
    assert users <= ONLY[library]


def test_no_module_is_looked_up_by_name() -> None:
    texts = [file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")]
    assert not any(re.search(r"(import_module|find_spec|__import__)\(f?[\"']madetl", text) for text in texts)


def test_a_class_name_means_one_thing() -> None:
    names = Counter(node.name for _, tree in FILES for node in tree if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("query", sqlfiles.query_files())
def test_a_query_lies_with_its_lowest_caller(query: str) -> None:
    callers = {here for here, texts in CONSTANTS if query in texts}
    texts = {name: file.read_text(encoding="utf-8") for name, file in sqlfiles.query_files().items()}
    callers |= {name.partition("/")[0] for name, text in texts.items() if f"-- include {query}\n" in text}
    callers -= {here for here, beside in READ_BESIDE if beside == query}
    assert max(callers, key=FLOOR.__getitem__) == query.partition("/")[0]


TESTS = Path(__file__).parent


def test_what_several_tests_use_stands_in_support() -> None:
    for file in TESTS.rglob("*.py"):
        used = [name for name in imported(nodes(file)) if re.match(r"tests\.(\w+\.)*test_", name)]
        assert used == [], file


def test_every_folder_of_tests_is_a_package_and_few_tests_stand_outside() -> None:
    folders = {file.parent for file in TESTS.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
    assert len(list(TESTS.glob("test_*.py"))) <= 12
