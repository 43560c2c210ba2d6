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
from amt.errors import CheckpointError, TextEncoderError
from amt.files import standing
from amt.generator import REFERENCE, Generator
from amt.midi import native
from amt.midi.reader import MidiSource
from amt.rerank import RerankBy, check_rerank, ranked
from amt.result import Midi
from amt.streaming import Stream
from amt.wishes import Wishes

if TYPE_CHECKING:
    from amt.ops.decode import WeightType

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT_MODEL = "score-small"


def packaged_models() -> dict[str, Path]:
    """The models that are part of the package: their names and folders."""
    return {path.parent.name: path.parent for path in sorted(WEIGHTS.glob("*/config.json"))}


def load(model: str | Path | None = None, *, allow_download: bool = False) -> Generator:
    """A model: the one in the package, a folder, or (with `allow_download`) one on the Hugging Face hub.

    The last few stay in memory; a folder whose files have changed is read again.

    Args:
        model: the name of a model in the package, a folder, or OWNER/NAME on the hub; default: "score-small".
        allow_download: whether the network may be used.

    Raises:
        CheckpointError: it is not there or damaged.
    """
    name = str(model or DEFAULT_MODEL)
    packaged = packaged_models()
    folder = standing(packaged.get(name, Path(name)))
    if not folder.exists() and name.count("/") != 1:
        raise CheckpointError(
            f"there is no model {name!r}: it is not a folder, and those in the package are"
            f" {', '.join(packaged) or '(none)'}; give the folder of a model"
        )
    if not folder.is_dir():
        return _load(folder, allow_download, ())
    files = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    return _load(folder.absolute(), allow_download, tuple((name, s.st_size, s.st_mtime_ns) for name, s in files))


@functools.lru_cache(maxsize=4)
def _load(source: Path, allow_download: bool, files: tuple[tuple[str, int, int], ...]) -> Generator:
    """The model in a folder with these files, or on the hub."""
    from amt.checkpoint import load_checkpoint

    return Generator(load_checkpoint(source, allow_download=allow_download), allow_download=allow_download)


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
    duration: float | None = None,
    bars: int | None = None,
    negative_prompt: str | None = None,
    rerank: int = 1,
    rerank_by: RerankBy = "facts",
    backend: str = "auto",
    weights: WeightType = "float32",
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
        instruments, tempo, time_signature, key, max_beats, max_polyphony, duration, bars: hard limits; see
            `amt.wishes.Wishes`. `duration` (seconds) needs a tempo and `bars` a time signature; if the text names it
            and the option does not, it becomes hard, too.
        negative_prompt: with guidance_scale above 1, the text to lead away from; default: what stood for no caption in
            training.
        rerank: write so many candidates for each text and keep the best num_return_sequences of them, best first.
        rerank_by: "facts": what does most of what was asked for (`Midi.asked_got`), then what "model" says; "model":
            what the model's own MIDI -> text direction finds nearest to the text. See `amt.rerank`.
        backend: "engine" (compiled), "reference" (plain PyTorch: slow, the same music), or "auto": the engine if it is
            here.
        weights: of the engine: "float32", or "bfloat16" and "int8", which are faster and differ a little.
        progress: called with (tokens done, tokens at most).
        logits_processor, stopping_criteria, streamer: as those of `transformers`.
        options: fields of `amt.GenerationConfig`, such as max_new_tokens, temperature, top_p, guidance_scale, or
            num_beams (which turns sampling off).

    Returns:
        a `Midi` for a text, a list of them if num_return_sequences > 1; for several texts a list of these.

    Raises:
        ValueError: an option is unknown or out of range. MidiError: `prompt_midi` cannot be read.
        CheckpointError, TextEncoderError: the model or its text encoder is missing. BackendUnavailableError: the engine
            was asked for and is not there.

    Example:
        >>> amt.generate("a slow sad waltz in D minor for piano", seed=7).save("waltz.mid")
    """
    generator = model if isinstance(model, Generator) else load(model)
    check_rerank(rerank, rerank_by, generator, options.get("num_beams", 1))
    options |= {"seed": seed, "num_return_sequences": num_return_sequences}
    if rerank > 1:
        options["num_return_sequences"] = max(num_return_sequences, rerank)
    config = _config("generate", generator, options)
    texts = [text] if isinstance(text, str) else list(text)
    results = generator.generate(
        texts,
        prompt_midi=prompt_midi,
        wishes=Wishes(instruments, tempo, time_signature, key, max_beats, max_polyphony, duration, bars),
        config=config,
        negative_prompt=negative_prompt,
        backend=backend,
        weights=weights,
        progress=progress,
        logits_processor=logits_processor,
        stopping_criteria=stopping_criteria,
        streamer=streamer,
    )
    if rerank > 1:
        ranks = [ranked(pieces, each, generator, rerank_by) for each, pieces in zip(texts, results, strict=True)]
        results = [pieces[:num_return_sequences] for pieces in ranks]
    shaped = [pieces if num_return_sequences > 1 else pieces[0] for pieces in results]
    return shaped[0] if isinstance(text, str) else shaped


def stream(
    text: str,
    *,
    seed: int | None = None,
    model: str | Path | Generator | None = None,
    prompt_midi: MidiSource | None = None,
    instruments: Sequence[str | int] | None = None,
    tempo: float | None = None,
    time_signature: str | None = None,
    key: str | None = None,
    max_beats: float | None = None,
    max_polyphony: int | None = None,
    duration: float | None = None,
    bars: int | None = None,
    negative_prompt: str | None = None,
    backend: str = "auto",
    weights: WeightType = "float32",
    logits_processor: Sequence[Any] | None = None,
    stopping_criteria: Sequence[Any] | None = None,
    **options: Any,
) -> Stream:
    """Write music that fits a text, and hand out every event as soon as it is there.

    The music is that of `amt.generate` with the same seed and options. The model has read the text when this returns;
    it writes while events are asked for.

    Args:
        text: what the music should be like.
        options: as those of `amt.generate`; beams and several pieces cannot be streamed.

    Returns:
        a `Stream`: an iterator of `amt.TimedEvent`; its `result()` is the piece.

    Raises:
        as `amt.generate`.

    Example:
        >>> stream = amt.stream("a slow sad waltz in D minor for piano", seed=7)
        >>> notes = [(event.time_s, event.value) for event in stream if event.kind == "note_on"]
        >>> stream.result().save("waltz.mid")
    """
    for name in ("num_beams", "num_return_sequences"):
        if options.get(name, 1) != 1:
            raise ValueError(f"a stream is one piece, written once; leave out {name} or use amt.generate")
    generator = model if isinstance(model, Generator) else load(model)
    options |= {"seed": seed, "num_beams": 1, "num_return_sequences": 1}
    return generator.stream(
        text,
        prompt_midi=prompt_midi,
        wishes=Wishes(instruments, tempo, time_signature, key, max_beats, max_polyphony, duration, bars),
        config=_config("stream", generator, options),
        negative_prompt=negative_prompt,
        backend=backend,
        weights=weights,
        logits_processor=logits_processor,
        stopping_criteria=stopping_criteria,
    )


def _config(function: str, generator: Generator, options: dict[str, Any]) -> GenerationConfig:
    """The model's own settings, over them the caller's."""
    known = {field.name for field in dataclasses.fields(GenerationConfig)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(
            f"{function} does not know the option {', '.join(unknown)}; it knows {', '.join(sorted(known))}"
        )
    if options.get("num_beams", 1) != 1:
        options = {"do_sample": False} | options
    return GenerationConfig.from_dict(generator.checkpoint.generation_config.to_dict() | options)


def info() -> dict[str, Any]:
    """What is installed and what runs here: versions, backends, models, text encoder."""
    import torch

    from amt import __version__
    from amt.ops import explain_attention
    from amt.ops import native as ops
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
        "decoding": ops.explain() if ops.is_available() else f"{REFERENCE}, slow: {ops.explain()}",
        "attention": explain_attention(),
        "models": list(packaged_models()),
        "text_encoder": {"id": spec.id, "files": encoder},
    }
