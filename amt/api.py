"""The calls of a user: generate, edit, stream, profile, info."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast, overload

from amt.devices import explain_device
from amt.errors import TextEncoderError
from amt.generation.candidates import RerankBy, check_rerank, num_candidates, ranked, write_best
from amt.generation.generator import ask, write_stream
from amt.generation.piece import Piece
from amt.generation.profile import NOT_STREAMED, STAGES, Profile, peak_memory_bytes
from amt.generation.stream import Stream
from amt.midi import native
from amt.midi.data import MidiData
from amt.midi.reader import MidiSource, read_midi
from amt.models.opened import ModelSource, OpenedModel, load, packaged_models
from amt.request.edits import Bars, Tracks
from amt.request.limits import LimitOptions, Limits, PartLimitOptions
from amt.request.obey import Obey
from amt.request.options import GenerationConfig, GenerationOptions
from amt.request.plans import PlanBy
from amt.request.reading import check_text
from amt.stages import recorded, stage
from amt.version import __version__

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from amt.decoding.backends import Backend, BackendName, Choice
    from amt.ops.decode import EngineDtype
    from amt.request.request import Request


class StreamOptions(LimitOptions, GenerationOptions, total=False):
    """What `amt.stream` takes beside the text: hard limits, how tokens are chosen, and what runs."""

    model: ModelSource
    prompt_midi: MidiSource | None
    negative_prompt: str | None
    obey: Obey
    device: str | None
    plan: PlanBy
    backend: BackendName | Backend
    dtype: EngineDtype
    logits_processor: Sequence[Any] | None
    stopping_criteria: Sequence[Any] | None


class GenerateOptions(StreamOptions, total=False):
    """What `amt.generate` takes beside the text and num_return_sequences."""

    rerank: int | None
    rerank_by: RerankBy
    progress: Callable[[int, int], object] | None
    streamer: Any


class EditOptions(PartLimitOptions, GenerationOptions, total=False):
    """What `amt.edit` takes beside the piece, the text, and what of the piece it is about."""

    model: ModelSource
    negative_prompt: str | None
    device: str | None
    backend: BackendName | Backend
    dtype: EngineDtype
    logits_processor: Sequence[Any] | None
    stopping_criteria: Sequence[Any] | None
    rerank: int
    rerank_by: RerankBy
    progress: Callable[[int, int], object] | None


@overload
def generate(text: str, **options: Unpack[GenerateOptions]) -> Piece: ...
@overload
def generate(text: str, *, num_return_sequences: int, **options: Unpack[GenerateOptions]) -> Piece | list[Piece]: ...
@overload
def generate(text: list[str] | tuple[str, ...], **options: Unpack[GenerateOptions]) -> list[Piece]: ...
@overload
def generate(
    text: list[str] | tuple[str, ...], *, num_return_sequences: int, **options: Unpack[GenerateOptions]
) -> list[Piece] | list[list[Piece]]: ...
def generate(text: str | list[str] | tuple[str, ...], *, num_return_sequences: int = 1, **options: Any) -> Any:
    """Write music that fits a text.

    The result is always a valid file: a grammar lets only tokens through that make one, and closes every note in time.

    Args:
        text: what the music should be like, or several such texts.
        num_return_sequences: pieces for each text.
        model: as for `amt.load`.
        prompt_midi: a MIDI file (path, bytes, mido.MidiFile) to continue.
        instruments, required_instruments, forbidden_instruments, max_instruments, entry_by_beats, tempo,
            time_signature, key, min_pitch, max_pitch, max_beats, max_polyphony, max_voices, max_top_run,
            max_note_beats, max_rest_beats, max_filler_tokens, duration, bars, chords, form: hard limits; see
            `amt.Limits`. Notes last at most 16 beats (less where what the model learned from has none that long),
            silence at most 8, the highest note has one pitch at most 12 times in a row, instruments enter within 32
            beats, 24 notes sound at once (of one instrument what it can play) and 10 instruments play at most, unless
            the call says otherwise; None takes such a limit away. `chords` and `form` need a model that plans its
            music; they are also taken from the text.
        negative_prompt: with guidance_scale above 1, the text to lead away from; default: what stood for no caption in
            training.
        obey: "said": the instruments, refusals, tempo, metre and length that the text states are limits, too, unless
            the call says otherwise; "soft": they are left to the model.
        plan: who decides the form and the chords that nobody names: "style", the rules of the style that the text
            names, as `amt arrange` has them; "model": the model, which also does where there are no such rules.
        rerank: write so many candidates for the num_return_sequences pieces of a text and keep the best. Usually 2 for
            each piece, 16 at most; 1 turns it off. Without sampling, and with a streamer, processors or criteria it is
            off.
        rerank_by: "facts": a piece goes on with the best of its candidates, segment after segment: what is sane music
            (`amt.midi.sanity`), then what does most of what was asked for (`Piece.report`); "model": of whole pieces
            the one that the model's own MIDI -> text direction finds nearest to the text.
        device: "cpu", or "cuda" or "cuda:N": the model then runs there, in PyTorch; see `amt.load`.
        backend: "engine" (compiled), "plain" (PyTorch: slow, the same music), "cuda" (kernels for a model on a GPU,
            which have not run on one yet), or "auto": the engine if it is here, on a GPU PyTorch.
        dtype: of the engine's weights: "float32", or "bfloat16" and "int8", which are faster and differ a little.
        progress: called with (tokens done, tokens at most).
        logits_processor, stopping_criteria, streamer: as those of `transformers`.
        options: fields of `amt.GenerationConfig`, such as seed (0..2**64-1: the same one gives the same music; without
            it a fresh one is drawn, which the result names), max_new_tokens, temperature, top_p, guidance_scale, or
            num_beams (which turns sampling off).

    Returns:
        a `Piece` for a text, a list of them if num_return_sequences > 1; for several texts a list of these.

    Raises:
        ValueError: an option is unknown or out of range. MidiError: `prompt_midi` cannot be read.
        CheckpointError, TextEncoderError: the model or its text encoder is missing. BackendUnavailableError: the engine
            was asked for and is not there. DeviceError: there is no such GPU, or it is too old.

    Example:
        >>> amt.generate("a slow sad waltz in D minor for piano", seed=7).save("waltz.mid")
    """
    call = _sorted("generate", options | {"num_return_sequences": num_return_sequences})
    opened = load(call.model, device=call.device)
    rerank, rerank_by = call.other.pop("rerank", None), call.other.pop("rerank_by", "facts")
    check_rerank(rerank, rerank_by, opened, call.options.get("num_beams", 1))
    config = _config(opened, call)
    given = {**call.other, **call.asking}
    followed = any(given.get(name) for name in ("streamer", "logits_processor", "stopping_criteria"))
    is_sampling = config.do_sample and config.num_beams == 1 and not followed
    call.options["num_return_sequences"] = num_candidates(rerank, num_return_sequences, is_sampling=is_sampling)
    texts = [text] if isinstance(text, str) else list(text)
    request, choice = _request(opened, texts, call)
    results = write_best(opened, request, choice, num_return_sequences, rerank_by, **call.other)
    shaped = [pieces if num_return_sequences > 1 else pieces[0] for pieces in results]
    return shaped[0] if isinstance(text, str) else shaped


def stream(text: str, **options: Unpack[StreamOptions]) -> Stream:
    """Write music that fits a text, and hand out every event as soon as it is there.

    The music is that of `amt.generate` with the same seed, options and rerank=1. The model has read the text when this
    returns; it writes while events are asked for.

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
    given = cast(dict[str, Any], dict(options))
    for name in ("num_beams", "num_return_sequences"):
        if given.get(name, 1) != 1:
            raise ValueError(f"a stream is one piece, written once; leave out {name} or use amt.generate")
    call = _sorted("stream", given)
    call.options |= {"num_beams": 1, "num_return_sequences": 1}
    opened = load(call.model, device=call.device)
    request, choice = _request(opened, [text], call)
    return write_stream(opened, request, choice, **call.other)


@overload
def edit(
    midi: MidiSource | MidiData,
    text: str | None = None,
    *,
    bars: Bars | None = None,
    tracks: Tracks | None = None,
    keep: Tracks | None = None,
    **options: Unpack[EditOptions],
) -> Piece: ...
@overload
def edit(
    midi: MidiSource | MidiData,
    text: str | None = None,
    *,
    bars: Bars | None = None,
    tracks: Tracks | None = None,
    keep: Tracks | None = None,
    num_return_sequences: int,
    **options: Unpack[EditOptions],
) -> Piece | list[Piece]: ...
def edit(
    midi: MidiSource | MidiData,
    text: str | None = None,
    *,
    bars: Bars | None = None,
    tracks: Tracks | None = None,
    keep: Tracks | None = None,
    num_return_sequences: int = 1,
    **options: Any,
) -> Any:
    """Write some bars or some parts of a piece anew; everything else stays as it is, in every tick.

    A note belongs to the bar and to the instrument in which it starts. docs/editing.md says more.

    Args:
        midi: a MIDI file (path, bytes, mido.MidiFile), or music.
        text: what the new music should be like; None: whatever fits.
        bars: the first and the last one, counted from 1, as in (5, 8); a list of such pairs; one bar. None: all.
        tracks: the instruments that are written anew, or new ones, by General MIDI names or numbers (128 = drums).
            They all play. "bass" is whichever bass the piece has. None: those of the piece, and of the text.
        keep: the instruments that stay, where all others are written anew.
        num_return_sequences: how many results.
        model, device, backend, dtype, rerank, rerank_by, negative_prompt, logits_processor, stopping_criteria: as for
            `amt.generate`. The model must have learned it: its config says `edits`.
        progress: called with (windows done, all windows): a piece may be longer than what a model reads at once.
        options: limits and fields of `amt.GenerationConfig`, as for `amt.generate`. Limits hold for what is written.
            Those of the whole piece are its own: tempo, time_signature, duration, max_beats, entry_by_beats,
            max_instruments.

    Returns:
        a `Piece`, or a list of them if num_return_sequences > 1. Its `tokens` are those of the last window.

    Raises:
        ValueError: an option is unknown or out of range, the edit is about nothing, or about what the piece has not.
        MidiError: `midi` cannot be read. CheckpointError, TextEncoderError, BackendUnavailableError: as `amt.generate`.

    Example:
        >>> amt.edit("song.mid", "a busier bass line", bars=(5, 8), tracks=["bass"]).save("new.mid")
    """
    from amt.decoding.backends import choose
    from amt.generation.edit import check_can_edit, write_edit
    from amt.request.edits import check_limits, holes_of

    call = _sorted("edit", options | {"num_return_sequences": num_return_sequences})
    if text is not None:
        check_text(text)
    opened = load(call.model, device=call.device)
    check_can_edit(opened)
    data = midi if isinstance(midi, MidiData) else read_midi(midi)
    holes, programs = holes_of(data, opened.tokenizer.config, bars, tracks, keep)
    check_limits(call.limits, programs)
    limits = call.limits
    if programs and limits.required_instruments is None:
        limits = dataclasses.replace(limits, required_instruments=programs)
    rerank, rerank_by = call.other.pop("rerank", 1), call.other.pop("rerank_by", "facts")
    check_rerank(rerank, rerank_by, opened, call.options.get("num_beams", 1))
    call.options["num_return_sequences"] = max(num_return_sequences, rerank) if rerank > 1 else num_return_sequences
    config = _config(opened, call)
    choose(opened.checkpoint.model, None, **call.running)
    pieces = write_edit(
        opened,
        data,
        holes,
        config,
        limits,
        lambda request: choose(opened.checkpoint.model, request, **call.running),
        text=text,
        progress=call.other.get("progress"),
        **call.asking,
    )
    if rerank > 1:
        pieces = ranked(pieces, opened, rerank_by, num_return_sequences)
    return pieces if num_return_sequences > 1 else pieces[0]


def profile(text: str, *, num_return_sequences: int = 1, **options: Unpack[GenerateOptions]) -> Profile:
    """Write music that fits a text and measure it.

    The piece is written once as `amt.generate` does, which gives the times of the stages, and begun once more as
    `amt.stream` does, up to its first note.

    Args:
        text: what the music should be like.
        options: as those of `amt.generate`.

    Raises:
        as `amt.generate`.

    Example:
        >>> print(amt.profile("a slow sad waltz in D minor for piano", seed=7))
    """
    from amt.decoding.backends import choose

    began = perf_counter()
    opened = load(options.get("model"), device=options.get("device"))
    _ = opened.text_encoder  # opens it
    choose(opened.checkpoint.model, None, options.get("backend", "auto"), options.get("dtype", "float32"))
    options["model"] = opened
    loaded = perf_counter()
    with recorded() as seconds:
        result = generate(text, num_return_sequences=num_return_sequences, **options)
        pieces = result if isinstance(result, list) else [result]
        with stage("file"):
            for piece in pieces:
                piece.to_bytes()
    total_s = perf_counter() - loaded
    first_token_s, first_note_s = _first_times(text, opened, pieces[0], dict(options))
    return Profile(
        pieces=pieces,
        load_s=loaded - began,
        stages_s={name: seconds.pop(name) for name in STAGES} | seconds,
        total_s=total_s,
        first_token_s=first_token_s,
        first_note_s=first_note_s,
        peak_memory_bytes=peak_memory_bytes(),
    )


def _first_times(
    text: str, opened: OpenedModel, piece: Piece, options: dict[str, Any]
) -> tuple[float | None, float | None]:
    """Seconds up to the first new token and note of the piece when it is streamed."""
    if options.get("num_beams", opened.checkpoint.generation_config.num_beams) > 1:
        return None, None
    streamed = {name: value for name, value in options.items() if name not in NOT_STREAMED}
    num_given = len(piece.tokens) - len(piece.token_log_probs)
    first_token_s = None
    began = perf_counter()
    for index, event in enumerate(stream(text, **cast(Any, streamed | {"seed": piece.seed}))):
        if index < num_given:
            continue
        first_token_s = first_token_s or perf_counter() - began
        if event.kind == "note_on":
            return first_token_s, perf_counter() - began
    return first_token_s, None


@dataclasses.dataclass
class _Call:
    """The arguments of a call, by who reads them."""

    model: ModelSource
    device: str | None
    limits: Limits
    options: dict[str, Any]  # of GenerationConfig
    asking: dict[str, Any]  # of `ask`
    running: dict[str, Any]  # of `choose`
    other: dict[str, Any]


_LIMITS = tuple(field.name for field in dataclasses.fields(Limits))
_OPTIONS = tuple(field.name for field in dataclasses.fields(GenerationConfig))
_ASKING = ("prompt_midi", "negative_prompt", "obey", "plan", "logits_processor", "stopping_criteria")
_NOT_OF_EDITS = {"prompt_midi", "obey", "plan"}  # an edit says by bars and tracks what it is about
_RUNNING = ("backend", "dtype")
_OTHER = {
    "generate": ("rerank", "rerank_by", "progress", "streamer"),
    "stream": (),
    "edit": ("rerank", "rerank_by", "progress"),
}


def _sorted(function: str, arguments: dict[str, Any]) -> _Call:
    """The arguments by who reads them; ValueError for one that nobody does."""
    known = {*_LIMITS, *_OPTIONS, *_ASKING, *_RUNNING, *_OTHER[function], "model", "device"}
    if function == "edit":
        known -= _NOT_OF_EDITS
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ValueError(
            f"{function} does not know the option {', '.join(unknown)}; it knows {', '.join(sorted(known))}"
        )

    def those(names: Sequence[str]) -> dict[str, Any]:
        return {name: arguments[name] for name in names if name in arguments}

    return _Call(
        arguments.get("model"),
        arguments.get("device"),
        Limits(**those(_LIMITS)),
        those(_OPTIONS),
        {"named": frozenset((*_LIMITS, "max_new_tokens")) & set(arguments), **those(_ASKING)},
        those(_RUNNING),
        those(_OTHER[function]),
    )


def _request(opened: OpenedModel, texts: Sequence[str], call: _Call) -> tuple[Request, Choice]:
    """What is asked for, and what will decode it."""
    from amt.decoding.backends import choose

    config = _config(opened, call)
    choose(opened.checkpoint.model, None, **call.running)  # says that it is not here before the text is read
    request = ask(opened, texts, config, call.limits, **call.asking)
    return request, choose(opened.checkpoint.model, request, **call.running)


def _config(opened: OpenedModel, call: _Call) -> GenerationConfig:
    """The options of a call, with the model's own for the rest."""
    options = call.options
    if options.get("num_beams", 1) != 1:
        options = {"do_sample": False} | options
    return GenerationConfig.from_dict(opened.checkpoint.generation_config.to_dict() | options)


def info() -> dict[str, Any]:
    """What is installed and what runs here: versions, backends, models, text encoder."""
    import torch

    from amt.decoding.backends import BACKENDS
    from amt.ops import cuda, explain_attention
    from amt.ops import native as ops
    from amt.text.encoder import TextEncoderSpec, find_encoder_files

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
        "gpu": explain_device(),
        "gpu_kernels": cuda.explain(),
        "midi": native.explain(),
        "decoding": ops.explain() if ops.is_available() else f"plain PyTorch, slow: {ops.explain()}",
        "backends": [backend.name for backend in BACKENDS],
        "attention": explain_attention(),
        "models": list(packaged_models()),
        "text_encoder": {"id": spec.id, "files": encoder},
    }
