"""The arrows between the folders: which part may import which."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TOP = {
    *("amt.api", "amt.generator", "amt.streaming", "amt.profiling"),
    *("amt.embedding", "amt.description", "amt.searching", "amt.indexing"),
}

# What a folder or module of amt may not import.
FORBIDDEN = {
    "config.py": {"torch", "amt.models", "amt.midi", "amt.decoding"},
    "errors.py": {"torch", "amt.config"},
    "midi": {"torch", "amt.models", "amt.nn", "amt.ops", "amt.decoding", "amt.training", "amt.data", *TOP},
    "reference": {"amt.ops", "amt.nn", "amt.models", "amt.decoding", "amt.training", "amt.data", *TOP},
    "_triton": {"amt.ops", "amt.nn", "amt.models", "amt.decoding", "amt.training", "amt.data", *TOP, "amt.midi"},
    "ops": {"amt.nn", "amt.models", "amt.decoding", "amt.training", "amt.data", *TOP, "amt.midi"},
    "nn": {"amt.models", "amt.decoding", "amt.training", "amt.data", *TOP, "amt.midi"},
    "models": {"amt.decoding", "amt.training", "amt.data", *TOP, "amt.midi"},
    "decoding": {"amt.models", "amt.nn", "amt.training", "amt.data", *TOP},
    "arranger": {"torch", "amt.models", "amt.nn", "amt.ops", "amt.decoding", "amt.training", "amt.data", *TOP},
    "data": {"amt.models", "amt.decoding", "amt.training", *TOP},
    "training": {*TOP, "amt.decoding"},
}
# What nothing but the command and the benchmarks themselves may import.
TOPMOST = "amt.bench"
TORCH_FREE_REFERENCE = ("smf", "vocabulary", "tokenizer", "encode", "decode", "time_grid", "grammar", "philox")


def imported_modules(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("part", FORBIDDEN)
def test_a_part_imports_only_what_lies_below_it(part):
    place = ROOT / "amt" / part
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    assert files
    for path in files:
        for module in imported_modules(path):
            for forbidden in FORBIDDEN[part]:
                assert module != forbidden and not module.startswith(forbidden + "."), f"{path} imports {module}"


def test_only_the_command_knows_the_benchmarks():
    for path in (ROOT / "amt").rglob("*.py"):
        if path.relative_to(ROOT / "amt").parts[0] not in ("bench", "cli"):
            assert not any(module.startswith(TOPMOST) for module in imported_modules(path)), path


@pytest.mark.parametrize("name", TORCH_FREE_REFERENCE)
def test_the_midi_reference_needs_no_torch(name):
    modules = imported_modules(ROOT / "amt" / "reference" / f"{name}.py")
    assert not any(module.split(".")[0] == "torch" for module in modules)


@pytest.mark.parametrize("folder", ["midi", "engine"])
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
