"""Text to MIDI and MIDI to text with transformers.

The public names are loaded when they are first used, so that `import amt` is quick and does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "arrange": "amt.arranger.arrange",
    "Arrangement": "amt.arranger.arrangement",
    "generate": "amt.api",
    "info": "amt.api",
    "load": "amt.api",
    "stream": "amt.api",
    "describe": "amt.description",
    "Description": "amt.description",
    "search": "amt.searching",
    "Match": "amt.searching",
    "Matches": "amt.searching",
    "Facts": "amt.midi.facts",
    "profile": "amt.profiling",
    "Profile": "amt.profiling",
    "read_midi": "amt.midi.reader",
    "MidiData": "amt.midi.data",
    "Note": "amt.midi.data",
    "NoteTable": "amt.midi.data",
    "EventTokenizer": "amt.midi.tokenizer",
    "Vocabulary": "amt.midi.vocabulary",
    "Grammar": "amt.midi.grammar",
    "Constraints": "amt.midi.grammar",
    "Midi": "amt.result",
    "Stream": "amt.streaming",
    "TimedEvent": "amt.midi.events",
    "ModelConfig": "amt.config",
    "TokenizerConfig": "amt.config",
    "GenerationConfig": "amt.config",
    "TrainConfig": "amt.config",
    "MusicTransformer": "amt.models",
    "MusicTextTransformer": "amt.models",
    "prepare": "amt.data.prepare",
    "train": "amt.training.train",
    "save_checkpoint": "amt.checkpoint",
    "load_checkpoint": "amt.checkpoint",
    "TextEncoder": "amt.text",
    "AmtError": "amt.errors",
    "MidiError": "amt.errors",
    "CheckpointError": "amt.errors",
    "TextEncoderError": "amt.errors",
    "BackendUnavailableError": "amt.errors",
    "DecodingError": "amt.errors",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'amt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from amt.api import generate as generate
    from amt.api import info as info
    from amt.api import load as load
    from amt.api import stream as stream
    from amt.arranger.arrange import arrange as arrange
    from amt.arranger.arrangement import Arrangement as Arrangement
    from amt.checkpoint import load_checkpoint as load_checkpoint
    from amt.checkpoint import save_checkpoint as save_checkpoint
    from amt.config import GenerationConfig as GenerationConfig
    from amt.config import ModelConfig as ModelConfig
    from amt.config import TokenizerConfig as TokenizerConfig
    from amt.config import TrainConfig as TrainConfig
    from amt.data.prepare import prepare as prepare
    from amt.description import Description as Description
    from amt.description import describe as describe
    from amt.errors import AmtError as AmtError
    from amt.errors import BackendUnavailableError as BackendUnavailableError
    from amt.errors import CheckpointError as CheckpointError
    from amt.errors import DecodingError as DecodingError
    from amt.errors import MidiError as MidiError
    from amt.errors import TextEncoderError as TextEncoderError
    from amt.midi.data import MidiData as MidiData
    from amt.midi.data import Note as Note
    from amt.midi.data import NoteTable as NoteTable
    from amt.midi.events import TimedEvent as TimedEvent
    from amt.midi.facts import Facts as Facts
    from amt.midi.grammar import Constraints as Constraints
    from amt.midi.grammar import Grammar as Grammar
    from amt.midi.reader import read_midi as read_midi
    from amt.midi.tokenizer import EventTokenizer as EventTokenizer
    from amt.midi.vocabulary import Vocabulary as Vocabulary
    from amt.models import MusicTextTransformer as MusicTextTransformer
    from amt.models import MusicTransformer as MusicTransformer
    from amt.profiling import Profile as Profile
    from amt.profiling import profile as profile
    from amt.result import Midi as Midi
    from amt.searching import Match as Match
    from amt.searching import Matches as Matches
    from amt.searching import search as search
    from amt.streaming import Stream as Stream
    from amt.text import TextEncoder as TextEncoder
    from amt.training.train import train as train
