"""How benchmarks are chosen and shown, what a result says about where it was measured, and fixtures for all of them.

A line for each benchmark as it starts, and one table at the end. Those marked `long` run with `--all` only.
"""

import hashlib
import importlib.metadata
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from comparisons import Comparisons, is_installed

import amt
from amt.bench.tokenizer import made_files
from amt.errors import TextEncoderError
from amt.text.encoder import find_encoder_files

FILES_PER_SOURCE = 40
PACKAGES = (
    "numpy",
    "torch",
    "mido",
    "symusic",
    "pretty_midi",
    "miditok",
    "transformers",
    "triton",
    "ctranslate2",
    "onnxruntime",
)
COMPARISONS = pytest.StashKey[Comparisons]()


class Reporter:
    """Says what is running, and prints the table."""

    def __init__(self, config):
        self.config = config
        self.num_started = self.num_chosen = self.num_left_out = 0
        self.began = 0.0

    @property
    def terminal(self):
        return self.config.pluginmanager.getplugin("terminalreporter")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid):
        self.num_started += 1
        self.began = time.perf_counter()
        if self.config.option.verbose == 0:  # with -v pytest itself says it, with -q nobody
            self.terminal.showfspath = False
            file, _, name = nodeid.partition("::")
            topic, name = Path(file).stem.removeprefix("bench_"), name.removeprefix("test_")
            what = name if name.startswith(topic) else f"{topic}: {name}"
            self.terminal.write(f"{self.num_started:3}/{self.num_chosen} {what} ", flush=True)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self):
        if self.config.option.verbose == 0:
            self.terminal.write_line(f" {time.perf_counter() - self.began:.1f} s")

    def pytest_collection_finish(self, session):
        self.num_chosen = len(session.items)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter):
        lines = self.config.stash[COMPARISONS].lines()
        if lines:
            terminalreporter.section("AMT beside others")
        for line in lines:
            terminalreporter.write_line(line)
        if self.num_left_out:
            terminalreporter.write_line(f"{self.num_left_out} longer benchmarks run with --all")


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="Run the benchmarks that take long, too.")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.addinivalue_line("markers", "long: a benchmark that runs with --all only")
    if config.option.verbose < 1:
        config.option.benchmark_quiet = True  # the table of pytest-benchmark comes with -v
    config.stash[COMPARISONS] = Comparisons()
    config.pluginmanager.register(Reporter(config), "amt-benchmarks")


@pytest.hookimpl(trylast=True)  # behind -k and -m
def pytest_collection_modifyitems(config, items):
    left_out = [] if config.getoption("--all") else [item for item in items if item.get_closest_marker("long")]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
        config.pluginmanager.getplugin("amt-benchmarks").num_left_out = len(left_out)


@pytest.fixture
def compare(request):
    """Puts figures into the table: `compare(question, case, Measured(...))` or, without a figure, what is missing."""
    comparisons = request.config.stash[COMPARISONS]

    def put(question, case, *measured, ratio=None, note="", missing=()):
        row = comparisons.case(question, case)
        row.measured += measured
        row.ratio = row.ratio if ratio is None else ratio
        row.note = note or row.note
        row.missing += [peer for peer in missing if peer not in row.missing]

    return put


@pytest.fixture
def needs(compare):
    """Skips a benchmark whose peer is not installed, and says so in the table."""

    def check(peer, question, case):
        if not is_installed(peer):
            compare(question, case, missing=[peer])
            pytest.skip(f"{peer} is not installed")

    return check


@pytest.fixture
def packaged(compare):
    """Opens the model in the package; skips a benchmark where the text encoder is missing, and says so in the table."""

    def opened(question, case):
        found = amt.load("score-small")
        try:
            find_encoder_files(found.checkpoint.text_spec)
        except TextEncoderError as error:
            compare(question, case, missing=["the text encoder"])
            pytest.skip(str(error))
        return found

    return opened


@pytest.fixture
def rounds(request):
    """How many rounds: few, or as many as `--all` gives."""
    return lambda few, many: many if request.config.getoption("--all") else few


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["packages"] = {name: _version(name) for name in PACKAGES}
    machine_info["commit"] = _commit()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit, with "+" if the working tree differs from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--short"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")


@pytest.fixture(scope="session")
def midi_files() -> tuple[str, list[bytes]]:
    """Where they come from, and MIDI files in memory, the same ones every time.

    Real files, at most 40 a source, from a folder of SOURCE.tar.xz: $AMT_CORPUS, or shared/corpus beside the checkout.
    Without one, files that a seeded script makes: figures for those say little about real music.
    """
    folder = Path(os.environ.get("AMT_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
    files = [file for archive in sorted(folder.glob("*.tar.xz")) for file in _draw(archive)]
    if files:
        return f"{len(files)} real files", files
    return "100 files made by a script, no corpus", made_files(100)


def _draw(archive: Path) -> list[bytes]:
    files: list[bytes] = []
    with tarfile.open(archive) as tar:
        for member in tar:
            is_drawn = hashlib.sha256(member.name.encode()).digest()[0] % 4 == 0
            if is_drawn and member.isfile() and member.name.endswith(".mid"):
                content = tar.extractfile(member)
                assert content is not None
                files.append(content.read())
            if len(files) == FILES_PER_SOURCE:
                break
    return files
