"""A model as a folder: its settings as JSON, its weights as safetensors, and which text encoder it was trained with.

config.json (ModelConfig), tokenizer.json (TokenizerConfig), text_encoder.json (TextEncoderSpec), generation_config.json
(GenerationConfig), and model.safetensors or shards of it with model.safetensors.index.json. It may have a captions.txt:
texts for `amt.describe` to choose from. Everything in such a folder is hostile until it is checked: names, shapes and
dtypes of all tensors are held against the config before any is read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch.overrides import TorchFunctionMode

from amt.config import Config, shown
from amt.errors import CheckpointError
from amt.files import new_folder, standing, why_no_name, writing_tensors
from amt.midi.config import TokenizerConfig
from amt.midi.vocabulary import Vocabulary
from amt.models import MusicTransformer, build_model
from amt.nn.config import ModelConfig
from amt.request.options import GenerationConfig
from amt.text.encoder import TextEncoderSpec

C = TypeVar("C", bound=Config)

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SETTINGS = ("config.json", "tokenizer.json", "text_encoder.json", "generation_config.json")
CAPTIONS = "captions.txt"
KEPT = ("README.md", "NOTICES.md", CAPTIONS, "captions.embeddings")  # what a new checkpoint leaves as it is
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
MAX_JSON_BYTES = 1 << 24
# Tables of positions are computed, not stored: they may have as many numbers as the weights, or so many (16 MiB).
MIN_POSITION_VALUES = 1 << 22


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What `load_checkpoint` returns: a model in float32 and eval mode, and all that belongs to it.

    `metadata` are the notes that were saved with the weights; `captions` is the model's captions.txt, if it has one.
    """

    model: MusicTransformer
    tokenizer_config: TokenizerConfig
    text_spec: TextEncoderSpec
    generation_config: GenerationConfig
    metadata: dict[str, str]
    captions: Path | None = None


def save_checkpoint(
    folder: str | os.PathLike[str],
    model: MusicTransformer,
    tokenizer_config: TokenizerConfig,
    text_spec: TextEncoderSpec,
    generation_config: GenerationConfig,
    *,
    dtype: torch.dtype | None = None,
    metadata: Mapping[str, str] | None = None,
    max_shard_size: int | str = "5GB",
) -> None:
    """Write a model folder; `folder` becomes the whole new checkpoint or stays what it was.

    Args:
        folder: where to; made, or replaced if it is a checkpoint already. Its README.md, NOTICES.md and captions.txt
            are kept.
        dtype: of the stored weights, float32, float16 or bfloat16; None: that of the model.
        metadata: notes to keep with the weights.
        max_shard_size: weights beyond it go to more than one file.

    Raises:
        CheckpointError: the parts do not belong together, a weight is not finite, or `folder` holds other files.
        OSError: `folder` cannot be written; DiskFullError if there is no room.
    """
    from huggingface_hub import save_torch_state_dict

    target = Path(folder)
    _check_parts(target, model.config, tokenizer_config, text_spec)
    if model.feature_layout is not None and model.feature_layout.config != tokenizer_config:
        raise CheckpointError(f"{target}: the model's state features follow from another tokenizer's tokens")
    _check_replaceable(target)
    stored = model.state_dict()
    _check_sizes(target, model.config, len(stored), sum(tensor.numel() for tensor in stored.values()))
    if dtype is not None and dtype not in DTYPES.values():
        raise ValueError(f"dtype must be float32, float16 or bfloat16, got {dtype}")
    tensors = {name: tensor.detach().to("cpu", dtype) for name, tensor in stored.items()}
    for name, tensor in tensors.items():
        if not _is_finite(tensor):
            raise CheckpointError(
                f"{name} has values that are not finite in {tensor.dtype}; the checkpoint was not saved"
            )

    size = sum(tensor.nbytes for tensor in tensors.values())
    with new_folder(target, size) as temporary:
        settings = (model.config, tokenizer_config, text_spec, generation_config)
        for name, config in zip(SETTINGS, settings, strict=True):
            config.save(temporary / name)
        notes = {"format": "pt"} | dict(metadata or {})
        with writing_tensors():
            save_torch_state_dict(tensors, temporary, max_shard_size=max_shard_size, metadata=notes)
        for name in KEPT:
            if (standing(target) / name).is_file():
                shutil.copyfile(standing(target) / name, temporary / name)
        for file in temporary.iterdir():
            os.chmod(file, (temporary / SETTINGS[0]).stat().st_mode)  # safetensors gives nobody else the right to read


def load_checkpoint(
    name: str | os.PathLike[str], *, revision: str | None = None, allow_download: bool = False
) -> Checkpoint:
    """Read a model folder, checking everything.

    Args:
        name: a folder; or, if there is no such folder, a model's OWNER/NAME on the Hugging Face hub.
        revision: of a model on the hub.
        allow_download: whether the network may be used; without it only the hub's cache is looked at.

    Raises:
        CheckpointError: anything is missing, damaged, unknown or does not fit the rest.
    """
    folder = _find_folder(name, revision, allow_download)
    config = _load_config(folder, "config.json", ModelConfig)
    tokenizer_config = _load_config(folder, "tokenizer.json", TokenizerConfig)
    text_spec = _load_config(folder, "text_encoder.json", TextEncoderSpec)
    generation_config = _load_config(folder, "generation_config.json", GenerationConfig)
    _check_parts(folder, config, tokenizer_config, text_spec)
    with contextlib.ExitStack() as stack:
        shards = [_open_shard(stack, path) for path in _weight_files(folder)]
        places = _places_of_tensors(folder, shards)
        _check_sizes(folder, config, len(places), _num_values(places))
        model = _empty_model(folder, config, tokenizer_config)
        _check_tensors(folder, model, places)
        weights = {name: shard.get_tensor(name).to(torch.float32, copy=True) for name, shard in places.items()}
        metadata = shards[0].metadata() or {}
    for tensor_name, tensor in weights.items():
        if not _is_finite(tensor):
            raise CheckpointError(f"{folder}: {tensor_name} has values that are not finite; get the model again")
    model.load_state_dict(weights, assign=True)
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    captions = _file_in(folder, CAPTIONS) if (folder / CAPTIONS).exists() else None
    return Checkpoint(model.eval(), tokenizer_config, text_spec, generation_config, metadata, captions)


def _check_parts(folder: Path, config: ModelConfig, tokenizer: TokenizerConfig, text_spec: TextEncoderSpec) -> None:
    if config.vocab_size != len(Vocabulary(tokenizer)):
        raise CheckpointError(
            f"{folder}: the model has {config.vocab_size} tokens, its tokenizer {len(Vocabulary(tokenizer))};"
            " config.json and tokenizer.json must come from the same training"
        )
    text_dim, text_len = text_spec.dim, text_spec.max_text_tokens
    if config.text_embedding_dim != text_dim:
        raise CheckpointError(
            f"{folder}: the model reads text embeddings of {config.text_embedding_dim} dimensions, its text encoder"
            f" gives {text_dim}; config.json and text_encoder.json must come from the same training"
        )
    if text_spec.pooling == "none" and config.max_sequence_length < text_len:
        raise CheckpointError(
            f"{folder}: max_sequence_length {config.max_sequence_length} is less than max_text_tokens {text_len}"
        )
    if not text_spec.files:
        raise CheckpointError(
            f"{folder}: the text encoder has no sha256 digests; use TextEncoder(spec).spec, which has them"
        )


def _is_finite(tensor: torch.Tensor) -> bool:
    return all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(tensor))  # both are NaN if one value is


# Writing


def _check_replaceable(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise CheckpointError(f"{target} is a file; name a folder for the checkpoint")
    weights = re.compile(r"model[\w.-]*\.(safetensors|json)")
    others = sorted(
        file.name
        for file in target.iterdir()
        if file.is_dir() or not (file.name in (*SETTINGS, *KEPT) or weights.fullmatch(file.name))
    )
    if others:
        raise CheckpointError(f"{target} holds more than a checkpoint ({others[0]}); name a new or an empty folder")


# Reading


def _find_folder(name: str | os.PathLike[str], revision: str | None, allow_download: bool) -> Path:
    if reason := why_no_name(Path(name)):
        raise CheckpointError(f"there is no folder {shown(str(name))}: {reason}")
    path = standing(Path(name))
    if path.is_dir():
        return path
    if path.exists():
        _refuse_pickles([path])
        raise CheckpointError(f"{path} is a file; give the folder that holds config.json and {WEIGHTS}")
    if not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", str(name)) or ".." in str(name):
        raise CheckpointError(f"there is no folder {path}, and this is no OWNER/NAME of the hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = [*SETTINGS, "*.safetensors", INDEX, *KEPT]
    try:
        return Path(
            snapshot_download(
                str(name), revision=revision, local_files_only=not allow_download, allow_patterns=patterns
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        remedy = "check the name and the network" if allow_download else "allow its download (allow_download=True)"
        raise CheckpointError(f"there is no folder {path}, and the hub's cache has no such model; {remedy}") from error


def _refuse_pickles(files: list[Path]) -> None:
    for file in files:
        if file.suffix.lower() in PICKLE_SUFFIXES:
            raise CheckpointError(
                f"{file} holds pickled weights, which can run any code when they are read; AMT reads safetensors only"
            )


def _file_in(folder: Path, name: str) -> Path:
    """The path of a file that really lies in `folder`, or in the blobs that a snapshot of the hub's cache links to."""
    path = (folder / name).resolve()
    root = folder.resolve()
    homes = [root, root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [root]
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {name}; a model folder needs {', '.join(SETTINGS)} and {WEIGHTS}")
    if path.parent not in homes:
        raise CheckpointError(f"{folder / name} leads out of its folder; put the file itself there")
    return path


def _load_config(folder: Path, name: str, kind: type[C]) -> C:
    path = _file_in(folder, name)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise CheckpointError(f"{path} is larger than {MAX_JSON_BYTES} bytes; this is no settings file of AMT")
    try:
        return kind.load(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).exists():
        return [_file_in(folder, WEIGHTS)]
    if not (folder / INDEX).exists():
        _refuse_pickles(sorted(folder.iterdir()))
    path = _file_in(folder, INDEX if (folder / INDEX).exists() else WEIGHTS)
    try:
        index = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= MAX_JSON_BYTES else None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict) or not shards or not all(isinstance(shard, str) for shard in shards.values()):
        raise CheckpointError(f"{path} must map tensors to files in weight_map")
    for shard in set(shards.values()):
        if not re.fullmatch(r"[\w][\w.-]*\.safetensors", shard):
            raise CheckpointError(f"{path}: {shard!r} is no name of a safetensors file in this folder")
    return [_file_in(folder, shard) for shard in sorted(set(shards.values()))]


def _open_shard(stack: contextlib.ExitStack, path: Path) -> Any:
    try:
        return stack.enter_context(safe_open(path, framework="pt"))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is no intact safetensors file ({shown(str(error), 200)}); get the model again"
        ) from error


def _places_of_tensors(folder: Path, shards: list[Any]) -> dict[str, Any]:
    places: dict[str, Any] = {}
    for shard in shards:
        for name in shard.keys():  # noqa: SIM118  (safe_open is no mapping)
            if name in places:
                raise CheckpointError(f"{folder}: two files hold the tensor {name!r}")
            places[name] = shard
    return places


class _WithoutWeights(TorchFunctionMode):
    """Makes modules whose weights have a shape but no memory; tables that are computed, not stored, are real.

    `torch.device("meta")` would do more: it imports torch's compiler to initialise what is not there (2 s and more).
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty:
            return func(*args, **(kwargs | {"device": "meta"}))
        changed = args[0] if args else kwargs.get("tensor")
        is_in_place = func.__name__.endswith("_") and not func.__name__.endswith("__")
        if is_in_place and isinstance(changed, torch.Tensor) and changed.is_meta:
            return changed
        return func(*args, **kwargs)


def _num_values(places: dict[str, Any]) -> int:
    return sum(math.prod(shard.get_slice(name).get_shape()) for name, shard in places.items())


def _check_sizes(folder: Path, config: ModelConfig, num_tensors: int, num_values: int) -> None:
    """What is made of the settings may be about as large as the weights."""
    if config.num_encoder_layers + config.num_decoder_layers > num_tensors:
        raise CheckpointError(f"{folder}: config.json has more layers than {WEIGHTS} has tensors")
    most = max(MIN_POSITION_VALUES, num_values)
    if config.max_sequence_length * config.d_model > most:
        raise CheckpointError(
            f"{folder}: max_sequence_length * d_model of config.json must be at most {most} beside so few weights,"
            f" got {config.max_sequence_length} * {config.d_model}; choose a shorter max_sequence_length"
        )


def _empty_model(folder: Path, config: ModelConfig, tokenizer_config: TokenizerConfig) -> MusicTransformer:
    try:
        with torch.device("cpu"), _WithoutWeights():  # whatever the default of this process is
            return build_model(config, tokenizer_config)
    except ValueError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from error


def _check_tensors(folder: Path, model: MusicTransformer, places: dict[str, Any]) -> None:
    expected = model.state_dict()
    missing, unknown = sorted(expected.keys() - places.keys()), sorted(places.keys() - expected.keys())
    if missing or unknown:
        what = f"lack {missing[0]!r}" if missing else f"have {unknown[0]!r}, which the model has not"
        raise CheckpointError(
            f"{folder}: the weights {what} ({len(missing)} missing, {len(unknown)} unknown); config.json is not theirs"
        )
    for name, tensor in expected.items():
        header = places[name].get_slice(name)
        shape, dtype = tuple(header.get_shape()), header.get_dtype()
        if shape != tuple(tensor.shape):
            raise CheckpointError(
                f"{folder}: {name} has shape {shape}, expected {tuple(tensor.shape)}; config.json is not theirs"
            )
        if dtype not in DTYPES:
            raise CheckpointError(f"{folder}: {name} has dtype {dtype}; it must be one of {', '.join(DTYPES)}")
