"""A piece that is being written, and the last bars of it as the beginning of a piece of its own.

A model reads so many tokens. What is longer is written in windows: the tokens and the grammar are those of the whole
piece, and only what the model reads of it is cut. So nothing is cut or said twice where a window ends.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from fractions import Fraction

from amt.midi.config import TokenizerConfig
from amt.midi.plan import MAX_PLAN_HALF_BARS, SAME_SECTION, Plan, Row
from amt.midi.vocabulary import BOS_ID, DRUMS, Event, time_signature, vocabulary_of

_SECONDS_IN_BAR = 2  # of the preset "performance", which has no bars
_RANKS = {"note_off": 0, "pedal_off": 1, "pedal_on": 2, "note_on": 3}  # of the events of a program in a step


@dataclasses.dataclass(frozen=True)
class _Sound:
    """An event of a program at a step; `velocity` is a note_on's bin."""

    step: int
    kind: str
    program: int
    value: int
    velocity: int = 0

    @property
    def key(self) -> tuple[int, int, int, int]:
        return self.step, self.program, _RANKS[self.kind], self.value


@dataclasses.dataclass(frozen=True)
class _Change:
    """A tempo or a time signature at a step."""

    step: int
    kind: str
    value: int

    @property
    def key(self) -> tuple[int, int, int, int]:
        return self.step, -2 if self.kind == "time_signature" else -1, 0, 0


@dataclasses.dataclass
class _Place:
    """What is in force at a place in the tokens."""

    step: int = 0
    program: int = -1  # none yet
    tempo: int = 0
    metre: int = 0
    metre_start: int = 0
    bar_steps: int = 1
    bars_before: int = 0  # that had begun when the time signature came
    elapsed: int = 0  # microseconds times steps_per_beat
    velocities: dict[int, int] = dataclasses.field(default_factory=dict)
    sounding: dict[tuple[int, int], int] = dataclasses.field(default_factory=dict)  # (program, pitch): velocity bin
    pedals: set[int] = dataclasses.field(default_factory=set)

    def copy(self) -> _Place:
        other = copy.copy(self)
        other.velocities, other.sounding = dict(self.velocities), dict(self.sounding)
        other.pedals = set(self.pedals)
        return other

    @property
    def bars_begun(self) -> int:
        return self.bars_before + -((self.metre_start - self.step) // self.bar_steps)


# Where a window may begin: the first token, the step, and what is in force at that token.
_Start = tuple[int, int, _Place]


@dataclasses.dataclass(frozen=True)
class Window:
    """The last bars of a piece that is being written.

    Attributes:
        ids: a beginning of its own, bos and header first; what sounds when they begin, begins there.
        first_bar: the number of bars before them.
    """

    ids: tuple[int, ...]
    first_bar: int


class Written:
    """The tokens of a piece so far. Two seconds count as a bar in the preset "performance".

    Args:
        config: of the tokenizer.
        ids: canonical, bos first; maybe not yet closed.
    """

    def __init__(self, config: TokenizerConfig, ids: Iterable[int] = ()):
        self.config = config
        self.ids: list[int] = []
        self._vocabulary = vocabulary_of(config)
        self._is_score = config.preset == "score"
        self._us_scale = config.steps_per_beat if self._is_score else 1
        self._now = _Place(bar_steps=4 * config.steps_per_beat)
        if not self._is_score:
            self._now.program = 0
            self._now.bar_steps = max(1, _SECONDS_IN_BAR * 1000 // config.step_ms)
        self._bars: list[_Start] = []
        self._plan: list[Row] = []
        self._section, self._half_bars = SAME_SECTION, 1  # of the next chord of the plan
        self.extend(ids)

    def extend(self, ids: Iterable[int]) -> None:
        """Go on by these tokens."""
        for token_id in ids:
            event = self._vocabulary.events[token_id]
            if event.kind != "time_shift" and self.ids and self._vocabulary.events[self.ids[-1]].kind == "time_shift":
                self._begin_bar()
            self.ids.append(token_id)
            self._take(event)

    @property
    def num_bars(self) -> int:
        """How many bars have begun, but one that has lasted for no time yet."""
        return self._now.bars_begun

    @property
    def step(self) -> int:
        """The place in the music."""
        return self._now.step

    @property
    def elapsed_us(self) -> Fraction:
        """Microseconds up to there."""
        return Fraction(self._now.elapsed, self._us_scale)

    @property
    def step_us(self) -> Fraction:
        """Microseconds of a step, at the tempo in force."""
        return Fraction(self._scaled_step_us(), self._us_scale)

    @property
    def bar_steps(self) -> int:
        """Steps of a bar, of the time signature in force."""
        return self._now.bar_steps

    def in_force(self) -> list[int]:
        """The tokens of all that is in force: metre, tempo, velocities, program."""
        token_id, now = self._vocabulary.token_id, self._now
        ids = self._header(now.metre, now.tempo)[1:]
        for program, velocity in now.velocities.items():
            holder = [token_id("program", program)] if self.config.velocity_holder(1) == 1 else []
            ids += [*holder, token_id("velocity", velocity)]
        return ids + ([token_id("program", now.program)] if self._is_score and now.program >= 0 else [])

    def come_again(self, start: int, source: int, length: int) -> tuple[int, list[int]] | None:
        """What to write instead of what stands from a step on, so that earlier music comes again there.

        Notes that sound at `start` end there, and those of the music that comes again at its end.

        Args:
            start: the step, which is reached.
            source, length: the steps that come again.

        Returns:
            how many of the tokens stay, and those that follow; None in the preset "performance" and behind a change of
            metre.
        """
        if not self._is_score or self._now.metre_start:
            return None  # a section's bars are counted in the metre that the piece begins with
        before = Written(self.config)
        for token_id in self.ids:
            kind, value = self._vocabulary.events[token_id]
            if kind == "time_shift" and before.step + value >= start:
                break
            before.extend([token_id])
        now = before._now
        kept: list[_Sound] = []
        for program, pitch in now.sounding:
            if program != DRUMS:
                kept.append(_Sound(start, "note_off", program, pitch))
        kept += [_Sound(start, "pedal_off", program, 0) for program in now.pedals]
        sounding: set[tuple[str, int, int]] = set()
        way = start - source
        for event in before._events(0, _Place())[0]:
            if isinstance(event, _Change) or not source <= event.step <= source + length:
                continue
            is_begin = event.kind in ("note_on", "pedal_on")
            what = (event.kind.split("_")[0], event.program, event.value)
            if is_begin and event.step < source + length:
                if event.program != DRUMS:
                    sounding.add(what)
            elif not is_begin and what in sounding:
                sounding.discard(what)
            else:
                continue
            kept.append(dataclasses.replace(event, step=event.step + way))
        kept += [_Sound(start + length, f"{kind}_off", program, value) for kind, program, value in sounding]
        kept.sort(key=lambda event: event.key)
        said = _Saying(self.config, now.step, now.program, now.velocities)
        for event in kept:
            said.event(event)
        return len(before.ids), said.ids

    def bars_at(self, us: int) -> int:
        """How many bars have begun at so many microseconds, which are not before now, with what is in force now."""
        later = self._now.copy()
        later.step += max(0, round((us - self.elapsed_us) / self.step_us))
        return max(1, later.bars_begun)

    def last_bars(self, max_len: int) -> Window:
        """As many of the last bars as fit; the end of the last one if that alone does not fit.

        Args:
            max_len: tokens, at least 8.
        """
        if len(self.ids) <= max_len:
            return Window(tuple(self.ids), 0)
        found = self._earliest(self._bars, max_len) or self._earliest(self._steps(max_len), max_len)
        if found is None:  # one step has more tokens
            return Window(tuple(self._header(self._now.metre, self._now.tempo)), max(0, self.num_bars - 1))
        (_, line, place), ids = found
        return Window(tuple(ids), place.bars_before + (line - place.metre_start) // place.bar_steps)

    def _earliest(self, starts: Sequence[_Start], max_len: int) -> tuple[_Start, list[int]] | None:
        """The first of these places from which the tokens fit, and the tokens."""
        near = [start for start in starts if len(self.ids) - start[0] <= max_len and start[1] < self.step]
        low, high = 0, len(near)
        while low < high:
            middle = (low + high) // 2
            if len(self._from(*near[middle])) <= max_len:
                high = middle
            else:
                low = middle + 1
        return (near[low], self._from(*near[low])) if low < len(near) else None

    def _steps(self, max_len: int) -> list[_Start]:
        """Every step with events among the last tokens."""
        again = Written(self.config)
        starts = []
        for token_id in self.ids:
            before, num_taken = again._now.copy(), len(again.ids)
            again.extend([token_id])
            is_first = num_taken and self._vocabulary.events[again.ids[num_taken - 1]].kind == "time_shift"
            is_start = is_first and self._vocabulary.events[token_id].kind != "time_shift"
            if is_start and len(self.ids) - num_taken <= max_len:
                starts.append((num_taken, before.step, before))
        return starts

    def _scaled_step_us(self) -> int:
        if not self._is_score:
            return 1000 * self.config.step_ms
        return self._vocabulary.tempo_us_per_beat(self._now.tempo)

    def _begin_bar(self) -> None:
        """Keep what is in force at the first event behind a bar line, once for each bar."""
        now = self._now
        line = now.step - (now.step - now.metre_start) % now.bar_steps
        if not self._bars or self._bars[-1][1] < line:
            self._bars.append((len(self.ids), line, now.copy()))

    def _take(self, event: Event) -> None:
        kind, value = event
        now = self._now
        if kind == "time_shift":
            now.step += value
            now.elapsed += value * self._scaled_step_us()
        elif kind == "program":
            now.program = value
        elif kind == "velocity":
            now.velocities[self.config.velocity_holder(now.program)] = value
        elif kind == "tempo":
            now.tempo = value
        elif kind == "time_signature":
            now.bars_before, now.metre_start, now.metre = now.bars_begun, now.step, value
            numerator, denominator = time_signature(value)
            now.bar_steps = max(1, 4 * self.config.steps_per_beat * numerator // denominator)
        elif kind == "section":
            self._section = value
        elif kind == "bars":
            self._half_bars = value
        elif kind == "chord":
            self._plan.append((self._section, value, self._half_bars))
            self._section = SAME_SECTION
        elif kind == "note_on":
            now.sounding[now.program, value] = now.velocities.get(self.config.velocity_holder(now.program), 0)
        elif kind == "note_off":
            now.sounding.pop((now.program, value), None)
        elif kind == "pedal_on":
            now.pedals.add(now.program)
        elif kind == "pedal_off":
            now.pedals.discard(now.program)

    def _header(self, metre: int, tempo: int) -> list[int]:
        if not self._is_score:
            return [BOS_ID]
        token_id = self._vocabulary.token_id
        return [BOS_ID, token_id("time_signature", metre), token_id("tempo", tempo)]

    def _from(self, first: int, line: int, place: _Place) -> list[int]:
        """The tokens from number `first` on, as a beginning at a step, mostly the bar line before them."""
        events, dangling, step = self._events(first, place)
        metre, tempo = place.metre, place.tempo
        ended = set()
        kept: list[_Sound | _Change] = []
        for event in events:
            if event.step > line:
                kept.append(event)
            elif isinstance(event, _Change):
                metre, tempo = (event.value, tempo) if event.kind == "time_signature" else (metre, event.value)
            elif event.kind in ("note_off", "pedal_off"):
                ended.add((event.kind, event.program, event.value))
            else:
                kept.append(event)
        for (program, pitch), velocity in place.sounding.items():
            if program != DRUMS and ("note_off", program, pitch) not in ended:
                kept.append(_Sound(line, "note_on", program, pitch, velocity))
        kept += [_Sound(line, "pedal_on", p, 0) for p in place.pedals if ("pedal_off", p, 0) not in ended]
        kept.sort(key=lambda event: event.key)
        said = _Saying(self.config, line)
        for event in kept:
            said.event(event)
        said.go_to(step)
        for each in dangling:
            said.dangling(each, self._now.program)
        said.name(self._now.program)  # what begins anew at the last step may have come behind it
        plan = []
        if place.metre_start == 0 and metre == place.metre and 2 * line % place.bar_steps == 0:
            plan = self._plan_from(2 * line // place.bar_steps)
        return self._header(metre, tempo) + plan + said.ids

    def _plan_from(self, half_bar: int) -> list[int]:
        """The tokens of the rest of the plan, as `amt.midi.segments.cut` keeps it."""
        plan = Plan.from_rows(self._plan)
        rest = None if plan is None else plan.part(half_bar, MAX_PLAN_HALF_BARS)
        ids, in_force = [], 0
        for section, chord, half_bars in () if rest is None else rest.rows:
            if section != SAME_SECTION:
                ids.append(self._vocabulary.token_id("section", section))
            if half_bars != in_force:
                ids.append(self._vocabulary.token_id("bars", half_bars))
                in_force = half_bars
            ids.append(self._vocabulary.token_id("chord", chord))
        return ids

    def _events(self, first: int, place: _Place) -> tuple[list[_Sound | _Change], list[Event], int]:
        """What the tokens from number `first` on say; then those behind the last event, and its step."""
        step, last_step, program, velocities = place.step, place.step, place.program, dict(place.velocities)
        events: list[_Sound | _Change] = []
        dangling: list[Event] = []
        for token_id in self.ids[first:]:
            event = self._vocabulary.events[token_id]
            kind, value = event
            dangling.append(event)
            if kind == "time_shift":
                step += value
            elif kind == "program":
                program = value
            elif kind == "velocity":
                velocities[self.config.velocity_holder(program)] = value
            else:
                dangling, last_step = [], step
            if kind in ("time_signature", "tempo"):
                events.append(_Change(step, kind, value))
            elif kind in _RANKS:
                velocity = velocities.get(self.config.velocity_holder(program), 0) if kind == "note_on" else 0
                events.append(_Sound(step, kind, program, value, velocity))
        return events, dangling, last_step


class _Saying:
    """Says events in canonical tokens, from a step on, with what is in force there."""

    def __init__(
        self, config: TokenizerConfig, step: int, program: int | None = None, velocities: dict[int, int] | None = None
    ):
        self.ids: list[int] = []
        self._config, self._step = config, step
        self._token_id = vocabulary_of(config).token_id
        self._program = (-1 if config.preset == "score" else 0) if program is None else program
        self._velocities = dict(velocities or {})

    def event(self, event: _Sound | _Change) -> None:
        self.go_to(event.step)
        if isinstance(event, _Sound):
            self.name(event.program)
            holder = self._config.velocity_holder(event.program)
            if event.kind == "note_on" and self._velocities.get(holder) != event.velocity:
                self._velocities[holder] = event.velocity
                self.ids.append(self._token_id("velocity", event.velocity))
        self.ids.append(self._token_id(event.kind, event.value))

    def go_to(self, step: int) -> None:
        while self._step < step:
            steps = min(step - self._step, self._config.max_time_shift)
            self.ids.append(self._token_id("time_shift", steps))
            self._step += steps

    def dangling(self, event: Event, program: int) -> None:
        """A token that waits for an event; `program` is the one in force behind all of them."""
        if event.kind in ("program", "velocity"):
            self.name(program)
        if event.kind != "program":
            self.ids.append(self._token_id(event.kind, event.value))

    def name(self, program: int) -> None:
        if self._program != program >= 0:
            self._program = program
            self.ids.append(self._token_id("program", program))
