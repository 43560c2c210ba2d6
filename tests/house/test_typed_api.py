"""Whoever calls AMT from typed code is told of wrong options before anything runs."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import amt
from amt import api
from amt.request.limits import LimitOptions, Limits
from amt.request.options import GenerationConfig, GenerationOptions

REPOSITORY = Path(__file__).parents[2]
RIGHT = """
import amt

piece = amt.generate("a waltz", seed=7, temperature=0.9, instruments=["piano"], dtype="int8", rerank=2)
piece.save("waltz.mid")
for each in amt.generate(["a reel", "a jig"], tempo=120.0, model=amt.load()):
    print(each.duration_s)
event = next(amt.stream("a march", top_p=0.9))
print(event.time_s, amt.profile("a march", seed=1).total_s, amt.describe(piece).sentence, amt.search("a waltz", "x")[0])
"""
WRONG = {
    'amt.generate("a waltz", temprature=0.9)': "temprature",
    'amt.generate("a waltz", temperature="warm")': "temperature",
    'amt.generate("a waltz", bars="16")': "bars",
    'amt.generate("a waltz", dtype="int4")': "dtype",
    'amt.stream("a waltz", rerank=3)': "rerank",
    'amt.generate("a waltz").savee("x.mid")': "savee",
    'amt.describe("x.mid", banks=[])': "banks",
    'amt.search("a waltz", "x", num_result=3)': "num_result",
}


def mypy(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("mypy", path=str(Path(sys.executable).parent)) or shutil.which("mypy")
    if tool is None:
        pytest.skip("mypy is not installed; pip install '.[test]'")
    (folder / "caller.py").write_text(code)
    root = Path(amt.__file__).parents[1]
    environment = {"MYPYPATH": str(root)} if root == REPOSITORY else {}  # an installed AMT is found by itself
    config = ["--config-file", str(REPOSITORY / "pyproject.toml"), "--python-executable", sys.executable]
    command = [tool, "--strict", "--cache-dir", str(folder / "cache"), *config, "caller.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_mypy_finds_wrong_options_and_no_others(tmp_path):
    code = RIGHT + "\n".join(WRONG) + "\n"
    done = mypy(tmp_path, code)
    found = [line for line in done.stdout.splitlines() if line.startswith("caller.py:")]
    errors = [line for line in found if ": error: " in line]
    first = RIGHT.count("\n") + 1
    lines = {int(line.split(":")[1]) for line in errors}
    assert lines == set(range(first, first + len(WRONG))), done.stdout + done.stderr
    for number, word in enumerate(WRONG.values(), start=first):
        assert any(f"caller.py:{number}:" in line and word in line for line in found), (word, done.stdout)


def test_the_types_of_the_options_are_those_of_the_tables():
    for table, options in ((GenerationConfig, GenerationOptions), (Limits, LimitOptions)):
        expected = get_type_hints(table)
        expected.pop("num_return_sequences", None)  # what is returned depends on it: it stands in the signatures
        assert get_type_hints(options) == expected


def test_every_option_has_a_row_and_a_reader():
    known = set(api.GenerateOptions.__annotations__) | {"num_return_sequences"}
    assert {"seed", "typical_p", "key", "rerank", "backend", "model"} <= known
    with pytest.raises(ValueError, match="does not know the option tempratur"):
        amt.generate("a waltz", tempratur=1)
