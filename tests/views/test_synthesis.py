"""The built-in synthesis: pitches, drums, loudness, time, and what it refuses."""

import numpy as np
import pytest

import amt
from amt.midi.elements import Note, PedalSpan, Tempo
from amt.views.synthesis import FAMILY_VOICES, MAX_SECONDS, PROGRAM_VOICES, synthesize

RATE = 22_050


def strongest_hz(samples: np.ndarray) -> float:
    """The frequency that is loudest in the middle of the sound."""
    mono = samples.sum(1)
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono))))
    return float(np.fft.rfftfreq(len(mono), 1 / RATE)[spectrum.argmax()])


def loudness(samples: np.ndarray, first_s: float, last_s: float) -> float:
    return float(np.sqrt((samples[round(first_s * RATE) : round(last_s * RATE)] ** 2).mean()))


@pytest.mark.parametrize("program", range(0, 128, 8))
def test_every_family_plays_the_pitch(program):
    music = amt.MidiData([Note(0, 960, 69, 100, program)], tempos=[Tempo(0, 500_000)])
    samples = synthesize(music, RATE)
    assert samples.dtype == np.float32 and np.isfinite(samples).all() and np.abs(samples).max() <= 1
    hz = strongest_hz(samples[2000 : RATE - 2000])
    octaves = np.log2(hz / 440.0)
    assert abs(octaves - round(octaves)) < 0.03 or abs(hz / 440 - round(hz / 440)) < 0.03


def test_loud_notes_are_louder_and_silence_is_silent():
    music = amt.MidiData([Note(0, 480, 60, 30), Note(1920, 2400, 60, 120)])
    samples = synthesize(music, RATE)
    assert loudness(samples, 2, 2.4) > 3 * loudness(samples, 0, 0.4) > 0
    assert loudness(samples, 1.7, 1.95) < 0.02 * loudness(samples, 2, 2.4)
    assert not synthesize(amt.MidiData(), RATE).any()


def test_drums_of_each_pitch_sound_and_stop():
    for pitch in range(128):
        samples = synthesize(amt.MidiData([Note(0, 60, pitch, 100, 0, True)]), RATE)
        assert np.abs(samples).max() > 0.01, pitch
        assert np.isfinite(samples).all()


def test_the_pedal_holds_a_note():
    notes = [Note(0, 240, 60, 100, 19), Note(1920, 1960, 60, 1, 19)]
    dry, wet = (synthesize(amt.MidiData(notes, pedals), RATE) for pedals in ((), [PedalSpan(0, 1800, 19)]))
    assert loudness(wet, 1.0, 1.5) > 10 * loudness(dry, 1.0, 1.5)


def test_the_same_piece_has_the_same_sound():
    music = amt.arrange("bossa nova", seed=3, bars=4).music
    assert np.array_equal(synthesize(music, RATE), synthesize(music, RATE))


def test_too_long_is_an_error_before_memory_is_taken():
    with pytest.raises(ValueError, match="minutes long; the built-in synthesis renders 30 at most"):
        synthesize(amt.MidiData([Note(0, 960 * (MAX_SECONDS + 1), 60, 80)]))


def test_there_is_a_voice_for_each_family():
    assert len(FAMILY_VOICES) == 16 and all(0 <= program < 128 for program in PROGRAM_VOICES)
