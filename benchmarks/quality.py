"""Whether all files of a model are valid for other readers, and piano rolls to look at. `amt eval` has the metrics.

    python benchmarks/quality.py files CORPUS --num 1000
    python benchmarks/quality.py requests --num 1000 --minutes 15
    python benchmarks/quality.py plots CORPUS --num 10 --out FOLDER

Each prints one JSON object. Models are chosen on the split "valid"; "test" is for the final figure.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import random
import sys
import time
from pathlib import Path
from typing import Any

import amt
from amt.data.corpus import CorpusPiece, read_corpus
from amt.evaluation.evaluate import draw

SHIPPED_SOURCES = ("chopin", "cre", "freedoom", "groove", "lieder", "mutopia", "polish", "quartets")
KEYWORDS = 3  # the caption of a piece that names form, instruments, key, metre, speed and BPM


def drawn_pieces(corpus: str, split: str, num: int) -> list[CorpusPiece]:
    return draw(list(read_corpus(corpus, SHIPPED_SOURCES)), split, num)


def write(job: tuple[str, int, str | None, int, str]) -> amt.Piece:
    """One piece for (text, seed, model, max_new_tokens, dtype)."""
    text, seed, model, max_new_tokens, dtype = job
    return amt.generate(text, seed=seed, model=model, max_new_tokens=max_new_tokens, dtype=dtype)


def write_all(args: argparse.Namespace, pieces: list[CorpusPiece], caption: int) -> list[amt.Piece]:
    jobs = [
        (
            piece.captions[caption % len(piece.captions)],
            args.seed + place,
            args.model,
            args.max_new_tokens,
            args.dtype or "float32",
        )
        for place, piece in enumerate(pieces)
    ]
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        return pool.map(write, jobs, chunksize=4)


def faults(piece: amt.Piece) -> list[str]:
    """What mido, symusic and pretty_midi find wrong with the file of a piece."""
    import mido
    import pretty_midi
    import symusic

    file = piece.to_bytes()
    own = sorted((n.start_ticks, n.end_ticks, n.pitch) for n in piece.notes)
    found = []
    score = symusic.Score.from_midi(file)
    theirs = sorted((n.time, n.time + n.duration, n.pitch) for track in score.tracks for n in track.notes)
    if theirs != own:
        found.append("symusic reads other notes")
    if sum(len(i.notes) for i in pretty_midi.PrettyMIDI(io.BytesIO(file)).instruments) != len(own):
        found.append("pretty_midi reads another number of notes")
    sounding: set[tuple[int, int, int]] = set()
    starts = 0
    for number, track in enumerate(mido.MidiFile(file=io.BytesIO(file)).tracks):
        for message in track:
            if message.type == "note_on" and message.velocity > 0:
                starts += 1
                sounding.add((number, message.channel, message.note))
            elif message.type in ("note_on", "note_off"):
                sounding.discard((number, message.channel, message.note))
    if sounding or starts != len(own):
        found.append(f"mido reads {starts} notes of {len(own)}, {len(sounding)} of them stuck")
    if piece.tokens[-1] != 2:
        found.append("the sequence has no end")
    return found


def files(args: argparse.Namespace) -> dict[str, object]:
    """Writes many files and reads each with mido, symusic and pretty_midi."""
    drawn = drawn_pieces(args.place, args.split, min(args.num, 400))
    pieces = [drawn[place % len(drawn)] for place in range(args.num)]
    written = write_all(args, pieces, 0)
    problems = [f"{place}: {fault}" for place, piece in enumerate(written) for fault in faults(piece)]
    return {"files": len(written), "notes": sum(len(piece.notes) for piece in written), "problems": problems}


def random_request(rng: random.Random) -> dict[str, object]:
    """Any length from 10 s to 5 min in seconds or bars, with some instruments, a key, a tempo, a metre or none."""
    request: dict[str, object] = {"text": rng.choice(["a tune", "a lively jig", "a slow waltz", "music for a film"])}
    names = ["piano", "violin", "cello", "flute", "clarinet", "acoustic guitar", "drums", "harpsichord", "bass"]
    request["instruments"] = instruments = rng.sample(names, rng.choice([1, 1, 2, 2, 3, 4]))
    request["max_polyphony"] = rng.choice([3, 4, 6])
    if rng.random() < 0.6 and instruments != ["drums"]:
        request["key"] = f"{rng.choice('CDEFGAB')} {rng.choice(['major', 'minor'])}"
    if rng.random() < 0.6:
        request["tempo"] = rng.randrange(60, 181)
    if rng.random() < 0.6:
        request["time_signature"] = rng.choice(["4/4", "3/4", "2/4", "6/8", "12/8", "5/4"])
    if rng.random() < 0.25:
        request["bars"] = rng.randrange(4, 90)
    else:
        request["duration"] = round(10 * 30 ** rng.random(), 1)
    return request


def requests(args: argparse.Namespace) -> dict[str, object]:
    """Writes pieces by random requests, until the time is over, and holds them to their lengths, too."""
    rng = random.Random(args.seed)
    end = time.monotonic() + 60 * args.minutes
    problems: list[str] = []
    num_pieces = num_notes = num_tokens = num_long = 0
    seconds = 0.0
    while num_pieces < args.num and time.monotonic() < end:
        request, seed = random_request(rng), args.seed + num_pieces
        options: Any = {"seed": seed, "model": args.model, "dtype": args.dtype or "int8", **request}
        piece = amt.generate(options.pop("text"), rerank=1, **options)
        name = f"{num_pieces}: {request} seed {seed}"
        problems += [f"{name}: {fault}" for fault in faults(piece)]
        problems += [f"{name}: {row}" for row in piece.report if row.is_hard and not row.is_met]
        num_pieces += 1
        num_notes += len(piece.notes)
        num_tokens += len(piece.tokens)
        num_long += len(piece.tokens) > 1024
        seconds += piece.duration_s
        if num_pieces % 10 == 0:
            print(f"{num_pieces} pieces, {num_tokens} tokens, {len(problems)} problems", file=sys.stderr, flush=True)
    return {
        "pieces": num_pieces,
        "of several windows": num_long,
        "notes": num_notes,
        "tokens": num_tokens,
        "hours": round(seconds / 3600, 2),
        "problems": problems,
    }


def plots(args: argparse.Namespace) -> dict[str, object]:
    """Piano rolls of pieces for different captions, in one picture, and their files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    pieces = drawn_pieces(args.place, args.split, args.num)
    figure, axes = plt.subplots(
        (args.num + 1) // 2, 2, figsize=(15, 1.7 * args.num), layout="constrained", squeeze=False
    )
    for place, piece in enumerate(write_all(args, pieces, KEYWORDS)):
        piece.save(folder / f"{place}.mid")
        axis = piece.plot(axes[place // 2, place % 2])
        axis.set_xlabel(f"{piece.text}; seconds", fontsize=9)
    figure.savefig(folder / "rolls.png", dpi=60)
    return {"folder": str(folder), "captions": [piece.captions[KEYWORDS] for piece in pieces]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["files", "plots", "requests"])
    parser.add_argument("place", nargs="?", default="", help="a corpus; for files and plots")
    parser.add_argument("--model", help="default: the model in the package")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "int8"], help="of the engine")
    parser.add_argument("--split", default="valid", choices=["train", "valid", "test"])
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--max-new-tokens", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", default="plots")
    parser.add_argument("--minutes", type=float, default=15, help="of requests, at most")
    args = parser.parse_args()
    print(json.dumps({"what": args.what, "model": args.model or "packaged"} | globals()[args.what](args), indent=1))


if __name__ == "__main__":
    main()
