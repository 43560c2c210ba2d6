"""What the README shows: generate, load, info."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from amt.config import GenerationConfig
from amt.errors import TextEncoderError
from amt.midi import native
from amt.midi.grammar import Grammar
from amt.midi.reader import MidiSource
from amt.midi.tokenizer import EventTokenizer
from amt.result import Midi
from amt.wishes import Wishes

if TYPE_CHECKING:
    from amt.checkpoint import Checkpoint
    from amt.text import TextEncoder

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT_MODEL = "score-small"
BACKEND = "reference (PyTorch)"


class Generator:
    """A model with its text encoder, ready to write music. Made by `amt.load`.

    Attributes:
        checkpoint: the model and its settings.
    """

    def __init__(self, checkpoint: Checkpoint):
        self.checkpoint = checkpoint
        self.tokenizer = EventTokenizer(checkpoint.tokenizer_config)

    @functools.cached_property
    def text_encoder(self) -> TextEncoder:
        """The encoder that the model was trained with; opened when it is first used."""
        from amt.text import TextEncoder

        return TextEncoder(self.checkpoint.text_spec)

    def generate(
        self,
        texts: Sequence[str],
        *,
        prompt_midi: MidiSource | None = None,
        wishes: Wishes | None = None,
        config: GenerationConfig | None = None,
        progress: Callable[[int, int], object] | None = None,
        **decoding: Any,
    ) -> list[list[Midi]]:
        """For each text its `num_return_sequences` pieces; see `amt.generate`."""
        from amt.decoding import generate

        config = config or self.checkpoint.generation_config
        grammar = Grammar(self.tokenizer.config, (wishes or Wishes()).constraints(self.tokenizer.config))
        for text in texts:
            if not isinstance(text, str) or not text.strip():
                raise ValueError('the text is empty; describe the music, like "a slow sad waltz for piano"')
        warnings: list[str] = []
        prefix = None if prompt_midi is None else self._prefix(prompt_midi, warnings)
        embeddings, mask = self.text_encoder.encode(list(texts))
        warnings += self.text_encoder.truncation_warnings(list(texts))
        results = generate(
            self.checkpoint.model,
            embeddings,
            mask,
            config,
            prefixes=None if prefix is None else [prefix] * len(texts),
            make_grammar=grammar.start,
            progress=progress,
            **decoding,
        )
        return [
            [
                Midi.from_tokens(
                    hypothesis.token_ids,
                    self.tokenizer.config,
                    text=text,
                    seed=hypothesis.seed,
                    warnings=list(warnings),
                    token_log_probs=hypothesis.token_log_probs,
                    backend=BACKEND,
                )
                for hypothesis in hypotheses
            ]
            for text, hypotheses in zip(texts, results, strict=True)
        ]

    def _prefix(self, source: MidiSource, warnings: list[str]) -> list[int]:
        """The tokens to continue from: the whole piece, or its last bars where it is long."""
        from amt.data.segments import last_bars
        from amt.midi.reader import read_midi

        room = self.checkpoint.model.config.max_sequence_length // 2
        data = read_midi(source)
        encoding = self.tokenizer.encode(data)
        if not encoding.report.kept_notes:
            raise ValueError("the MIDI file to continue has no notes that this model can play")
        if len(encoding) > room:
            data = last_bars(data, self.tokenizer, room)
            encoding = self.tokenizer.encode(data)
            warnings.append(
                f"the MIDI file is longer than the {room} tokens that can be continued; the result begins with its last bars"
            )
        return [int(token) for token in encoding.ids[:-1]]


@functools.lru_cache(maxsize=4)
def load(model: str | Path | None = None, *, allow_download: bool = False) -> Generator:
    """A model: the one in the package, a folder, or (with `allow_download`) one on the Hugging Face hub.

    Args:
        model: a folder, OWNER/NAME on the hub, or the name of a model in the package; default: "score-small".
        allow_download: whether the network may be used.

    Raises:
        CheckpointError: it is not there or damaged.
    """
    from amt.checkpoint import load_checkpoint

    packaged = WEIGHTS / str(model or DEFAULT_MODEL)
    is_packaged = packaged.parent == WEIGHTS and packaged.is_dir()
    return Generator(load_checkpoint(packaged if is_packaged else model or packaged, allow_download=allow_download))


@overload
def generate(text: str, **options: Any) -> Midi | list[Midi]: ...
@overload
def generate(text: Sequence[str], **options: Any) -> list[Midi | list[Midi]]: ...
def generate(
    text: str | Sequence[str],
    *,
    seed: int | None = None,
    num_return_sequences: int = 1,
    model: str | Path | Generator | None = None,
    prompt_midi: MidiSource | None = None,
    instruments: Sequence[str | int] | None = None,
    tempo: float | None = None,
    time_signature: str | None = None,
    key: str | None = None,
    max_beats: float | None = None,
    max_polyphony: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    logits_processor: Sequence[Any] | None = None,
    stopping_criteria: Sequence[Any] | None = None,
    streamer: Any = None,
    **options: Any,
) -> Any:
    """Write music that fits a text.

    The result is always a valid file: a grammar lets only tokens through that make one, and closes every note in time.

    Args:
        text: what the music should be like, or several such texts.
        seed: 0..2**64-1; the same seed gives the same music. Without it a fresh one is drawn; the result names it.
        num_return_sequences: pieces for each text.
        model: a name or folder as for `amt.load`, or what it returned.
        prompt_midi: a MIDI file (path, bytes, mido.MidiFile) to continue.
        instruments, tempo, time_signature, key, max_beats, max_polyphony: hard limits; see `amt.wishes.Wishes`.
        progress: called with (tokens done, tokens at most).
        logits_processor, stopping_criteria, streamer: as those of `transformers`.
        options: fields of `amt.GenerationConfig`, such as max_new_tokens, temperature, top_p, or num_beams (which turns
            sampling off).

    Returns:
        a `Midi` for a text, a list of them if num_return_sequences > 1; for several texts a list of these.

    Raises:
        ValueError: an option is unknown or out of range. MidiError: `prompt_midi` cannot be read.
        CheckpointError, TextEncoderError: the model or its text encoder is missing.

    Example:
        >>> amt.generate("a slow sad waltz in D minor for piano", seed=7).save("waltz.mid")
    """
    known = {field.name for field in dataclasses.fields(GenerationConfig)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(f"generate does not know the option {', '.join(unknown)}; it knows {', '.join(sorted(known))}")
    generator = model if isinstance(model, Generator) else load(model)
    if options.get("num_beams", 1) != 1:
        options.setdefault("do_sample", False)
    settings = generator.checkpoint.generation_config.to_dict() | options
    config = GenerationConfig.from_dict(settings | {"seed": seed, "num_return_sequences": num_return_sequences})
    results = generator.generate(
        [text] if isinstance(text, str) else list(text),
        prompt_midi=prompt_midi,
        wishes=Wishes(instruments, tempo, time_signature, key, max_beats, max_polyphony),
        config=config,
        progress=progress,
        logits_processor=logits_processor,
        stopping_criteria=stopping_criteria,
        streamer=streamer,
    )
    shaped = [pieces if num_return_sequences > 1 else pieces[0] for pieces in results]
    return shaped[0] if isinstance(text, str) else shaped


def info() -> dict[str, Any]:
    """What is installed and what runs here: versions, backends, models, text encoder."""
    import torch

    from amt import __version__
    from amt.text import TextEncoderSpec, find_encoder_files

    spec = TextEncoderSpec()
    try:
        encoder = str(find_encoder_files(spec))
    except TextEncoderError as error:
        encoder = f"missing: {error}"
    return {
        "amt": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": importlib.metadata.version("transformers"),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "midi": native.explain(),
        "decoding": BACKEND,
        "models": sorted(path.parent.name for path in WEIGHTS.glob("*/config.json")),
        "text_encoder": {"id": spec.id, "files": encoder},
    }
