"""Which key profile finds the keys of real music: the share of pieces whose estimated key is the stated one.

    python benchmarks/key_profiles.py CORPUS [--split train] [--num 900]        CORPUS: the AMT corpus

Only pieces whose key is stated in the source or follows from the key signature, in about equal numbers from each
source: whole, and their first 120 and 30 notes. The profiles are those of Krumhansl & Kessler 1982, Temperley 1999,
Temperley 2007 (from the examples of Kostka & Payne), Aarden 2003 (from the Essen collection), Bellman 2005 (from Budge
1943), and Albrecht & Shanahan 2013.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from amt.data.corpus import CorpusPiece, read_corpus
from amt.evaluation.evaluate import draw
from amt.evaluation.following import key_of
from amt.midi.data import NoteTable
from amt.midi.facts import KEY_PROFILES, Key, best_keys, pitch_class_durations
from amt.midi.reader import read_midi

SOURCES = ("chopin", "cre", "freedoom", "lieder", "mutopia", "polish", "quartets")
STATED = ("source", "key signature", "key signature + estimate")
PARTS = {"whole": None, "120 notes": 120, "30 notes": 30}
PROFILES = KEY_PROFILES | {
    "temperley": (
        (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0),
        (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0),
    ),
    "bellman": (
        (16.80, 0.86, 12.95, 1.41, 13.49, 11.93, 1.25, 20.28, 1.80, 8.04, 0.62, 10.57),
        (18.16, 0.69, 12.99, 13.34, 1.07, 11.15, 1.38, 21.07, 7.49, 1.53, 0.92, 10.21),
    ),
    "aarden": (
        (
            17.7661,
            0.145624,
            14.9265,
            0.160186,
            19.8049,
            11.3587,
            0.291248,
            22.062,
            0.145624,
            8.15494,
            0.232998,
            4.95122,
        ),
        (18.2648, 0.737619, 14.0499, 16.8599, 0.702494, 14.4362, 0.702494, 18.6161, 4.56621, 1.93186, 7.37619, 1.75623),
    ),
    "albrecht": (
        (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
        (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
    ),
}


def stated_key(piece: CorpusPiece) -> Key | None:
    return key_of(piece.row["key"]) if piece.row.get("key_source") in STATED else None


def first_notes(notes: NoteTable, num: int | None) -> NoteTable:
    """The first notes that have a pitch."""
    pitched = np.flatnonzero(~notes.is_drum)
    order = np.argsort(notes.start_ticks[pitched], kind="stable")[:num]
    return notes[pitched[order]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--split", default="train")
    parser.add_argument("--num", type=int, default=900)
    args = parser.parse_args()
    found: dict[tuple[str, str], list[bool]] = {}
    for piece in draw(list(read_corpus(args.corpus, SOURCES)), args.split, args.num):
        key = stated_key(piece)
        if key is None:
            continue
        notes = read_midi(piece.midi).notes
        for part, num in PARTS.items():
            durations = pitch_class_durations(first_notes(notes, num))
            for name, profile in PROFILES.items():
                keys = best_keys(durations, profile)
                found.setdefault((part, name), []).append(bool(keys) and keys[0][0] == key)
    for (part, name), right in found.items():
        print(json.dumps({"part": part, "profile": name, "right": round(float(np.mean(right)), 4), "n": len(right)}))


if __name__ == "__main__":
    main()
