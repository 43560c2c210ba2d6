"""Text to MIDI and MIDI to text with transformers.

The public names are loaded when they are first used, so that `import amt` is quick and does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from amt.version import __version__ as __version__

_HOMES = {
    "arrange": "amt.arranger.arrange",
    "Arrangement": "amt.arranger.arrangement",
    "generate": "amt.api",
    "generate_batch": "amt.batch.run",
    "BatchSummary": "amt.batch.run",
    "edit": "amt.api",
    "info": "amt.api",
    "load": "amt.models.opened",
    "OpenedModel": "amt.models.opened",
    "stream": "amt.api",
    "describe": "amt.retrieval.description",
    "Description": "amt.retrieval.description",
    "search": "amt.retrieval.search",
    "Match": "amt.retrieval.search",
    "Matches": "amt.retrieval.search",
    "Facts": "amt.midi.facts",
    "profile": "amt.api",
    "Profile": "amt.generation.profile",
    "read_midi": "amt.midi.reader",
    "MidiData": "amt.midi.data",
    "Note": "amt.midi.elements",
    "NoteTable": "amt.midi.data",
    "EventTokenizer": "amt.midi.tokenizer",
    "Vocabulary": "amt.midi.vocabulary",
    "Grammar": "amt.midi.grammar",
    "Constraints": "amt.midi.limits",
    "Piece": "amt.generation.piece",
    "Stream": "amt.generation.stream",
    "TimedEvent": "amt.midi.events",
    "ModelConfig": "amt.nn.config",
    "TokenizerConfig": "amt.midi.config",
    "GenerationConfig": "amt.request.options",
    "Limits": "amt.request.limits",
    "TrainConfig": "amt.training.config",
    "MusicTransformer": "amt.models",
    "MusicTextTransformer": "amt.models",
    "prepare": "amt.data.prepare",
    "train": "amt.training.train",
    "save_checkpoint": "amt.models.checkpoint",
    "load_checkpoint": "amt.models.checkpoint",
    "TextEncoder": "amt.text.encoder",
    "AmtError": "amt.errors",
    "MidiError": "amt.errors",
    "CheckpointError": "amt.errors",
    "TextEncoderError": "amt.errors",
    "BackendUnavailableError": "amt.errors",
    "DeviceError": "amt.errors",
    "DecodingError": "amt.errors",
    "DiskFullError": "amt.errors",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'amt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from amt.api import edit as edit
    from amt.api import generate as generate
    from amt.api import info as info
    from amt.api import profile as profile
    from amt.api import stream as stream
    from amt.arranger.arrange import arrange as arrange
    from amt.arranger.arrangement import Arrangement as Arrangement
    from amt.batch.run import BatchSummary as BatchSummary
    from amt.batch.run import generate_batch as generate_batch
    from amt.data.prepare import prepare as prepare
    from amt.errors import AmtError as AmtError
    from amt.errors import BackendUnavailableError as BackendUnavailableError
    from amt.errors import CheckpointError as CheckpointError
    from amt.errors import DecodingError as DecodingError
    from amt.errors import DeviceError as DeviceError
    from amt.errors import DiskFullError as DiskFullError
    from amt.errors import MidiError as MidiError
    from amt.errors import TextEncoderError as TextEncoderError
    from amt.generation.piece import Piece as Piece
    from amt.generation.profile import Profile as Profile
    from amt.generation.stream import Stream as Stream
    from amt.midi.config import TokenizerConfig as TokenizerConfig
    from amt.midi.data import MidiData as MidiData
    from amt.midi.data import NoteTable as NoteTable
    from amt.midi.elements import Note as Note
    from amt.midi.events import TimedEvent as TimedEvent
    from amt.midi.facts import Facts as Facts
    from amt.midi.grammar import Grammar as Grammar
    from amt.midi.limits import Constraints as Constraints
    from amt.midi.reader import read_midi as read_midi
    from amt.midi.tokenizer import EventTokenizer as EventTokenizer
    from amt.midi.vocabulary import Vocabulary as Vocabulary
    from amt.models import MusicTextTransformer as MusicTextTransformer
    from amt.models import MusicTransformer as MusicTransformer
    from amt.models.checkpoint import load_checkpoint as load_checkpoint
    from amt.models.checkpoint import save_checkpoint as save_checkpoint
    from amt.models.opened import OpenedModel as OpenedModel
    from amt.models.opened import load as load
    from amt.nn.config import ModelConfig as ModelConfig
    from amt.request.limits import Limits as Limits
    from amt.request.options import GenerationConfig as GenerationConfig
    from amt.retrieval.description import Description as Description
    from amt.retrieval.description import describe as describe
    from amt.retrieval.search import Match as Match
    from amt.retrieval.search import Matches as Matches
    from amt.retrieval.search import search as search
    from amt.text.encoder import TextEncoder as TextEncoder
    from amt.training.config import TrainConfig as TrainConfig
    from amt.training.train import train as train
