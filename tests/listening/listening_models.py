"""A model that reads MIDI, with random weights, and a text encoder that needs no files."""

import copy
import hashlib

import numpy as np
import torch
from torch.nn import functional as F

import amt
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, Tempo, TimeSignature
from amt.models import build_model
from amt.models.opened import OpenedModel
from amt.nn.config import ModelConfig
from amt.request.options import GenerationConfig
from amt.text.encoder import TextEncoder, TextEncoderSpec

DIM = 384
LISTENING = ModelConfig(
    architecture="music_text", d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24,
    max_sequence_length=96, text_embedding_dim=DIM, positions="rotary", midi_to_text_len=64,
)  # fmt: skip


class WordEncoder(TextEncoder):
    """A state for each word, drawn from the word alone; counts the texts that it has read."""

    def __init__(self):
        self.spec = TextEncoderSpec()
        self.num_texts = 0

    def encode_batch(self, texts):
        self.num_texts += len(texts)
        return [torch.stack([self._state(word) for word in text.lower().split()]) for text in texts]

    @staticmethod
    def _state(word):
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
        return torch.randn(DIM, generator=torch.Generator().manual_seed(seed))


def save_model(folder, config=LISTENING, seed=3):
    torch.manual_seed(seed)
    model = build_model(config).eval()
    amt.save_checkpoint(folder, model, TokenizerConfig(), TextEncoderSpec(), GenerationConfig())
    return folder


def open_model(folder):
    """A generator of its own, with a WordEncoder."""
    generator = OpenedModel(amt.load_checkpoint(folder))
    generator.text_encoder = WordEncoder()
    return generator


@torch.no_grad()
def embedding_alone(model, parts):
    """What a model says of a piece, part by part and in its own precision: the mean of unit vectors at unit length."""
    vectors = [F.normalize(model.midi_to_text(torch.from_numpy(ids.astype(np.int64))[None])[0], dim=0) for ids in parts]
    return F.normalize(sum(vectors), dim=0)


def exact_and_own_embeddings(model, pieces):
    """The embeddings of pieces in float64 and in float32, (len(pieces), dim): what others are held to."""
    exact = copy.deepcopy(model).double()
    return [torch.stack([embedding_alone(each, parts) for parts in pieces]) for each in (exact, model)]


def tune(number, num_notes=16, transpose=0):
    """A tune that no other number has."""
    steps = [0, 2, 4, 5, 7, 9, 11, 12]
    notes = [
        Note(240 * i, 240 * (i + 1 + number % 3), 55 + transpose + steps[(i * (number + 1) + number // 8) % 8], 80)
        for i in range(num_notes)
    ]
    return MidiData(notes, tempos=[Tempo(0, 400_000 + 10_000 * number)], time_signatures=[TimeSignature(0, 3, 4)])
