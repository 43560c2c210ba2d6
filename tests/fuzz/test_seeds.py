"""The fuzz targets are built with sanitizers, and every seed, each the input of a find or of new code, runs through."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "fuzz" / "seeds"
TARGETS = ("smf", "tokens", "grammar", "search", "ops")
MAX_SEED_BYTES = 2 << 20  # of all


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A folder with the targets, built by whatever compiler is here: with gcc they only replay."""
    for tool in ("cmake", "ninja", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} to build the fuzz targets with")
    folder = tmp_path_factory.mktemp("fuzz")
    program = folder / "program.cpp"
    program.write_text("int main() {}\n")
    flags = ["-fsanitize=address,undefined", "-o", str(folder / "program"), str(program)]
    if subprocess.run(["c++", *flags], capture_output=True).returncode:
        pytest.skip("the compiler has no AddressSanitizer")
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-GNinja", "-DAMT_FUZZ=ON", "-DCMAKE_CXX_COMPILER=c++"]
    for command in (configure, ["cmake", "--build", str(folder), "--target", *(f"fuzz_{name}" for name in TARGETS)]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:]
    return folder


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_runs_through(build, target):
    seeds = sorted((SEEDS / target).iterdir())
    assert len(seeds) >= 20
    options = {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run(
        [str(build / f"fuzz_{target}"), *map(str, seeds)], capture_output=True, text=True, env=os.environ | options
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("Running: ") == len(seeds)


def test_seeds_are_small():
    files = [path for path in SEEDS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(TARGETS)
    assert sum(path.stat().st_size for path in files) <= MAX_SEED_BYTES
