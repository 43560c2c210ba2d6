"""A model with its text encoder, ready to write music."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from amt.config import check_choice
from amt.generation.piece import Piece
from amt.generation.stream import Stream
from amt.midi.grammar import Grammar
from amt.midi.reader import MidiSource
from amt.midi.tokenizer import EventTokenizer
from amt.request.limits import NEEDS, Limits
from amt.request.options import GenerationConfig
from amt.request.reading import read
from amt.stages import stage

if TYPE_CHECKING:
    import torch

    from amt.decoding.engine import Engine
    from amt.decoding.hypothesis import Hypothesis
    from amt.decoding.protocols import DecoderModel
    from amt.models.checkpoint import Checkpoint
    from amt.ops.decode import WeightType
    from amt.text.encoder import TextEncoder

REFERENCE = "reference (PyTorch)"
BACKENDS = ("auto", "engine", "reference")


@dataclasses.dataclass(frozen=True)
class _Call:
    """What was asked for, checked and read."""

    decoder: DecoderModel
    backend: str
    limits: list[Limits]  # one for each text
    grammars: list[Grammar]  # one for each text, the same one where the constraints are equal
    prefix: list[int] | None
    embeddings: torch.Tensor
    mask: torch.Tensor
    warnings: list[str]


class Generator:
    """A model with its text encoder, ready to write music. Made by `amt.load`.

    Args:
        checkpoint: the model and its settings.
        allow_download: whether the network may be used to get the text encoder.
    """

    def __init__(self, checkpoint: Checkpoint, *, allow_download: bool = False):
        self.checkpoint = checkpoint
        self.tokenizer = EventTokenizer(checkpoint.tokenizer_config)
        self._allow_download = allow_download
        self._engines: dict[WeightType, Engine] = {}
        self._captions: dict[str, np.ndarray] = {}

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
        """The embeddings of texts, (len(texts), dim) float32, of unit length; they stay in memory for the next call."""
        from amt.text.pooling import embed_texts

        new = [text for text in dict.fromkeys(texts) if text not in self._captions]
        if new:
            self._captions.update(zip(new, embed_texts(self.text_encoder, new), strict=True))
        return np.stack([self._captions[text] for text in texts])

    def engine(self, weights: WeightType = "float32") -> Engine:
        """The model's decoder packed for the compiled engine; packed when it is first asked for.

        Raises:
            BackendUnavailableError: the engine cannot run here.
        """
        from amt.decoding.engine import Engine

        if weights not in self._engines:
            self._engines[weights] = Engine(self.checkpoint.model, weights)
        return self._engines[weights]

    def decoder(self, backend: str = "auto", weights: WeightType = "float32") -> tuple[DecoderModel, str]:
        """What decodes, and its name: the engine, or the model itself in plain PyTorch."""
        from amt.ops import native as ops
        from amt.ops.decode import WEIGHT_TYPES

        check_choice("backend", backend, BACKENDS)
        check_choice("weights", weights, WEIGHT_TYPES)
        if backend == "reference" or (backend == "auto" and weights == "float32" and not ops.is_available()):
            if weights != "float32":
                raise ValueError(f"weights={weights!r} needs backend='engine'; the reference has float32 only")
            return self.checkpoint.model, REFERENCE
        engine = self.engine(weights)
        return engine, engine.backend

    def generate(
        self,
        texts: Sequence[str],
        *,
        backend: str = "auto",
        weights: WeightType = "float32",
        prompt_midi: MidiSource | None = None,
        limits: Limits | None = None,
        config: GenerationConfig | None = None,
        negative_prompt: str | None = None,
        progress: Callable[[int, int], object] | None = None,
        **decoding: Any,
    ) -> list[list[Piece]]:
        """For each text its `num_return_sequences` pieces; see `amt.generate`."""
        from amt.decoding import generate

        config = config or self.checkpoint.generation_config
        call = self._prepare(texts, backend, weights, prompt_midi, limits)
        decoding |= self._negative(config, negative_prompt)
        results: list[list[Hypothesis]] = []
        began = time.monotonic()
        # Texts under equal constraints are decoded together; which others are beside one changes none of its tokens.
        for grammar, group in itertools.groupby(range(len(texts)), key=call.grammars.__getitem__):
            rows = list(group)
            left = config.max_time
            if left is not None and results:
                left = max(0.0, left - (time.monotonic() - began))
            results += generate(
                call.decoder,
                call.embeddings[rows],
                call.mask[rows],
                dataclasses.replace(config, max_time=left),
                prefixes=None if call.prefix is None else [call.prefix] * len(rows),
                make_grammar=grammar.start,
                progress=_share(progress, rows, len(texts)),
                **decoding,
            )
        return [
            [
                self._piece(hypothesis.token_ids, hypothesis.token_log_probs, text, hypothesis.seed, call, limits)
                for hypothesis in hypotheses
            ]
            for text, limits, hypotheses in zip(texts, call.limits, results, strict=True)
        ]

    def stream(
        self,
        text: str,
        *,
        backend: str = "auto",
        weights: WeightType = "float32",
        prompt_midi: MidiSource | None = None,
        limits: Limits | None = None,
        config: GenerationConfig | None = None,
        negative_prompt: str | None = None,
        **decoding: Any,
    ) -> Stream:
        """One piece, while it is being written; see `amt.stream`."""
        from amt.decoding import stream

        config = config or self.checkpoint.generation_config
        call = self._prepare([text], backend, weights, prompt_midi, limits)
        prompt, new_tokens = stream(
            call.decoder,
            call.embeddings,
            call.mask,
            config,
            prefix=call.prefix or (),
            make_grammar=call.grammars[0].start,
            **self._negative(config, negative_prompt),
            **decoding,
        )

        def make_midi(token_ids: tuple[int, ...], log_probs: tuple[float, ...]) -> Piece:
            return self._piece(token_ids, log_probs, text, prompt.seed, call, call.limits[0])

        return Stream(prompt.prefix, new_tokens, self.tokenizer.config, make_midi, seed=prompt.seed)

    def _prepare(
        self,
        texts: Sequence[str],
        backend: str,
        weights: WeightType,
        prompt_midi: MidiSource | None,
        limits: Limits | None,
    ) -> _Call:
        """Check what was asked for and read the texts."""
        decoder, name = self.decoder(backend, weights)
        tokenizer_config = self.tokenizer.config
        for text in texts:
            check_text(text)
        all_limits = [(limits or Limits()).with_text(read(text), tokenizer_config) for text in texts]
        constraints = [each.constraints(tokenizer_config) for each in all_limits]
        grammars = {each: Grammar(tokenizer_config, each) for each in constraints}
        warnings: list[str] = []
        prefix = None if prompt_midi is None else self._prefix(prompt_midi, all_limits, warnings)
        with stage("text encoder"):
            embeddings, mask = self.text_encoder.encode(list(texts))
        warnings += self.text_encoder.truncation_warnings(list(texts))
        return _Call(
            decoder, name, all_limits, [grammars[each] for each in constraints], prefix, embeddings, mask, warnings
        )

    def _negative(self, config: GenerationConfig, negative_prompt: str | None) -> dict[str, Any]:
        """The arguments of `amt.decoding.generate` that guidance needs."""
        from amt.text.encoder import UNCONDITIONAL

        if config.guidance_scale == 1.0:
            if negative_prompt is not None:
                raise ValueError("a negative_prompt needs guidance: give guidance_scale, such as 2, too")
            return {}
        if negative_prompt is not None:
            try:
                check_text(negative_prompt)
            except ValueError as error:
                raise ValueError(f"negative_prompt: {error}") from error
        with stage("text encoder"):
            embeddings, mask = self.text_encoder.encode([UNCONDITIONAL if negative_prompt is None else negative_prompt])
        return {"negative_embeddings": embeddings, "negative_mask": mask}

    def _piece(
        self,
        token_ids: tuple[int, ...],
        log_probs: tuple[float, ...],
        text: str,
        seed: int | None,
        call: _Call,
        limits: Limits,
    ) -> Piece:
        with stage("file"):
            piece = Piece.from_tokens(
                token_ids,
                self.tokenizer.config,
                text=text,
                seed=seed,
                warnings=[*read(text).warnings, *call.warnings],
                token_log_probs=log_probs,
                backend=call.backend,
                limits=limits,
            )
        if not len(piece.notes):
            piece.warnings.append("the model wrote no notes; try another seed or other words")
        return piece

    def _prefix(self, source: MidiSource, all_limits: list[Limits], warnings: list[str]) -> list[int]:
        """The tokens to continue from: the whole piece, or its last bars where it is long."""
        from amt.midi.reader import read_midi
        from amt.midi.segments import last_bars

        longest = self.checkpoint.model.config.max_sequence_length
        room = longest // 2
        data = read_midi(source)
        encoding = self.tokenizer.encode(data)
        if not encoding.report.kept_notes:
            raise ValueError("the MIDI file to continue has no notes that this model can play; give another one")
        if len(encoding) > room:
            encoding = self.tokenizer.encode(last_bars(data, self.tokenizer, room))
            warnings.append(
                f"the MIDI file is longer than the {room} tokens that can be continued;"
                " the result begins with its last bars"
            )
        if len(encoding) > longest:
            raise ValueError(
                f"the last bar of the MIDI file to continue has {len(encoding)} tokens and this model reads {longest};"
                " thin it out or give another file"
            )
        prefix = [int(token) for token in encoding.ids[:-1]]
        for limits in all_limits:
            self._check_prefix(prefix, limits)
        return prefix

    def _check_prefix(self, prefix: list[int], limits: Limits) -> None:
        """Raise ValueError with the first limit that the music to continue does not keep."""
        for name, value in vars(limits).items():
            if value is None:
                continue
            alone = {other: given for other, given in vars(limits).items() if other in (name, NEEDS.get(name))}
            state = Grammar(self.tokenizer.config, Limits(**alone).constraints(self.tokenizer.config)).start()
            try:
                for token in prefix:
                    state.advance(token)
            except ValueError as error:
                raise ValueError(
                    f"the MIDI file to continue does not keep to {name} {value!r}; leave that out or give another file"
                ) from error


def _share(
    progress: Callable[[int, int], object] | None, rows: list[int], num_texts: int
) -> Callable[[int, int], object] | None:
    """Tells of the progress of neighbouring texts as that of all; each may have as many tokens as another."""
    if progress is None or len(rows) == num_texts:
        return progress
    return lambda done, total: progress(done + total // len(rows) * rows[0], total // len(rows) * num_texts)


def check_text(text: object) -> None:
    """Raise ValueError unless this is a text that can be read."""
    if not isinstance(text, str):
        raise ValueError(f"a text must be a str, got {type(text).__name__}")
    if not text.strip():
        raise ValueError('the text is empty; describe the music, like "a slow sad waltz for piano"')
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text is damaged: it is not UTF-8; type it again")
