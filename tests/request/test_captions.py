"""What is read of the captions of real pieces is what is known of the pieces."""

import json
import lzma
import os
import random
from pathlib import Path

import pytest

from amt.midi.theory import parse_pitch_class
from amt.request.reading import read

CORPUS = Path(os.environ.get("AMT_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))


@pytest.fixture(scope="module")
def rows():
    path = CORPUS / "metadata.jsonl.xz"
    if not path.exists():
        pytest.skip(f"no {path}; set AMT_CORPUS to a folder with captions")
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return random.Random(7).sample([json.loads(line) for line in file], 300)


def key_of(name):
    """Like "Bb minor", "c minor" or "D dorian"."""
    return name and (parse_pitch_class(name.split()[0]), name.split()[1])


@pytest.mark.parametrize("place", [2, 3], ids=["sentences", "tags"])
def test_keys_metres_and_tempos(rows, place):
    right = {"key": 0, "metre": 0, "tempo": 0}
    for row in rows:
        reading = read(row["captions"][place])
        key = reading.key and (reading.key.value.tonic, reading.key.value.mode)
        right["key"] += key == key_of(row.get("key"))
        right["metre"] += reading.metre is not None and "{}/{}".format(*reading.metre.value) == row["meter"]
        # Captions round to whole beats: 0.5 of 32 half notes are more than 1.5 %.
        right["tempo"] += reading.tempo_bpm is not None and (
            abs(reading.tempo_bpm - row["quarter_bpm"]) <= 0.015 * row["quarter_bpm"]
        )
    assert min(right.values()) >= 0.99 * len(rows), right


def test_instruments_and_lengths(rows):
    right = {"instruments": 0, "seconds": 0}
    for row in rows:
        reading = read(row["captions"][2])
        programs = {*row["programs"], *([128] if row["drums"] else [])}
        all_play = all(programs.intersection(part.programs) for part in reading.parts)
        right["instruments"] += all_play and (reading.is_open or reading.allowed_programs >= programs)
        seconds = reading.seconds.value.low if reading.seconds else 0
        right["seconds"] += abs(seconds - row["duration_s"]) <= 0.1 * row["duration_s"]
    assert min(right.values()) >= 0.97 * len(rows), right  # a caption names five instruments at most
