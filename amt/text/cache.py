"""Embeddings of captions on disk."""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from amt.files import new_file, remove_leftovers
from amt.text.encoder import TextEncoder, TextEncoderSpec

Float16Array = npt.NDArray[np.float16]


class EmbeddingCache:
    """Embeddings of captions on disk, for training: float16, memory-mapped, safe against being killed at any time.

    Below `folder` each encoder has a folder named by its spec's digest. New embeddings form a shard: `NAME.states.npy`
    (all states, (num_states, dim) float16), then `NAME.index.npz` (sha256 of each caption and where its states start).
    Both arrive by renaming and only shards with an index count, so half of one is never read.

    Args:
        folder: made if it is missing.
        spec: the encoder; it is opened only when a caption is new.
        encoder: an open encoder to use instead.

    Example:
        >>> rows = EmbeddingCache("cache").get_many(["a slow waltz", "fast bebop"])
        >>> embeddings, mask = pad_embeddings(rows)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        spec: TextEncoderSpec | None = None,
        *,
        encoder: TextEncoder | None = None,
    ):
        if encoder is not None and spec is not None and spec != encoder.spec:
            raise ValueError("spec is not the spec of the encoder; pass only one of them")
        self.spec = encoder.spec if encoder is not None else TextEncoderSpec() if spec is None else spec
        if not self.spec.files:
            raise ValueError("an embedding cache needs a spec with digests; use TextEncoder(spec).spec")
        self._encoder = encoder
        self._folder = Path(folder) / self.spec.digest[:16]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._places: dict[bytes, tuple[Float16Array, int, int]] = {}
        for index in sorted(self._folder.glob("*.index.npz")):
            self._open_shard(index)

    def remove_leftovers(self) -> None:
        """Remove what killed processes left: half files, and states without an index. Nobody else may use it now."""
        remove_leftovers(self._folder)
        for states in self._folder.glob("*.states.npy"):
            if not states.with_name(states.name.replace(".states.npy", ".index.npz")).exists():
                states.unlink()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, caption: str) -> bool:
        return hashlib.sha256(caption.encode()).digest() in self._places

    def get_many(
        self, captions: Sequence[str], *, batch_size: int = 64, progress: Callable[[int], object] | None = None
    ) -> list[Float16Array]:
        """The embeddings of captions, encoding those that are new.

        Returns:
            one (text_len, dim) float16 array for each caption, memory-mapped and read-only.
        """
        if isinstance(captions, str):
            raise TypeError(f"captions must be a list of texts, got {captions[:40]!r}; put it into brackets")
        keys = [hashlib.sha256(caption.encode()).digest() for caption in captions]
        missing = {key: caption for key, caption in zip(keys, captions, strict=True) if key not in self._places}
        new = sorted(missing.items(), key=lambda item: len(item[1]))  # similar lengths make full batches
        for start in range(0, len(new), 4096):
            part = new[start : start + 4096]
            if self._encoder is None:
                self._encoder = TextEncoder(self.spec)
            rows = self._encoder.encode_batch([caption for _, caption in part], batch_size, progress)
            self._add_shard([key for key, _ in part], [row.numpy() for row in rows])
        return [states[first:last] for states, first, last in map(self._places.__getitem__, keys)]

    def _add_shard(self, keys: list[bytes], rows: list[npt.NDArray[np.float32]]) -> None:
        name = uuid.uuid4().hex
        ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        arrays = {"captions": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32), "ends": ends}
        for suffix in ("states.npy", "index.npz"):
            contents = io.BytesIO()  # written straight to a file, NumPy would not say that the disk is full
            if suffix == "states.npy":
                np.save(contents, np.concatenate(rows).astype(np.float16))
            else:
                np.savez(contents, **arrays)  # type: ignore[arg-type]
            with new_file(self._folder / f"{name}.{suffix}", contents.tell()) as stream:
                stream.write(contents.getbuffer())
        self._open_shard(self._folder / f"{name}.index.npz")

    def _open_shard(self, path: Path) -> None:
        states_path = path.with_name(path.name.replace(".index.npz", ".states.npy"))
        states = np.asarray(np.load(states_path, mmap_mode="r", allow_pickle=False))
        with np.load(path, allow_pickle=False) as index:
            captions, ends = index["captions"], index["ends"].tolist()
        if states.dtype != np.float16 or states.shape != (ends[-1], self.spec.dim):
            raise ValueError(f"{path} does not fit its states; delete {self._folder} and run again")
        for row, (first, last) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            self._places[captions[row].tobytes()] = (states, first, last)
