"""The longest note in beats: one number for all instruments, or numbers for some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from amt.midi.limits import MANY
from amt.midi.programs import DRUMS, SUSTAINED, program_number

NoteBeats = float | Mapping[str | int, float]

# What notes last at most where neither a call nor the model says how long; less where only such instruments may play as
# do not sustain: no organ, strings, choir or pad.
USUAL_BEATS, USUAL_BEATS_UNSUSTAINED = 16.0, 8.0
# A model's own longest notes count within these.
SHORTEST_OWN_BEATS, LONGEST_OWN_BEATS = 1.0, USUAL_BEATS
PROGRAMS_OF_A_FAMILY = 8


def note_steps_of_programs(given: Mapping[str | int, float], steps: Callable[[str, float], int]) -> tuple[int, ...]:
    """The longest note of each of the 129 programs in steps; those that are not named are free.

    Args:
        steps: what makes steps of a name for errors and a number of beats.

    Raises:
        ValueError: no instrument, one without lengths, or what `steps` does not take.
    """
    if not given:
        raise ValueError('max_note_beats names no instrument; give a number, or numbers like {"piano": 4}')
    longest = [MANY] * (DRUMS + 1)
    for instrument, beats in given.items():
        program = program_number(instrument)
        if program == DRUMS:
            raise ValueError("max_note_beats names drums, whose notes have no length; leave them out")
        longest[program] = steps(f"max_note_beats of {instrument}", beats)
    return tuple(longest)


def usual_note_beats(programs: Sequence[int] | None, own: Sequence[float]) -> float | dict[int, float]:
    """How long notes usually last at most.

    Args:
        programs: those that may play; None: all.
        own: what the model learned from, for each of the 16 families of General MIDI; empty: unknown.
    """
    if own:
        beats = [min(max(each, SHORTEST_OWN_BEATS), LONGEST_OWN_BEATS) for each in own]
        return {program: beats[program // PROGRAMS_OF_A_FAMILY] for program in range(DRUMS)}
    if programs is not None and SUSTAINED.isdisjoint(programs):
        return USUAL_BEATS_UNSUSTAINED
    return USUAL_BEATS


def with_others(given: Mapping[str | int, float], usual: float | Mapping[int, float]) -> dict[str | int, float]:
    """The longest notes of some instruments, and what is usual for all others."""
    of_all: dict[str | int, float] = {
        program: usual[program] if isinstance(usual, Mapping) else usual for program in range(DRUMS)
    }
    return of_all | dict(given)
