"""How good a model is: loss on held-out music, how far captions are followed, whether all files are valid.

    python benchmarks/quality.py loss DATA                    DATA: made by `amt prepare`
    python benchmarks/quality.py captions CORPUS --num 200
    python benchmarks/quality.py files CORPUS --num 1000
    python benchmarks/quality.py plots CORPUS --num 10 --out FOLDER

Each prints one JSON object. Models are chosen on the split "valid"; "test" is for the final figure.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import random
import re
from pathlib import Path

import numpy as np

import amt
from amt.data.corpus import Piece, read_corpus
from amt.data.dataset import PreparedSplit, pad
from amt.midi.facts import estimate_key

SHIPPED_SOURCES = ("chopin", "cre", "freedoom", "groove", "lieder", "mutopia", "polish", "quartets")
KEYWORDS = 3  # the caption of a piece that names form, instruments, key, metre, speed and BPM


def draw(corpus: str, split: str, num: int) -> list[Piece]:
    """Pieces of one split, the same ones every time, in about equal numbers from each source."""
    by_source: dict[str, list[Piece]] = {}
    for piece in read_corpus(corpus, SHIPPED_SOURCES):
        if piece.split == split:
            by_source.setdefault(piece.source, []).append(piece)
    for pieces in by_source.values():
        random.Random(0).shuffle(pieces)
    pieces = [piece for turn in range(num) for rows in by_source.values() for piece in rows[turn : turn + 1]]
    return pieces[:num]


def write(job: tuple[str, int, str | None, int, str]) -> amt.Midi:
    """One piece for (text, seed, model, max_new_tokens, weights)."""
    text, seed, model, max_new_tokens, weights = job
    return amt.generate(text, seed=seed, model=model, max_new_tokens=max_new_tokens, weights=weights)


def write_all(args: argparse.Namespace, pieces: list[Piece], caption: int) -> list[amt.Midi]:
    jobs = [
        (
            piece.captions[caption % len(piece.captions)],
            args.seed + place,
            args.model,
            args.max_new_tokens,
            args.weights or "float32",
        )
        for place, piece in enumerate(pieces)
    ]
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        return pool.map(write, jobs, chunksize=4)


def loss(args: argparse.Namespace) -> dict[str, object]:
    """Mean cross-entropy a token over the beginnings of the split's pieces, each with its first caption."""
    import torch

    from amt.training.losses import token_loss

    torch.set_num_threads(args.jobs)
    generator = amt.load(args.model)
    split = PreparedSplit(args.place, args.split)
    starts = np.flatnonzero(split.segments["is_start"])[: args.num]
    total, num_tokens, num_notes = 0.0, 0, 0
    for index in starts:
        ids = torch.from_numpy(pad([split.tokens(index)[:1025]]))
        caption = split.pieces[split.segments[index]["piece"]]["captions"][0]
        embeddings, mask = generator.text_encoder.encode([caption])
        with torch.no_grad():
            if args.weights is None:
                logits = generator.checkpoint.model(embeddings, ids[:, :-1], text_mask=mask)
            else:
                engine = generator.engine(args.weights)
                logits = engine.start_cache(engine.encode(embeddings, mask), mask).append(ids[:, :-1])
        total += float(token_loss(logits, ids[:, 1:])) * (ids.shape[1] - 1)
        num_tokens += ids.shape[1] - 1
        num_notes += int(((ids >= 3) & (ids < 131)).sum())
    return {
        "split": args.split,
        "pieces": len(starts),
        "tokens": num_tokens,
        "nats_per_token": round(total / num_tokens, 4),
        "nats_per_note": round(total / num_notes, 4),
    }


def facts(midi: amt.MidiData) -> dict[str, object]:
    """Metre, tempo, key and instruments, from notes and maps alone."""
    metre, tempo = midi.time_signatures[0], midi.tempos[0]
    notes = midi.notes
    programs = {128 if is_drum else int(program) for program, is_drum in zip(notes.program, notes.is_drum, strict=True)}
    return {
        "metre": f"{metre.numerator}/{metre.denominator}",
        "tempo": 60e6 / tempo.us_per_beat,
        "key": estimate_key(notes),
        "programs": programs,
    }


def asked(piece: Piece) -> dict[str, object]:
    """The same facts as the piece's row states them; None where the caption does not."""
    row, caption = piece.row, piece.captions[KEYWORDS]
    key = None
    match = re.fullmatch(r"([A-G])([#b]?) (major|minor)", str(row.get("key", "")))
    spelled = match and match[1] + {"#": "-sharp", "b": "-flat", "": ""}[match[2]] + " " + match[3]
    if match and spelled and spelled in caption:
        key = (("C D EF G A B".index(match[1]) + (match[2] == "#") - (match[2] == "b")) % 12, match[3] == "minor")
    return {
        "metre": row["meter"] if str(row.get("meter")) in caption else None,
        "tempo": row["quarter_bpm"] if "BPM" in caption else None,
        "key": key,
        "programs": set(row["programs"]) | ({128} if row["drums"] else set()),
    }


def agreement(name: str, wish: object, fact: object) -> float:
    """1 or 0; for instruments the F1 of the two sets; for tempo whether it is within a tenth."""
    if name == "programs":
        common = len(wish & fact)
        return 2 * common / (len(wish) + len(fact)) if fact else 0.0
    if name == "tempo":
        return float(abs(fact / wish - 1) <= 0.1)
    return float(wish == fact)


def captions(args: argparse.Namespace) -> dict[str, object]:
    """Agreement of what was asked for and what was written, beside that with everybody else's captions (chance)."""
    pieces = draw(args.place, args.split, args.num)
    written = [facts(midi.score) for midi in write_all(args, pieces, KEYWORDS)]
    wishes = [asked(piece) for piece in pieces]
    result: dict[str, object] = {"split": args.split, "pieces": len(pieces), "max_new_tokens": args.max_new_tokens}
    rng = np.random.default_rng(0)
    for name in ("metre", "tempo", "key", "programs"):
        rows = [place for place, wish in enumerate(wishes) if wish[name] is not None]
        table = np.array([[agreement(name, wishes[i][name], written[j][name]) for j in rows] for i in rows])
        own = np.diag(table)
        others = (table.sum(1) - own) / (len(rows) - 1)
        draws = rng.integers(0, len(rows), (2000, len(rows)))
        low, high = np.percentile(own[draws].mean(1), [2.5, 97.5])
        gain_low, gain_high = np.percentile((own - others)[draws].mean(1), [2.5, 97.5])
        result[name] = {
            "n": len(rows),
            "value": round(float(own.mean()), 3),
            "low": round(float(low), 3),
            "high": round(float(high), 3),
            "chance": round(float(others.mean()), 3),
            "gain_low": round(float(gain_low), 3),
            "gain_high": round(float(gain_high), 3),
        }
    return result


def files(args: argparse.Namespace) -> dict[str, object]:
    """Writes many files and reads each with mido, symusic and pretty_midi."""
    import mido
    import pretty_midi
    import symusic

    drawn = draw(args.place, args.split, min(args.num, 400))
    pieces = [drawn[place % len(drawn)] for place in range(args.num)]
    written = write_all(args, pieces, 0)
    problems: list[str] = []
    num_notes = 0
    for place, piece in enumerate(written):
        file = piece.to_bytes()
        own = sorted((n.start_ticks, n.end_ticks, n.pitch) for n in piece.notes)
        num_notes += len(own)
        score = symusic.Score.from_midi(file)
        theirs = sorted((n.time, n.time + n.duration, n.pitch) for track in score.tracks for n in track.notes)
        if theirs != own:
            problems.append(f"{place}: symusic reads other notes")
        if sum(len(i.notes) for i in pretty_midi.PrettyMIDI(io.BytesIO(file)).instruments) != len(own):
            problems.append(f"{place}: pretty_midi reads another number of notes")
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
            problems.append(f"{place}: mido reads {starts} notes of {len(own)}, {len(sounding)} of them stuck")
        if piece.tokens[-1] != 2:
            problems.append(f"{place}: the sequence has no end")
    return {"files": len(written), "notes": num_notes, "problems": problems}


def plots(args: argparse.Namespace) -> dict[str, object]:
    """Piano rolls of pieces for different captions."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    pieces = draw(args.place, args.split, args.num)
    for place, piece in enumerate(write_all(args, pieces, KEYWORDS)):
        piece.save(folder / f"{place}.mid")
        axes = piece.plot()
        axes.figure.savefig(folder / f"{place}.png", dpi=70)
        plt.close(axes.figure)
    return {"folder": str(folder), "captions": [piece.captions[KEYWORDS] for piece in pieces]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["loss", "captions", "files", "plots"])
    parser.add_argument("place", help="a prepared folder (loss) or a corpus")
    parser.add_argument("--model", help="default: the model in the package")
    parser.add_argument("--weights", choices=["float32", "bfloat16", "int8"], help="of the engine; loss: not PyTorch")
    parser.add_argument("--split", default="valid", choices=["train", "valid", "test"])
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--max-new-tokens", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", default="plots")
    args = parser.parse_args()
    print(json.dumps({"what": args.what, "model": args.model or "packaged"} | globals()[args.what](args), indent=1))


if __name__ == "__main__":
    main()
