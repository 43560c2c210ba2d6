"""A model with all that belongs to it, and where models are found."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from amt.config import shown
from amt.devices import open_device
from amt.errors import CheckpointError
from amt.files import standing, why_no_name
from amt.midi.tokenizer import EventTokenizer
from amt.text.kept import kept_embeddings

if TYPE_CHECKING:
    import torch

    from amt.models.checkpoint import Checkpoint
    from amt.text.encoder import TextEncoder

WEIGHTS = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "score-plan"  # what writes
DEFAULT_READER = "score-small"  # what reads music, too: describe and search take it
CAPTION_EMBEDDINGS = "captions.embeddings"  # beside a model's captions.txt: their embeddings

PARTS = (".json", ".safetensors", ".txt", ".embeddings")  # what files of a model end in


class OpenedModel:
    """A model, its tokenizer and its text encoder. Made by `amt.load`.

    Args:
        checkpoint: the model and its settings.
        allow_download: whether the network may be used to get the text encoder.
    """

    def __init__(self, checkpoint: Checkpoint, *, allow_download: bool = False):
        self.checkpoint = checkpoint
        self.tokenizer = EventTokenizer(checkpoint.tokenizer_config)
        self._allow_download = allow_download
        self._captions: dict[str, np.ndarray] = {}
        self._elsewhere: dict[torch.device, OpenedModel] = {}

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.checkpoint.model.device

    def on(self, device: str | torch.device | None) -> OpenedModel:
        """The same model on a device: a copy, made when it is first asked for; None: as it is.

        Raises:
            DeviceError: the device is not there, or too old.
        """
        if device is None:
            return self
        place = open_device(device)
        if place == self.device:
            return self
        if place not in self._elsewhere:
            model = copy.deepcopy(self.checkpoint.model).to(place)
            checkpoint = dataclasses.replace(self.checkpoint, model=model)
            self._elsewhere[place] = OpenedModel(checkpoint, allow_download=self._allow_download)
        return self._elsewhere[place]

    @functools.cached_property
    def text_encoder(self) -> TextEncoder:
        """The encoder that the model was trained with; opened when it is first used."""
        from amt.text.encoder import TextEncoder

        return TextEncoder(self.checkpoint.text_spec, allow_download=self._allow_download)

    @functools.cached_property
    def digest(self) -> str:
        """A sha256 over the model's weights and settings: what says that two embeddings are of one space."""
        import torch

        parts = (self.checkpoint.model.config, self.checkpoint.tokenizer_config, self.checkpoint.text_spec)
        digest = hashlib.sha256(json.dumps([part.to_dict() for part in parts], sort_keys=True).encode())
        for name, tensor in sorted(self.checkpoint.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def caption_embeddings(self, texts: Sequence[str]) -> np.ndarray:
        """The embeddings of texts, (len(texts), dim) float32, of unit length.

        They stay in memory for the next call, and those of many texts on disk, too: see `amt.text.kept`.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._captions]
        if new:
            captions = self.checkpoint.captions
            found = kept_embeddings(
                new,
                self.checkpoint.text_spec,
                lambda texts: self.text_encoder.sentence_embeddings(texts),
                None if captions is None else captions.with_name(CAPTION_EMBEDDINGS),
            )
            self._captions.update(zip(new, found, strict=True))
        return np.stack([self._captions[text] for text in texts])


# What names a model: of the package, a folder, OWNER/NAME on the hub, or an opened one; None is the default.
ModelSource: TypeAlias = str | Path | OpenedModel | None


def packaged_models() -> dict[str, Path]:
    """The models that are part of the package: their names and folders."""
    return {path.parent.name: path.parent for path in sorted(WEIGHTS.glob("*/config.json"))}


def load(
    model: ModelSource = None, *, device: str | torch.device | None = None, allow_download: bool = False
) -> OpenedModel:
    """A model: the one in the package, a folder, or (with `allow_download`) one on the Hugging Face hub.

    The last few stay in memory; a folder whose files have changed is read again.

    Args:
        model: the name of a model in the package, a folder, or OWNER/NAME on the hub; default: "score-plan". What was
            loaded already is returned as it is.
        device: "cpu", "cuda" or "cuda:N": where the model goes; None: where it is, at first the processor.
        allow_download: whether the network may be used.

    Raises:
        CheckpointError: it is not there or damaged. DeviceError: there is no such GPU, or it is too old.
    """
    if device is not None:
        open_device(device)  # says that it is not here before a file is read
    return _find(model, allow_download).on(device)


def _find(model: ModelSource, allow_download: bool) -> OpenedModel:
    if isinstance(model, OpenedModel):
        return model
    name = str(model or DEFAULT_MODEL)
    packaged = packaged_models()
    folder = packaged.get(name, Path(name))
    if reason := why_no_name(folder):
        raise CheckpointError(f"there is no model {shown(name)}: {reason}; give the folder of a model")
    folder = standing(folder)
    if not folder.exists() and name.count("/") != 1:
        raise CheckpointError(
            f"there is no model {name!r}: it is not a folder, and those in the package are"
            f" {', '.join(packaged) or '(none)'}; give the folder of a model"
        )
    if not folder.is_dir():
        return _load(folder, allow_download, ())
    return _load(folder.absolute(), allow_download, _state(folder))


def _state(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of change of all files in a folder that a model may be made of."""
    state = []
    for file in sorted(folder.iterdir()):
        if file.suffix in PARTS:
            with contextlib.suppress(OSError):  # a link that leads nowhere
                status = file.stat()
                state.append((file.name, status.st_size, status.st_mtime_ns))
    return tuple(state)


@functools.lru_cache(maxsize=4)
def _load(source: Path, allow_download: bool, files: tuple[tuple[str, int, int], ...]) -> OpenedModel:
    """The model in a folder with these files, or on the hub."""
    from amt.models.checkpoint import load_checkpoint

    return OpenedModel(load_checkpoint(source, allow_download=allow_download), allow_download=allow_download)
