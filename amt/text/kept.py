"""Sentence embeddings of many texts that are kept on disk, because they take long to make: the banks of `amt.describe`.

They lie beside a model's bank (`captions.embeddings`), or in the user's cache: `$AMT_CACHE`, or `amt` in
`$XDG_CACHE_HOME` or ~/.cache. A file says what it is of, so that one of other texts or of another encoder is as good as
none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from amt.files import new_file
from amt.text.encoder import TextEncoderSpec

MIN_TEXTS = 100  # fewer are embedded each time
MAX_FILES = 16  # in the cache: the latest ones


def kept_embeddings(
    texts: Sequence[str],
    spec: TextEncoderSpec,
    make: Callable[[Sequence[str]], np.ndarray],
    beside: Path | None = None,
) -> np.ndarray:
    """The embeddings of texts, (len(texts), spec.dim) float32: from the disk if they are there, else made and kept.

    Args:
        make: embeds texts.
        beside: a file to look into first.
    """
    if len(texts) < MIN_TEXTS:
        return make(texts)
    digest = digest_of(texts, spec)
    cached = cache_folder() / "banks" / f"{digest[:32]}.embeddings"
    for path in (beside, cached):
        found = None if path is None else read(path, digest, (len(texts), spec.dim))
        if found is not None:
            return found
    embeddings = make(texts)
    with contextlib.suppress(OSError):  # where nothing can be kept it is made again
        cached.parent.mkdir(parents=True, exist_ok=True)
        write(cached, digest, embeddings)
        for path in sorted(cached.parent.glob("*.embeddings"), key=lambda path: path.stat().st_mtime)[:-MAX_FILES]:
            path.unlink()
    return embeddings


def digest_of(texts: Sequence[str], spec: TextEncoderSpec) -> str:
    """What embeddings are of: a sha256 of the encoder and the texts."""
    digest = hashlib.sha256(spec.digest.encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Where what can be made again is kept for the user."""
    if given := os.environ.get("AMT_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "amt"


def write(path: Path, digest: str, embeddings: np.ndarray) -> None:
    """Write a line with what embeddings are of, then the embeddings, float16, one after the other."""
    contents = f"{digest}\n".encode() + embeddings.astype("<f2").tobytes()
    with new_file(path, len(contents)) as stream:
        stream.write(contents)


def read(path: Path, digest: str, shape: tuple[int, int]) -> np.ndarray | None:
    """The embeddings of a file, of unit length; None if it is not there, damaged, or of something else."""
    start = f"{digest}\n".encode()
    try:
        if path.stat().st_size != len(start) + 2 * shape[0] * shape[1]:
            return None
        contents = path.read_bytes()
    except OSError:
        return None
    if not contents.startswith(start):
        return None
    vectors = np.frombuffer(contents, "<f2", offset=len(start)).astype(np.float32).reshape(shape)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths if bool((np.abs(lengths - 1) < 0.01).all()) else None
