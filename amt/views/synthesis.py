"""A simple synthesizer in numpy: what plays where no soundfont is.

A tone is a sum of partials that decay each by itself; a drum is shaped noise and a falling sine. Each tone is made once
for a pitch and the longest note that needs it. A note is the beginning of it, with its loudness and its release.
`synth.js` is the same idea for a browser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from amt.midi.data import MidiData
from amt.midi.programs import DRUMS
from amt.midi.units import ticks_to_seconds

MAX_SECONDS = 1800  # of sound: 44,100 pairs of 4-byte samples a second
MAX_NOTE_SECONDS = 20.0
TAIL_SECONDS = 1.5
PEAK = 0.89
NOISE_SEED = 7
ATTACK_OF_ALL = 0.002  # nothing begins with a click

Check = Callable[[], object]  # called while work goes on: what it raises ends it


def never() -> None:
    """Let the work go on to its end."""


@dataclasses.dataclass(frozen=True)
class Voice:
    """How an instrument sounds.

    Attributes:
        partials: the loudness of each multiple of the pitch.
        attack_s, release_s: how long a note takes to come and to go.
        decay_s: after so long 60 dB are gone from the first partial; 0: it is held.
        damping: how much faster higher partials decay: partial k by 1 + damping * (k - 1).
        stretch: how much too high partials are, as those of stiff strings.
        vibrato: its depth in semitones; it comes after a third of a second.
        spread: the distance in cents of two more copies, left and right, for an ensemble; 0: none.
        breath: loudness of noise behind the tone.
        knock: loudness of a short noise at the beginning.
        gain: loudness of the whole.
    """

    partials: tuple[float, ...]
    attack_s: float = 0.004
    release_s: float = 0.12
    decay_s: float = 0.0
    damping: float = 0.0
    stretch: float = 0.0
    vibrato: float = 0.0
    spread: float = 0.0
    breath: float = 0.0
    knock: float = 0.0
    gain: float = 1.0


def _falling(num: int, power: float, *, even: float = 1.0) -> tuple[float, ...]:
    """Partials that get softer as 1 / k ** power; even ones times `even`."""
    return tuple((1.0 if k % 2 else even) / k**power for k in range(1, num + 1))


# One for each family of eight programs, in their order.
FAMILY_VOICES = (
    Voice(_falling(14, 1.5), 0.002, 0.14, 5.0, 0.35, 4e-4, knock=0.05),  # piano
    Voice((1.0, 0.0, 0.0, 0.45, 0.0, 0.0, 0.0, 0.0, 0.15), 0.001, 0.5, 2.6, 0.8, knock=0.06, gain=0.9),  # mallets
    Voice((1.0, 0.7, 0.45, 0.35, 0.0, 0.2, 0.0, 0.25), 0.01, 0.06, vibrato=0.06, gain=0.55),  # organ
    Voice(_falling(16, 1.25, even=0.8), 0.002, 0.1, 3.2, 0.5, 1e-4, knock=0.08),  # guitar
    Voice(_falling(10, 1.55), 0.004, 0.08, 3.6, 0.6, knock=0.05, gain=1.35),  # bass
    Voice(_falling(16, 1.1), 0.06, 0.12, vibrato=0.18, breath=0.008, gain=0.6),  # solo strings
    Voice(_falling(12, 1.25), 0.12, 0.3, vibrato=0.1, spread=9.0, breath=0.006, gain=0.5),  # ensembles and choirs
    Voice(_falling(14, 0.95), 0.035, 0.09, vibrato=0.07, gain=0.55),  # brass
    Voice(_falling(14, 1.0, even=0.55), 0.03, 0.08, vibrato=0.1, breath=0.012, gain=0.55),  # reeds
    Voice((1.0, 0.35, 0.12, 0.05), 0.05, 0.1, vibrato=0.12, breath=0.03, gain=0.85),  # pipes
    Voice(_falling(20, 1.05), 0.006, 0.08, spread=6.0, gain=0.45),  # synth leads
    Voice(_falling(10, 1.4), 0.25, 0.6, spread=11.0, gain=0.5),  # pads
    Voice((1.0, 0.0, 0.5, 0.0, 0.3, 0.0, 0.2), 0.05, 0.6, 4.0, 0.2, spread=8.0, gain=0.5),  # effects
    Voice(_falling(16, 1.05), 0.002, 0.1, 2.2, 0.4, knock=0.08, gain=0.85),  # plucked folk instruments
    Voice((1.0, 0.3, 0.5, 0.1, 0.2), 0.001, 0.3, 1.4, 0.9, 2e-3, knock=0.1),  # tuned percussion
    Voice((1.0, 0.5, 0.3), 0.05, 0.3, 2.0, breath=0.2, gain=0.3),  # sound effects
)
# Where a program is unlike its family.
PROGRAM_VOICES = {
    4: Voice((1.0, 0.28, 0.06, 0.02, 0.0, 0.0, 0.1), 0.003, 0.15, 4.2, 0.6, knock=0.02, spread=3.0),  # electric piano
    5: Voice((1.0, 0.2, 0.1, 0.05, 0.12), 0.003, 0.2, 4.2, 0.7, spread=4.0),
    6: Voice(_falling(22, 0.8), 0.001, 0.06, 2.6, 0.25, knock=0.08, gain=0.6),  # harpsichord
    7: Voice(_falling(16, 0.8, even=0.6), 0.001, 0.05, 1.8, 0.4, knock=0.08, gain=0.7),
    29: Voice(_falling(24, 0.75, even=0.7), 0.004, 0.08, 0.0, spread=5.0, gain=0.42),  # overdriven guitar
    30: Voice(_falling(28, 0.6, even=0.8), 0.004, 0.08, 0.0, spread=6.0, gain=0.36),  # distortion guitar
    38: Voice(_falling(20, 1.0), 0.003, 0.06, 2.0, 0.35, gain=0.95),  # synth bass
    39: Voice(_falling(16, 1.0, even=0.3), 0.003, 0.06, 2.4, 0.3, gain=0.95),
    45: Voice(_falling(12, 1.3), 0.002, 0.1, 0.7, 0.6, knock=0.1),  # pizzicato strings
    46: Voice(_falling(10, 1.7), 0.002, 0.3, 3.0, 0.5, knock=0.03),  # harp
    47: Voice((1.0, 0.6, 0.35, 0.2), 0.002, 0.3, 1.2, 0.6, 0.02, knock=0.15, gain=1.3),  # timpani
    80: Voice(_falling(23, 1.0, even=0.0), 0.004, 0.05, gain=0.5),  # square lead
    105: Voice(_falling(20, 0.9), 0.001, 0.06, 1.2, 0.4, knock=0.14, gain=0.8),  # banjo
    109: Voice(_falling(20, 0.8), 0.05, 0.06, gain=0.4),  # bagpipe
    110: Voice(_falling(16, 1.0), 0.04, 0.08, vibrato=0.14, breath=0.01, gain=0.6),  # fiddle
}


@dataclasses.dataclass(frozen=True)
class Drum:
    """How a hit sounds: a sine that falls from `high_hz` to `low_hz`, and noise between two frequencies.

    Times are those after which 60 dB are gone; `metal` adds partials that fit no pitch.
    """

    high_hz: float = 0.0
    low_hz: float = 0.0
    tone_s: float = 0.0
    tone: float = 0.0
    noise: float = 0.0
    noise_s: float = 0.1
    band_hz: tuple[float, float] = (200.0, 16_000.0)
    metal: float = 0.0
    pan: float = 0.0


KICK = Drum(170, 47, 0.45, 1.5, 0.12, 0.03, (800, 6000))
SNARE = Drum(260, 180, 0.2, 0.5, 0.75, 0.26, (700, 12_000))
HAT = Drum(noise=0.3, noise_s=0.09, band_hz=(7000, 16_000), metal=0.1, pan=0.25)
CYMBAL = Drum(noise=0.3, noise_s=2.0, band_hz=(3500, 16_000), metal=0.1, pan=-0.3)
DRUMS_BY_PITCH = {
    35: KICK,
    36: KICK,
    37: Drum(1700, 1650, 0.06, 0.4, 0.25, 0.04, (1500, 8000)),
    38: SNARE,
    39: Drum(noise=0.7, noise_s=0.2, band_hz=(900, 5000)),
    40: dataclasses.replace(SNARE, high_hz=300, noise_s=0.2),
    42: HAT,
    44: dataclasses.replace(HAT, noise_s=0.06, noise=0.22),
    46: dataclasses.replace(HAT, noise_s=0.7),
    49: CYMBAL,
    51: Drum(noise=0.14, noise_s=0.9, band_hz=(5000, 15_000), metal=0.16, pan=-0.4),
    52: dataclasses.replace(CYMBAL, noise_s=1.4),
    53: Drum(2600, 2600, 0.7, 0.15, 0.06, 0.5, (5000, 15_000), metal=0.2, pan=-0.4),
    54: Drum(noise=0.3, noise_s=0.18, band_hz=(6000, 16_000), metal=0.2, pan=0.3),
    55: dataclasses.replace(CYMBAL, noise_s=0.9),
    56: Drum(560, 555, 0.25, 0.4, 0.0, metal=0.15, pan=0.2),
    57: dataclasses.replace(CYMBAL, pan=0.3),
    59: Drum(noise=0.14, noise_s=0.9, band_hz=(5000, 15_000), metal=0.16, pan=0.4),
    69: Drum(noise=0.25, noise_s=0.1, band_hz=(4000, 14_000), pan=0.3),
    70: Drum(noise=0.22, noise_s=0.06, band_hz=(5000, 14_000), pan=0.3),
    75: Drum(2500, 2480, 0.07, 0.5, pan=-0.2),
    76: Drum(1100, 1080, 0.08, 0.5, pan=-0.2),
    77: Drum(800, 780, 0.1, 0.5, pan=-0.2),
    80: Drum(5200, 5200, 0.1, 0.2, metal=0.1, pan=0.3),
    81: Drum(5200, 5200, 1.2, 0.2, metal=0.1, pan=0.3),
}
METAL = (1.0, 1.342, 1.2312, 1.6532, 1.9523, 2.1523)  # of 2.9 kHz: squares of a drum machine's cymbals
TOMS = {41: 80, 43: 95, 45: 115, 47: 140, 48: 165, 50: 195}


def drum_of(pitch: int) -> Drum:
    """The sound of a hit; what has none of its own is a small drum."""
    if pitch in DRUMS_BY_PITCH:
        return DRUMS_BY_PITCH[pitch]
    hz = TOMS.get(pitch, 190.0 + 23.0 * (pitch % 7))
    return Drum(hz * 1.6, hz, 0.45, 0.9, 0.12, 0.06, (300, 5000), pan=(pitch % 5 - 2) * 0.15)


def voice_of(program: int) -> Voice:
    """The sound of a General MIDI program."""
    return PROGRAM_VOICES.get(program, FAMILY_VOICES[program // 8])


def synthesize(music: MidiData, sample_rate: int = 44_100, *, check: Check = never) -> np.ndarray:
    """The sound of a piece, (num_samples, 2) float32 in -1..1.

    Args:
        check: called for each note; what it raises ends the work.

    Raises:
        ValueError: it is longer than half an hour.
    """
    starts_s, ends_s = _times(music)
    duration_s = max(music.duration_s, float(ends_s.max(initial=0.0)))
    if duration_s > MAX_SECONDS:
        raise ValueError(
            f"the piece is {duration_s / 60:.0f} minutes long; the built-in synthesis renders {MAX_SECONDS // 60} at"
            " most: cut it, or install FluidSynth and a soundfont"
        )
    notes = music.notes
    mix = np.zeros((2, round((duration_s + TAIL_SECONDS) * sample_rate) + 1), np.float32)
    programs = np.where(notes.is_drum, DRUMS, notes.program).astype(np.int64)
    pans = _pans(np.unique(programs))
    first = np.round(starts_s * sample_rate).astype(np.int64)
    length = np.minimum(np.maximum(ends_s - starts_s, 0.03), MAX_NOTE_SECONDS)
    gains = 0.25 * (notes.velocity / 127.0) ** 1.6
    order = np.lexsort((notes.pitch, programs))
    kinds = programs[order] * 128 + notes.pitch[order]
    for group in np.split(order, np.flatnonzero(np.diff(kinds)) + 1) if len(order) else []:
        program, pitch = int(programs[group[0]]), int(notes.pitch[group[0]])
        if program == DRUMS:
            sound = _drum(drum_of(pitch), sample_rate)
            for index in group.tolist():
                check()
                _add(mix, sound * np.float32(gains[index]), int(first[index]))
            continue
        voice = voice_of(program)
        release = round(voice.release_s * sample_rate)
        tone = _tone(voice, pitch, round(float(length[group].max()) * sample_rate) + release, sample_rate)
        tone = _panned(tone, pans[program])
        fade = np.exp(np.linspace(0.0, -6.9, release, dtype=np.float32))
        for index in group.tolist():
            check()
            held = round(float(length[index]) * sample_rate)
            part = tone[:, : held + release] * np.float32(gains[index])
            part[:, held:] *= fade[: part.shape[1] - held]
            _add(mix, part, int(first[index]))
    _add_room(mix, sample_rate)
    peak = float(np.abs(mix).max(initial=0.0))
    if peak > PEAK:  # few loud moments are bent rather than all made soft
        scale = max(PEAK / peak, 0.45)
        mix = np.tanh(mix * np.float32(scale / PEAK)) * np.float32(PEAK)
    return np.ascontiguousarray(mix.T)


def _times(music: MidiData) -> tuple[np.ndarray, np.ndarray]:
    """When each note begins and ends, in seconds; the pedal holds it."""
    notes = music.notes
    ends = notes.end_ticks.astype(np.int64)
    for program, is_drum in {(pedal.program, pedal.is_drum) for pedal in music.pedals}:
        spans = [(p.start_ticks, p.end_ticks) for p in music.pedals if (p.program, p.is_drum) == (program, is_drum)]
        down, up = (np.array(column, np.int64) for column in zip(*spans, strict=True))
        place = np.searchsorted(down, ends, side="right") - 1
        is_held = (notes.program == program) & (notes.is_drum == is_drum) & (place >= 0) & (ends < up[place])
        ends = np.where(is_held, up[place], ends)
    starts_s, ends_s = (
        ticks_to_seconds(ticks, music.tempos, music.ticks_per_beat) for ticks in (notes.start_ticks, ends)
    )
    return starts_s, ends_s


def _pans(programs: np.ndarray) -> dict[int, float]:
    """Where each instrument stands, -1 left to 1 right: basses and drums in the middle, the others around them."""
    pans: dict[int, float] = {}
    places = [0.0, -0.35, 0.35, -0.55, 0.55, -0.2, 0.2, -0.7, 0.7]
    num = 0
    for program in programs.tolist():
        if program == DRUMS or 32 <= program < 40:
            pans[program] = 0.0
        else:
            pans[program] = places[num % len(places)]
            num += 1
    return pans


def _panned(sound: np.ndarray, pan: float) -> np.ndarray:
    """Two channels of equal power, from one or two."""
    angle = (pan + 1) * np.pi / 4
    gains = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32) * np.float32(np.sqrt(2))
    return np.asarray(sound * gains)


def _add(mix: np.ndarray, sound: np.ndarray, first: int) -> None:
    end = min(first + sound.shape[1], mix.shape[1])
    if first < end:
        mix[:, first:end] += sound[:, : end - first]


def _tone(voice: Voice, pitch: int, num_samples: int, sample_rate: int) -> np.ndarray:
    """A held note, (1 or 2, num_samples)."""
    time = np.arange(num_samples, dtype=np.float32) / np.float32(sample_rate)
    hz = 440.0 * 2 ** ((pitch - 69) / 12)
    bend = np.zeros(1, np.float32)  # seconds by which the tone runs ahead
    if voice.vibrato:
        rate = 2 * np.pi * 5.2
        depth = voice.vibrato * 0.0578 / rate
        bend = np.float32(depth) * np.minimum(time * 3, 1) ** 2 * (1 - np.cos(np.float32(rate) * time))
    cents = (-voice.spread, voice.spread) if voice.spread else (0.0,)
    channels = [_partials(voice, hz * 2 ** (each / 1200), time, bend, sample_rate) for each in cents]
    tone = np.stack(channels)
    noise = np.random.default_rng(NOISE_SEED + pitch)
    if voice.breath:
        tone += voice.breath * noise.standard_normal(num_samples, np.float32)
    attack = round(max(voice.attack_s, ATTACK_OF_ALL) * sample_rate)
    rise = np.linspace(0, 1, min(attack, num_samples), dtype=np.float32) ** 0.7
    tone[:, : len(rise)] *= rise
    if voice.knock:
        num = min(round(0.03 * sample_rate), num_samples)
        click = noise.standard_normal(num, np.float32) * np.exp(-time[:num] * 200)
        tone[:, :num] += voice.knock * click
    return np.asarray(tone * np.float32(voice.gain))


def _partials(voice: Voice, hz: float, time: np.ndarray, bend: np.ndarray, sample_rate: int) -> np.ndarray:
    total = np.zeros(len(time), np.float32)
    norm = np.sqrt(sum(each**2 for each in voice.partials))
    # Low notes ring longer than high ones.
    decay = 6.9 / voice.decay_s * (hz / 262.0) ** 0.5 if voice.decay_s else 0.0
    for k, loudness in enumerate(voice.partials, start=1):
        of_partial = hz * k * np.sqrt(1 + voice.stretch * k * k)
        if not loudness or of_partial > 0.45 * sample_rate:
            continue
        # The phase is reduced in float64: float32 has too few digits after some seconds.
        cycles = of_partial * (time.astype(np.float64) + bend)
        wave = np.sin(((cycles - np.floor(cycles)) * (2 * np.pi)).astype(np.float32))
        if decay:
            speed = decay * (1 + voice.damping * (k - 1))
            wave *= np.exp(time * np.float32(-speed))
        total += np.float32(loudness / norm) * wave
    return total


def _drum(drum: Drum, sample_rate: int) -> np.ndarray:
    """A hit, (2, num_samples)."""
    num = round(max(drum.tone_s, drum.noise_s, 0.05) * sample_rate)
    time = np.arange(num) / sample_rate
    sound = np.zeros(num)
    if drum.tone:
        fall = (drum.high_hz - drum.low_hz) * 0.03 * (1 - np.exp(-time / 0.03))
        sound += drum.tone * np.sin(2 * np.pi * (drum.low_hz * time + fall)) * np.exp(-6.9 * time / drum.tone_s)
    rough = np.zeros(num)
    if drum.noise:
        spectrum = np.fft.rfft(np.random.default_rng(NOISE_SEED).standard_normal(num))
        hz = np.fft.rfftfreq(num, 1 / sample_rate)
        low, high = drum.band_hz
        spectrum *= 1 / (1 + (low / np.maximum(hz, 1)) ** 4) / (1 + (hz / high) ** 4)
        band = np.fft.irfft(spectrum, num)
        rough += drum.noise * band / max(float(np.abs(band).max()), 1e-9) * 2
    if drum.metal:
        for ratio in METAL:
            rough += drum.metal * np.sign(np.sin(2 * np.pi * 2900 * ratio * time)) / len(METAL)
    sound += rough * np.exp(-6.9 * time / drum.noise_s)
    edge = min(num, round(0.001 * sample_rate))
    sound[:edge] *= np.linspace(0, 1, edge)
    return _panned(sound[None].astype(np.float32), drum.pan)


def _add_room(mix: np.ndarray, sample_rate: int, loudness: float = 0.16) -> None:
    """A small hall: the sound again, folded with noise that dies away."""
    num = round(1.1 * sample_rate)
    time = np.arange(num) / sample_rate
    block = 1 << (4 * num - 1).bit_length()
    step = block - num
    for channel in range(2):
        noise = np.random.default_rng(NOISE_SEED + channel).standard_normal(num)
        darker = np.convolve(noise, np.hanning(9), "same")
        room = darker * np.exp(-6.9 * time / 1.0) * np.minimum(time / 0.012, 1)
        room *= loudness / np.sqrt((room**2).sum())
        spectrum = np.fft.rfft(room.astype(np.float32), block)
        dry = mix[channel].copy()
        for first in range(0, len(dry), step):
            wet = np.fft.irfft(np.fft.rfft(dry[first : first + step], block) * spectrum, block)
            end = min(first + block, len(dry))
            mix[channel, first:end] += wet[: end - first].astype(np.float32)
