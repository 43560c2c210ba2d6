"""Fixtures for all benchmarks, and what a result must say about where it was measured."""

import hashlib
import importlib.metadata
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from amt.bench.tokenizer import made_files

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
