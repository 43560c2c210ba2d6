"""Writing music: from words and limits to a request, and from what was decoded to pieces."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from amt.config import check_choice
from amt.generation.keys import asked_key, facts_at_home, moved, semitones_above_home
from amt.generation.piece import Piece
from amt.generation.stream import Stream
from amt.midi.canonical import sure_key, to_canonical
from amt.midi.config import TokenizerConfig
from amt.midi.continued import Continued
from amt.midi.grammar import Grammar
from amt.midi.limits import Constraints
from amt.midi.plan import Plan
from amt.midi.reader import MidiSource
from amt.midi.returns import Return, returns_of
from amt.midi.vocabulary import vocabulary_of
from amt.models.opened import OpenedModel
from amt.request.attributes import attributes_of, facts_of_request
from amt.request.limits import LENGTHS, Limits, with_said_plan, with_usual
from amt.request.obey import OBEY, Obey, Obeyed, obeyed, with_usual_players
from amt.request.options import GenerationConfig
from amt.request.plans import PLAN_BY, PlanBy
from amt.request.reading import Reading, check_text, read
from amt.request.target import Target, target_of
from amt.stages import stage

if TYPE_CHECKING:
    from amt.decoding.backends import Choice
    from amt.generation.long import Reader as WindowReader
    from amt.generation.usual_plan import UsualPlan
    from amt.request.request import Prompt, Request, Text


def ask(
    opened: OpenedModel,
    texts: Sequence[str],
    options: GenerationConfig,
    limits: Limits,
    *,
    named: Collection[str] | None = None,
    obey: Obey = "said",
    plan: PlanBy = "style",
    prompt_midi: MidiSource | None = None,
    negative_prompt: str | None = None,
    logits_processor: Sequence[Any] | None = None,
    stopping_criteria: Sequence[Any] | None = None,
) -> Request:
    """The request of a call: texts are read, limits completed by them, everything is checked.

    `named` are the limits and options that the call names: the other limits have their usual values, and so has the
    length of a piece. None: all as they are.

    Raises:
        ValueError: something cannot be meant so. MidiError: `prompt_midi` cannot be read.
    """
    from amt.decoding.checks import make_prompt, seed_of
    from amt.request.request import Request

    check_choice("obey", obey, OBEY)
    check_choice("plan", plan, PLAN_BY)
    for text in texts:
        check_text(text)
    config = opened.tokenizer.config
    warnings: list[str] = []
    readings = [read(text) for text in texts]
    # What cannot be kept is an error before a file is read.
    wishes = [obeyed(limits, each, named, config, obey) for each in readings]
    of_each = [each.limits for each in wishes]
    seeds = [seed_of(options, None) for _ in texts]
    if named is not None and obey == "said" and prompt_midi is None:
        of_each = [
            with_said_plan(each, reading, named, config) for each, reading in zip(of_each, readings, strict=True)
        ]
    continued: Continued | None = None
    semitones = [0] * len(texts)
    if prompt_midi is not None:
        continued, higher = _to_continue(prompt_midi, opened, readings[0], of_each[0])
        semitones = [higher] * len(texts)
        _check_prefix(opened, continued.ids, higher, limits)
        wishes = [_as_far_as_kept(each, limits, continued.ids, config, higher) for each in wishes]
        of_each = [each.limits for each in wishes]
    plans: list[UsualPlan | None] = [None] * len(texts)
    if continued is None and named is not None and obey == "said" and plan == "style" and config.has_plans_and_edits:
        room = opened.checkpoint.model.config.max_sequence_length - 1
        if _names_tokens(named, options):
            room = min(options.max_new_tokens, room)
        plans = [_usual_plan(*of_text, config, room) for of_text in zip(texts, readings, of_each, seeds, strict=True)]
    if continued is None and config.canonical_key:
        keys = [
            asked_key(reading, each) if usual is None else usual.key
            for reading, each, usual in zip(readings, of_each, plans, strict=True)
        ]
        semitones = [semitones_above_home(*of_text) for of_text in zip(keys, texts, seeds, strict=True)]
    prefix = () if continued is None else continued.ids
    constraints, targets, held_limits = [], [], []
    for text, each, reading, usual, higher, seed in zip(texts, of_each, readings, plans, semitones, seeds, strict=True):
        held_limits.append(each if usual is None else usual.limited(each))
        if continued is None and named is not None and obey == "said":
            held_limits[-1] = with_usual_players(held_limits[-1], reading, named, config, _number_of(text, seed))
        held = _with_usual(held_limits[-1], named, prefix, opened, higher).constraints(config)
        held = moved(held if usual is None else usual.planned(held), -higher)
        target = Target(each.bars, each.duration)
        if named is not None:
            target = _target(each, reading, seed, config, continued, held.plan_half_bars)
        held = dataclasses.replace(held, **target.window)
        if continued is not None:
            held = continued.fitted(held)
            _check_length(continued, held, config)
        constraints.append(held)
        targets.append(target)
    grammars: dict[Constraints, Grammar] = {each: Grammar(config, each) for each in constraints}
    for grammar in grammars.values():
        _check_room(grammar, min(options.max_new_tokens, opened.checkpoint.model.config.max_sequence_length - 1))
    with stage("text encoder"):
        states = opened.text_encoder.encode_each(texts)
    warnings += opened.text_encoder.truncation_warnings(texts)
    prompts = [
        make_prompt(
            opened.checkpoint.model.config,
            options,
            index,
            (states[index], None),
            prefix=prefix,
            seed=seeds[index],
            grammar=grammars[constraints[index]],
            attributes=_attributes(opened, readings[index], held_limits[index]),
            in_windows=True,
            most_tokens=None if _names_tokens(named, options) else targets[index].most_tokens,
            semitones=semitones[index],
            num_bars=constraints[index].max_bars or 0,
            returns=() if named is None or plan == "model" else _returns(constraints[index]),
            continued=continued,
            text=text,
            reading=readings[index],
            limits=of_each[index],
            said=wishes[index].said,
            warnings=(*readings[index].warnings, *wishes[index].warnings),
        )
        for index, text in enumerate(texts)
    ]
    return Request(
        tuple(prompts),
        options,
        _negative(opened, options, negative_prompt),
        tuple(logits_processor or ()),
        tuple(stopping_criteria or ()),
        warnings=tuple(warnings),
    )


def _usual_plan(
    text: str, reading: Reading, limits: Limits, seed: int | None, config: TokenizerConfig, room: int
) -> UsualPlan | None:
    """The plan that is usual in the style of a text, in the form that is asked for; None where chords are."""
    from amt.generation.usual_plan import usual_plan

    if limits.chords is not None or limits.max_beats is not None:
        return None
    target = _target(limits, reading, seed, config, None, None)
    return usual_plan(reading, limits, target, _number_of(text, seed), config, room)


def _number_of(text: str, seed: int | None) -> int:
    """What decides among several things that are usual."""
    return zlib.crc32(text.encode()) if seed is None else seed


def _returns(constraints: Constraints) -> tuple[Return, ...]:
    """What comes again in a plan whose chords are known."""
    sections, chords = constraints.plan_sections, constraints.plan_chords
    plan = None if sections is None or chords is None else Plan.from_half_bars(sections, chords)
    return () if plan is None else returns_of(plan)


def _names_tokens(named: Collection[str] | None, options: GenerationConfig) -> bool:
    """Whether the call, or the settings of the model, say how many tokens there may be."""
    default = GenerationConfig().max_new_tokens
    return named is None or "max_new_tokens" in named or options.max_new_tokens != default


def _target(
    limits: Limits,
    reading: Reading,
    seed: int | None,
    config: TokenizerConfig,
    continued: Continued | None,
    plan_half_bars: int | None,
) -> Target:
    """How long a piece shall be; where the text leaves a choice, or says nothing, the seed draws it."""
    from amt.ops.reference.philox import uniform

    part = 0.5 if seed is None else uniform(seed, 0, 0)  # position 0 is that of bos, for which nothing is drawn
    before_s = 0.0 if continued is None else continued.seconds
    return target_of(
        limits,
        reading,
        part,
        is_score=config.preset == "score",
        before_s=before_s,
        planned_bars=None if plan_half_bars is None else (plan_half_bars + 1) // 2,
    )


def _reader(opened: OpenedModel) -> WindowReader:
    """What reads the windows of a piece."""
    from amt.generation.long import Reader as WindowReader

    config = opened.checkpoint.model.config

    def told(prompt: Prompt, num_bars: int) -> tuple[int, ...]:
        return _attributes(opened, prompt.reading, dataclasses.replace(prompt.limits, bars=num_bars))

    reads_bars = "bars_left" in config.state_features or "bars" in config.attributes
    return WindowReader(opened.tokenizer.config, config.max_sequence_length, told if reads_bars else None)


def _check_room(grammar: Grammar, room: int) -> None:
    """Raise ValueError if a plan that is given leaves the music no token."""
    num_half_bars = grammar.constraints.plan_half_bars
    needed = grammar.start().tokens_to_close
    if num_half_bars is not None and needed >= room:
        raise ValueError(
            f"the plan of {num_half_bars / 2:g} bars takes {needed} of the {room} tokens that there are; ask for fewer"
            " bars, or for chords that change less often"
        )


def ask_edit(
    opened: OpenedModel,
    text: str | None,
    options: GenerationConfig,
    limits: Limits,
    *,
    prefixes: Sequence[Sequence[int]],
    semitones: int = 0,
    instruments: Sequence[int] | None = None,
    named: Collection[str] | None = None,
    negative_prompt: str | None = None,
    logits_processor: Sequence[Any] | None = None,
    stopping_criteria: Sequence[Any] | None = None,
) -> Request:
    """The request of one window of an edit: a prompt for each prefix, all with the same text, seed and limits.

    Args:
        prefixes: edits up to their first `fill`.
        semitones: by how much the piece is higher than what the model reads.
        instruments: which usually play; None: any.
    """
    from amt.decoding.checks import make_prompt, seed_of
    from amt.request.request import Request
    from amt.text.encoder import UNCONDITIONAL

    config = opened.tokenizer.config
    reading = Reading() if text is None else read(text)
    held = limits
    if named is not None:
        named = {*named, "max_rest_beats", "entry_by_beats", "max_instruments", "max_top_run"}  # of whole pieces
        held = with_usual(limits, named, config, opened.checkpoint.model.config.longest_notes)
        if instruments is not None:
            held = dataclasses.replace(
                held, instruments=tuple(instruments), required_instruments=limits.required_instruments or ()
            )
    grammar = Grammar(config, moved(held.constraints(config), -semitones))
    words = UNCONDITIONAL if text is None else text
    seed = seed_of(options, None)
    with stage("text encoder"):
        (states,) = opened.text_encoder.encode_each([words])
    prompts = [
        make_prompt(
            opened.checkpoint.model.config,
            options,
            index,
            (states, None),
            prefix=prefix,
            seed=seed,
            first_sequence=index,
            grammar=grammar,
            attributes=_attributes(opened, reading, limits),
            semitones=semitones,
            text=words,
            reading=reading,
            limits=limits,
        )
        for index, prefix in enumerate(prefixes)
    ]
    return Request(
        tuple(prompts),
        options,
        _negative(opened, options, negative_prompt),
        tuple(logits_processor or ()),
        tuple(stopping_criteria or ()),
        warnings=tuple(opened.text_encoder.truncation_warnings([words])),
    )


def _attributes(opened: OpenedModel, reading: Reading, limits: Limits) -> tuple[int, ...]:
    """What a model that reads attributes is told of a request."""
    kinds = opened.checkpoint.model.config.attributes
    facts = facts_of_request(reading, limits)
    if opened.tokenizer.config.canonical_key:
        facts = facts_at_home(facts, reading)
    known = attributes_of(facts, kinds)
    return tuple(number for kind in kinds for number in known.get(kind, ()))


def write(
    opened: OpenedModel,
    request: Request,
    choice: Choice,
    *,
    streamer: Any = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[list[Piece]]:
    """For each text its pieces; in beam search the best first."""
    from amt.generation.long import decode_long

    results = decode_long(choice, request, _reader(opened), streamer=streamer, progress=progress)
    return [
        [_piece(opened, request, choice, prompt, found.token_ids, found.log_probs) for found in of_prompt]
        for prompt, of_prompt in zip(request.prompts, results, strict=True)
    ]


def write_best_segments(
    opened: OpenedModel,
    request: Request,
    choice: Choice,
    num_pieces: int,
    badness: Callable[[Piece, float], tuple[float, float]],
    *,
    progress: Callable[[int, int], object] | None = None,
) -> list[list[Piece]]:
    """For each text its pieces; each goes on with the best of several candidates, segment after segment.

    Args:
        request: whose `num_return_sequences` are candidates, the same number for each piece.
        badness: of a piece so far and of the quarter note at which its last segment began; see `decode_best`.
    """
    from amt.generation.long import decode_best

    config = opened.tokenizer.config
    steps_per_beat = config.steps_per_beat if config.preset == "score" else 500 // config.step_ms  # files are at 120

    def judge(prompt: Prompt, token_ids: tuple[int, ...], since_step: int) -> tuple[float, float]:
        return badness(_piece(opened, request, choice, prompt, token_ids, ()), since_step / steps_per_beat)

    results = decode_best(choice, request, _reader(opened), num_pieces, judge, progress=progress)
    return [
        [_piece(opened, request, choice, prompt, found.token_ids, found.log_probs) for found in of_prompt]
        for prompt, of_prompt in zip(request.prompts, results, strict=True)
    ]


def write_stream(opened: OpenedModel, request: Request, choice: Choice) -> Stream:
    """The only piece of a request, while it is being written."""
    from amt.generation.long import stream_long

    (prompt,) = request.prompts

    def make_piece(token_ids: Iterable[int], log_probs: Iterable[float]) -> Piece:
        return _piece(opened, request, choice, prompt, token_ids, log_probs)

    return Stream(prompt, stream_long(choice, request, _reader(opened)), opened.tokenizer.config, make_piece)


def _piece(
    opened: OpenedModel,
    request: Request,
    choice: Choice,
    prompt: Prompt,
    token_ids: Iterable[int],
    log_probs: Iterable[float],
) -> Piece:
    with stage("file"):
        piece = Piece.of_prompt(tuple(token_ids), opened.tokenizer.config, prompt)
    warnings = [*prompt.warnings, *request.warnings]
    if not len(piece.notes):
        warnings.append("the model wrote no notes; try another seed or other words")
    return dataclasses.replace(
        piece,
        warnings=warnings,
        token_log_probs=tuple(log_probs),
        backend=choice.label,
        backend_reason=choice.reason,
    )


def _negative(opened: OpenedModel, options: GenerationConfig, negative_prompt: str | None) -> Text | None:
    """What guidance leads away from; None without it."""
    from amt.text.encoder import UNCONDITIONAL

    if options.guidance_scale == 1.0:
        if negative_prompt is not None:
            raise ValueError("a negative_prompt needs guidance: give guidance_scale, such as 2, too")
        return None
    if negative_prompt is not None:
        try:
            check_text(negative_prompt)
        except ValueError as error:
            raise ValueError(f"negative_prompt: {error}") from error
    with stage("text encoder"):
        return opened.text_encoder.encode_each([negative_prompt or UNCONDITIONAL])[0], None


def _to_continue(source: MidiSource, opened: OpenedModel, reading: Reading, limits: Limits) -> tuple[Continued, int]:
    """The music to continue, and by how much it is higher than a model of the canonical key reads it."""
    from amt.midi.reader import read_midi

    data = read_midi(source)
    if not opened.tokenizer.config.canonical_key:
        return Continued(data, data, opened.tokenizer), 0
    at_home, semitones, _ = to_canonical(data, sure_key(data.notes) or asked_key(reading, limits))
    return Continued(data, at_home, opened.tokenizer), -semitones


def _check_prefix(opened: OpenedModel, prefix: Sequence[int], higher: int, limits: Limits) -> None:
    """Raise ValueError with the first limit that the music to continue does not keep."""
    config = opened.tokenizer.config
    for name, value in vars(limits).items():
        if value is None or name in LENGTHS:
            continue
        if not _keeps(prefix, Limits(**{name: value}), config, higher):
            raise ValueError(
                f"the MIDI file to continue does not keep to {name} {value!r}; leave that out or give another file"
            )


def _as_far_as_kept(wish: Obeyed, call: Limits, prefix: Sequence[int], config: TokenizerConfig, higher: int) -> Obeyed:
    """Without what the words say that the music to continue does not keep: it comes first, and the report shows it."""
    limits, said = wish.limits, set(wish.said)
    for name in sorted(wish.said):
        if name not in LENGTHS and not _keeps(prefix, Limits(**{name: getattr(limits, name)}), config, higher):
            limits = dataclasses.replace(limits, **{name: getattr(call, name)})
            said.discard(name)
    index = None if config.preset != "score" else limits.constraints(config).tempo_index
    if index is not None:  # the music to continue keeps the tempo that it has
        limits = dataclasses.replace(limits, tempo=60e6 / vocabulary_of(config).tempo_us_per_beat(index))
    return Obeyed(limits, frozenset(said), wish.warnings)


def _check_length(continued: Continued, constraints: Constraints, config: TokenizerConfig) -> None:
    """Raise ValueError if the music to continue leaves no room to its end."""
    lengths = {name: getattr(constraints, name) for name in ("max_steps", "max_us", "max_bars")}
    if not _may_begin(continued.ids, Constraints(**lengths), config):
        raise ValueError(
            f"the MIDI file to continue is {continued.seconds:.4g} seconds long, and the whole shall end by then;"
            " ask for more, or give a shorter file"
        )


def _keeps(prefix: Sequence[int], limits: Limits, config: TokenizerConfig, higher: int = 0) -> bool:
    return _may_begin(prefix, moved(limits.constraints(config), -higher), config)


def _may_begin(prefix: Sequence[int], constraints: Constraints, config: TokenizerConfig) -> bool:
    state = Grammar(config, constraints).start()
    try:
        for token in prefix:
            state.advance(token)
    except ValueError:
        return False
    return True


def _with_usual(
    limits: Limits, named: Collection[str] | None, prefix: Sequence[int], opened: OpenedModel, higher: int
) -> Limits:
    """The limits with the usual ones that a call does not name, unless the music to continue breaks them.

    If it has longer notes than the model learned from, those that are usual for any model are tried, too.
    """
    if named is None:
        return limits
    config, own = opened.tokenizer.config, opened.checkpoint.model.config.longest_notes
    usual = with_usual(limits, named, config, own)
    if not prefix:
        return usual

    def is_kept(name: str) -> bool:
        return _keeps(prefix, Limits(**{name: getattr(usual, name)}), config, higher)

    if own and not is_kept("max_note_beats"):
        usual = with_usual(limits, named, config)
    names = (
        "max_note_beats",
        "max_instruments",
        "max_polyphony",
        "max_voices",
        "max_top_run",
        "min_pitch",
        "max_pitch",
    )
    broken = [name for name in names if not is_kept(name)]
    return dataclasses.replace(usual, **{name: getattr(limits, name) for name in broken})
