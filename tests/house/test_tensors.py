"""New tensors say their device, and float ones their type: the defaults of a process may be anything."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOAT = {"zeros", "empty", "ones", "rand", "randn"}  # without dtype= they have the default one
MAKERS = FLOAT | {"full", "tensor", "arange", "randint", "randperm", "linspace"}
# The parameters of a model follow torch's defaults when a user makes it, as those of any module of torch do.
MODELS = {"amt/models/music_transformer.py", "amt/nn/features.py", "amt/nn/positions.py"}
FILES = [
    path
    for path in sorted((ROOT / "amt").rglob("*.py"))
    if path.relative_to(ROOT).parts[1] != "bench" and str(path.relative_to(ROOT)) not in MODELS
]


def wrong_makers(tree: ast.AST) -> list[int]:
    """The lines of calls of torch that leave the device, or the type of floats, to the process."""
    lines = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MAKERS):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"):
            continue
        names = {keyword.arg for keyword in node.keywords}
        needed = {"device", "dtype"} if node.func.attr in FLOAT else {"device"}
        if None not in names and not needed <= names:
            lines.append(node.lineno)
    return lines


def test_the_check_finds_them():
    source = "torch.zeros(3)\ntorch.zeros(3, dtype=d, device=e)\ntorch.arange(3)\ntorch.tensor([1], device=e)\n"
    assert wrong_makers(ast.parse(source)) == [1, 3]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tensors_say_what_they_are(path):
    assert wrong_makers(ast.parse(path.read_text(encoding="utf-8"))) == []
