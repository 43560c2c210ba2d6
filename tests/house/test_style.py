"""Linters and type checker, run as the pre-commit hooks run them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def cpp_files() -> list[str]:
    suffixes = {".h", ".cpp", ".cc", ".cu", ".cuh"}
    folders = ("csrc", "fuzz", "kernels", "tests/cuda")
    return [str(path) for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.suffix in suffixes]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["clang-format", "--dry-run", "--Werror", *cpp_files()],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_clean(command):
    tool = Path(sys.executable).with_name(command[0])
    path = str(tool) if tool.exists() else shutil.which(command[0])
    if path is None:
        pytest.skip(f"{command[0]} is not installed; pip install '.[test]'")
    result = subprocess.run([path, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
