"""The house: which room may import which (docs/architecture.md), and no circle of files."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "amt"
PUBLIC = ("__init__", "__main__")  # the face of the package: it names what all rooms offer
COMPILED = ("amt._midi", "amt._triton")  # beside the rooms: the compiled module, and kernels/triton
TORCH_FREE = ("midi", "request", "errors", "config", "named_values", "files", "version")


def house_map() -> dict[str, set[str]]:
    """The rooms of docs/architecture.md, and what each may import."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    return {room: set(re.findall(r"`(\w+)`", allowed)) for room, allowed in rows}


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {
        ".".join(("amt", *f.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): f for f in files
    }


MODULES = modules()
ROOMS = house_map()


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in (*MODULES, *COMPILED) else node.module for name in inner}
    return {name for name in names if not name.startswith(COMPILED)}


def room_of(module: str) -> str:
    """The room of a module of the package."""
    return module.split(".")[1] if "." in module else "__init__"


@pytest.mark.parametrize("room", sorted({room_of(module) for module in MODULES} - set(PUBLIC)))
def test_a_room_imports_only_what_the_map_says(room):
    assert room in ROOMS, f"docs/architecture.md does not know the room {room}"
    for module, path in MODULES.items():
        if room_of(module) != room:
            continue
        for name in imported(path):
            if name.split(".")[0] == "amt" and room_of(name) != room:
                assert room_of(name) in ROOMS[room], f"{path.relative_to(ROOT)} imports {name}"


def test_the_map_has_no_room_that_is_not_there():
    assert set(ROOMS) == {room_of(module) for module in MODULES} - set(PUBLIC)


def test_arrows_of_the_map_go_down_only():
    below: dict[str, set[str]] = {}
    for room, allowed in ROOMS.items():  # the map is sorted: what may be imported stands above
        assert allowed <= set(below), f"{room} may import {allowed - set(below)}, which stands below it in the map"
        below[room] = allowed


def test_no_circle_of_files():
    graph = {module: {name for name in imported(path) if name in MODULES} for module, path in MODULES.items()}
    left = {module: names - {module} for module, names in graph.items() if module != "amt"}
    while True:
        free = {module for module, names in left.items() if not names & set(left)}
        if not free:
            break
        left = {module: names for module, names in left.items() if module not in free}
    assert not left, f"these import each other, or what does: {sorted(left)}"


@pytest.mark.parametrize("room", TORCH_FREE)
def test_a_room_that_needs_no_torch_does_not_import_it(room):
    for module, path in MODULES.items():
        if room_of(module) != room:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:  # what is imported at once, not within a function or for types alone
            names = [alias.name for alias in getattr(node, "names", [])] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "torch" for name in names), path


@pytest.mark.parametrize("folder", ["midi", "engine", "torch", "training"])
def test_the_cpp_core_includes_neither_torch_nor_python(folder):
    for path in (ROOT / "csrc" / folder).rglob("*"):
        if path.suffix in (".h", ".cpp"):
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.startswith("#include"):
                    assert not any(word in line for word in ("torch", "ATen", "c10", "pybind11", "Python.h")), path


def test_every_cpp_source_is_in_the_build():
    listed = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    for path in (ROOT / "csrc").rglob("*.cpp"):
        assert str(path.relative_to(ROOT)) in listed, f"{path} is not built"
