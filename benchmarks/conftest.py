"""Fixtures for all benchmarks, and what a result must say about where it was measured."""

import hashlib
import importlib.metadata
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from amt.midi.data import MidiData, Note, PedalSpan, Tempo

FILES_PER_SOURCE = 40
PACKAGES = ("numpy", "torch", "mido", "symusic", "pretty_midi", "miditok", "transformers", "triton")


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
    rng = random.Random(0)
    return "100 files made by a script, no corpus", [_made_file(rng) for _ in range(100)]


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


def _made_file(rng: random.Random) -> bytes:
    """Four parts of some hundred notes, played a little off the beat."""
    notes, pedals = [], []
    for program in rng.sample(range(128), 4):
        tick = 0
        pitch = rng.randrange(40, 80)
        for _ in range(rng.randrange(50, 600)):
            tick += rng.choice([0, 60, 120, 240, 240, 480])
            pitch = min(max(pitch + rng.randint(-7, 7), 24), 100)
            start = max(0, tick + rng.randint(-10, 10))
            notes.append(Note(start, start + rng.randint(50, 400), pitch, rng.randint(40, 110), program))
        pedals += [PedalSpan(start, start + 900, program) for start in range(0, tick, 1920)]
    return MidiData(notes, pedals, [Tempo(0, 500_000), Tempo(9600, 450_000)]).to_bytes()
