"""What a server does for a request, in a thread of its own: write, edit, describe, search, read, play."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from amt import api
from amt.config import shown
from amt.decoding.backends import Backend
from amt.decoding.backends.engine import packed_engine
from amt.decoding.backends.shared import SharedBatch, Turn
from amt.errors import MidiError
from amt.generation.candidates import num_candidates
from amt.midi.data import MidiData
from amt.midi.programs import DRUMS, program_name
from amt.midi.reader import read_midi
from amt.midi.vocabulary import time_signature
from amt.models.opened import OpenedModel, load
from amt.request.edits import num_bars_of
from amt.request.reading import check_text, read
from amt.studio.bodies import DescribeBody, OpenBody, ReadBody, SearchBody, SoundBody, options_of
from amt.studio.history import History, Kept
from amt.studio.jobs import Job
from amt.studio.metrics import Metrics
from amt.studio.settings import ServerSettings
from amt.views.piano_roll import PianoRoll

if TYPE_CHECKING:
    from amt.decoding.deadline import Deadline
    from amt.decoding.protocols import DecoderModel
    from amt.generation.piece import Piece
    from amt.generation.stream import Stream
    from amt.request.request import Request

EMIT_S = 0.04  # notes of a stream are sent together so often
DRUM_S = 0.1  # how long a hit is shown before the piece is there
MAX_SHOWN_NOTES = 50_000


class Music:
    """The model and the batch of a server.

    Args:
        settings: what it was started with.
        metrics: what is counted.
        history: what keeps the pieces; None: nothing does.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics, history: History | None = None):
        self._settings, self._metrics, self._history = settings, metrics, history
        self.opened: OpenedModel = load(settings.model)
        self.batch = SharedBatch(
            packed_engine(self.opened.checkpoint.model, settings.dtype),
            max_rows=settings.max_rows,
            num_threads=settings.num_threads,
        )
        _ = self.opened.text_encoder  # opened before the first request

    def warm(self) -> None:
        """Write a few tokens, so that the first request finds all that is made once."""
        api.generate("a waltz", model=self.opened, seed=1, rerank=1, max_new_tokens=24, backend=self._backend(Job(600)))

    def close(self) -> None:
        """End the batch."""
        self.batch.close()

    def generate(self, job: Job, body: Any) -> dict[str, Any]:
        """Music that fits a text; with `stream` as server-sent events: started, notes, result, error."""
        with self.batch.turn(job.check) as turn:
            pieces = self._generated(job, turn, body)
        return self._answer(job, "generate" if body.prompt_midi is None else "continue", body, pieces)

    def _generated(self, job: Job, turn: Turn, body: Any) -> list[Piece]:
        check_text(body.text)
        reading = read(body.text)
        self._check_size(
            body,
            num_candidates(body.rerank, body.num_pieces, is_sampling=True),
            body.duration if body.duration is not None else _most(reading.seconds),
            body.bars if body.bars is not None else _most(reading.bars),
        )
        options = options_of(body) | {"model": self.opened, "backend": self._backend(job, turn.end)}
        if body.prompt_midi is not None:
            options["prompt_midi"] = self._midi(body.prompt_midi, "prompt_midi")
        if body.stream:
            if body.num_pieces != 1 or (body.rerank or 1) != 1:
                raise ValueError("a stream is one piece, written once; leave out num_pieces and rerank")
            options.pop("rerank", None)
            stream = api.stream(body.text, **options)
            job.emit("started", {"seed": _text(stream.seed)})
            self._follow(job, stream)
            return [stream.result()]
        found: Any = api.generate(
            body.text, num_return_sequences=body.num_pieces, progress=lambda *_: job.check(), **options
        )
        return found if isinstance(found, list) else [found]

    def edit(self, job: Job, body: Any) -> dict[str, Any]:
        """Some bars or parts of a piece anew; with `stream` as events: started, progress, result, error."""
        with self.batch.turn(job.check) as turn:
            pieces = self._edited(job, turn, body)
        return self._answer(job, "edit", body, pieces)

    def _edited(self, job: Job, turn: Turn, body: Any) -> list[Piece]:
        music = self._midi(body.midi, "midi")
        num_bars = num_bars_of(music, self.opened.tokenizer.config)
        seconds, bars = edited_length(music, body.bars, num_bars)
        self._check_size(body, max(body.rerank or 1, body.num_pieces), seconds, bars)

        def begin() -> None:
            turn.end()
            job.emit("started", {"seed": _text(body.seed)})

        def tell(done: int, num_windows: int) -> None:
            job.check()
            job.emit("progress", {"done": done, "of": num_windows})

        found: Any = api.edit(
            music,
            body.text or None,
            bars=body.bars,
            tracks=body.tracks,
            keep=body.keep,
            num_return_sequences=body.num_pieces,
            model=self.opened,
            backend=self._backend(job, begin),
            progress=tell,
            **options_of(body),
        )
        return found if isinstance(found, list) else [found]

    def describe(self, job: Job, body: DescribeBody) -> dict[str, Any]:
        """What a piece is, in facts and in words."""
        from amt.retrieval.description import describe

        return describe(self._midi(body.midi, "midi"), model=self._settings.reader).to_dict()

    def search(self, job: Job, body: SearchBody) -> dict[str, Any]:
        """The files of the server's folder that fit."""
        from amt.retrieval.search import search

        if self._settings.search_folder is None:
            raise ValueError("this server has no folder to search; start it with --search-folder")
        if (body.text is None) == (body.midi is None):
            raise ValueError("give text or midi, one of them")
        wanted: Any = body.text if body.text is not None else self._midi(body.midi or "", "midi")
        found = search(
            wanted,
            self._settings.search_folder,
            model=self._settings.reader,
            num_results=body.num_results,
            jobs=1,
            progress=lambda *_: job.check(),
        )
        return {"matches": [match.to_dict() for match in found], "num_files": found.num_files}

    def read(self, job: Job, body: ReadBody) -> dict[str, Any]:
        """What a text asks for, each thing with the words that say it."""
        check_text(body.text)
        return read(body.text).to_dict()

    def open(self, job: Job, body: OpenBody) -> dict[str, Any]:
        """A MIDI file as the page draws it, kept in the history."""
        music = self._midi(body.midi, "midi")
        shown = shown_music(music)
        number = None
        if self._history is not None:
            facts = {"instruments": [track["name"] for track in shown["tracks"]], "duration_s": shown["duration_s"]}
            number = self._history.add("open", body.title or "MIDI file", base64.b64decode(body.midi), facts=facts)
        return {"id": number, "title": body.title, "seed": None, "report": [], "warnings": [], "parent": None, **shown}

    def kept(self, kept: Kept) -> dict[str, Any]:
        """A piece of the history as the page draws it."""
        return {
            "report": [],
            "warnings": [],
            **kept.facts,
            "id": kept.number,
            "parent": kept.parent,
            "title": kept.title,
            "seed": kept.seed,
            "asked": kept.asked,
            **shown_music(read_midi(kept.midi), kept.midi),
        }

    def sound(self, job: Job, body: SoundBody) -> bytes:
        """A WAV file of a piece."""
        from amt.views.sound import to_wav

        music = self._midi(body.midi, "midi")
        if music.duration_s > self._settings.max_seconds:
            raise ValueError(f"the piece is longer than {self._settings.max_seconds:g} s, the most that is played here")
        return to_wav(music, body.sample_rate, check=job.check)

    def _backend(self, job: Job, began: Callable[[], object] = lambda: None) -> Backend:
        """The batch, for the decoding of one request.

        Args:
            began: called once, when all that was asked for has been checked and the first rows join.
        """
        batch, calls = self.batch, iter([began])

        def start(model: DecoderModel, request: Request, deadline: Deadline) -> Any:
            state = batch.start(model, request, deadline, job.is_cancelled)
            next(calls, lambda: None)()
            return state

        return Backend("shared", batch.refusal, start)

    def _follow(self, job: Job, stream: Stream) -> None:
        """Send the notes of a stream, those of some milliseconds together."""
        begun: list[list[Any]] = []
        ended: list[list[Any]] = []
        sounding: dict[tuple[int, int], int] = {}
        num_notes, sent_s, has_sent, time_s = 0, monotonic(), False, 0.0
        vocabulary = self.opened.tokenizer.vocabulary
        beats_a_bar, beat_s = 4.0, 0.5
        for event in stream:
            if event.kind == "note_on":
                begun.append([num_notes, round(event.time_s, 4), event.value, event.velocity, event.program])
                if event.is_drum:
                    ended.append([num_notes, round(event.time_s + DRUM_S, 4)])
                else:
                    sounding[event.program, event.value] = num_notes
                num_notes += 1
            elif event.kind == "note_off" and (event.program, event.value) in sounding:
                ended.append([sounding.pop((event.program, event.value)), round(event.time_s, 4)])
            elif event.kind == "time_shift":
                time_s = event.time_s
            elif event.kind == "tempo":
                beat_s = vocabulary.tempo_us_per_beat(event.value) / 1e6
            elif event.kind == "time_signature":
                numerator, denominator = time_signature(event.value)
                beats_a_bar = 4.0 * numerator / denominator
            now = monotonic()
            if (begun or ended) and (now - sent_s > EMIT_S or (begun and not has_sent)):
                job.emit("notes", _sent(begun, ended, time_s, beats_a_bar * beat_s))
                begun, ended, sent_s, has_sent = [], [], now, True
        if begun or ended:
            job.emit("notes", _sent(begun, ended, time_s, beats_a_bar * beat_s))

    def _check_size(self, body: Any, num_rows: int, seconds: float | None, bars: float | None) -> None:
        """Raise ValueError for more music than one request may ask for."""
        settings = self._settings
        for name, wanted, most in (
            ("num_pieces", body.num_pieces, settings.max_pieces),
            ("rerank" if body.rerank is not None else "num_pieces", num_rows, settings.max_rows),
            ("max_new_tokens", body.max_new_tokens, settings.max_new_tokens),
            ("bars", bars, settings.max_bars),
            ("duration", seconds, settings.max_seconds),
        ):
            if wanted is not None and wanted > most:
                raise ValueError(f"{name} may be {most:g} at most here, got {shown(wanted)}")

    def _midi(self, text: str, name: str) -> MidiData:
        try:
            contents = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise MidiError(f"{name} is not base64") from error
        music = read_midi(contents)
        parts = (music.notes, music.pedals, music.tempos, music.time_signatures, music.key_signatures)
        num, most = sum(map(len, parts)), self._settings.max_notes
        if num > most:
            raise MidiError(f"{name} has {num} notes, pedals and changes of tempo and metre; {most} are the most here")
        return music

    def _answer(self, job: Job, kind: str, body: Any, pieces: list[Piece]) -> dict[str, Any]:
        job.check()
        found = [self._piece(kind, body, piece) for piece in pieces]
        self._metrics.wrote(len(found))
        return {"pieces": found}

    def _piece(self, kind: str, body: Any, piece: Piece) -> dict[str, Any]:
        facts = {
            "duration_s": round(piece.duration_s, 3),
            "instruments": piece.instruments,
            "num_notes": len(piece.notes),
            "report": [dataclasses.asdict(row) for row in piece.report],
            "warnings": piece.warnings,
        }
        midi, title = piece.to_bytes(), body.text or piece.text or ""
        number = None
        if self._history is not None:
            asked = body.model_dump(exclude_unset=True, exclude={"midi", "prompt_midi", "stream"})
            number = self._history.add(kind, title, midi, parent=body.parent, seed=piece.seed, asked=asked, facts=facts)
        answer = {
            **facts,
            "id": number,
            "parent": body.parent,
            "title": title,
            "seed": _text(piece.seed),
            "midi": base64.b64encode(midi).decode(),
        }
        return answer | (shown_music(piece.music, midi) if self._settings.has_page else {})


def _text(seed: int | None) -> str | None:
    """A seed as text: JavaScript has no such whole numbers."""
    return None if seed is None else str(seed)


def _most(said: Any) -> float | None:
    """The most that a text says of a length; None where it says nothing."""
    return None if said is None else said.value.high or said.value.low


def edited_length(music: MidiData, bars: int | Sequence[tuple[int, int]] | None, num_bars: int) -> tuple[float, int]:
    """The seconds and the number of the bars that an edit is about, each as often as it is named.

    Args:
        num_bars: that the piece has.
    """
    spans = [(1, num_bars)] if bars is None else [(bars, bars)] if isinstance(bars, int) else bars
    begins = PianoRoll.of(music).bar_s.tolist()  # none where there would be very many
    if not begins:
        return music.duration_s, sum(last - first + 1 for first, last in spans)

    def second(bar: int) -> float:
        return float(begins[max(bar, 0)] if bar < len(begins) else music.duration_s)

    return sum(second(last) - second(first - 1) for first, last in spans), sum(
        last - first + 1 for first, last in spans
    )


def _sent(begun: list[list[Any]], ended: list[list[Any]], time_s: float, bar_s: float) -> dict[str, Any]:
    """Rows of [number, start s, pitch, velocity, program] and [number, end s]; and up to where all notes are there."""
    names = {str(program): program_name(program) for *_, program in begun}
    return {"on": begun, "off": ended, "time_s": round(time_s, 4), "bar_s": round(bar_s, 5), "names": names}


def shown_music(music: MidiData, midi: bytes | None = None) -> dict[str, Any]:
    """Notes as the page draws and plays them: rows of [start s, length s, pitch, velocity, number of the track]."""
    roll = PianoRoll.of(music)
    programs = np.unique(np.where(music.notes.is_drum, DRUMS, music.notes.program)).tolist()
    if len(roll.row) > MAX_SHOWN_NOTES:
        raise MidiError(f"the piece has {len(roll.row)} notes; {MAX_SHOWN_NOTES} can be shown")
    return {
        "duration_s": round(roll.duration_s, 3),
        "bars_s": [round(bar, 4) for bar in roll.bar_s.tolist()],
        "tracks": [
            {"program": program, "name": name, "color": color}
            for program, name, color in zip(programs, roll.instruments, roll.colors, strict=True)
        ],
        "notes": [
            [round(start, 4), round(end - start, 4), pitch, velocity, track]
            for start, end, pitch, velocity, track in zip(
                roll.start_s.tolist(),
                roll.end_s.tolist(),
                music.notes.pitch.tolist(),
                music.notes.velocity.tolist(),
                roll.instrument.tolist(),
                strict=True,
            )
        ],
        "midi": base64.b64encode(music.to_bytes() if midi is None else midi).decode(),
    }
