"""`amt arrange`: music by rule, one piece or a whole corpus."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from amt.cli import files
from amt.cli.errors import UsageError, checking_options
from amt.cli.progress import progress_bar

WISHES, CORPUS = "What is fixed; the rest is drawn from the seed", "A corpus to train on"


def arrange(
    style: Annotated[
        str | None, typer.Argument(metavar="STYLE", help='Like "bossa nova", or a style file (*.toml); see --list.')
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="The MIDI file; - is stdout. With -n: the folder to make."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="The same number gives the same music; it is printed.")
    ] = None,
    key: Annotated[str | None, typer.Option(help='Like "D minor" or "G mixolydian".', rich_help_panel=WISHES)] = None,
    tempo: Annotated[float | None, typer.Option(help="Beats a minute.", rich_help_panel=WISHES)] = None,
    time_signature: Annotated[str | None, typer.Option(help="Like 3/4.", rich_help_panel=WISHES)] = None,
    bars: Annotated[int | None, typer.Option(help="Length in bars.", rich_help_panel=WISHES)] = None,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Length, about.", rich_help_panel=WISHES)
    ] = None,
    chords: Annotated[
        str | None, typer.Option(help='Like "Am7 D7 Gmaj7" or "C | Am F | G".', rich_help_panel=WISHES)
    ] = None,
    instruments: Annotated[
        str | None, typer.Option(help='Just these play, like "flute,nylon guitar,drums".', rich_help_panel=WISHES)
    ] = None,
    num: Annotated[
        int | None,
        typer.Option(
            "--num", "-n", min=1, max=10_000_000, help="So many pieces, of all styles.", rich_help_panel=CORPUS
        ),
    ] = None,
    style_names: Annotated[
        str | None,
        typer.Option(
            "--styles",
            help='With -n: only these, like "pop,jazz waltz"; or files and folders of styles of your own.',
            rich_help_panel=CORPUS,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=1024, help="Processes that compose.", rich_help_panel=CORPUS)] = 1,
    as_files: Annotated[
        bool, typer.Option("--files", help="MIDI files, not one archive.", rich_help_panel=CORPUS)
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the piece's facts as a line of JSON.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="Print the styles.")] = False,
) -> None:
    """Compose music by rule: a piece in a style, or a corpus with captions to train on."""
    if show_list:
        _print_styles()
        return
    if num is not None:
        fixed = (key, tempo, time_signature, bars, duration, chords, instruments)
        if any(value is not None for value in fixed):
            raise UsageError("a corpus (-n) is drawn freely; leave out --key, --tempo, --bars, --chords and the like")
        _write_corpus(style, style_names, output, num, seed or 0, jobs, as_files)
        return
    if style is None:
        raise UsageError('name a style, as in: amt arrange "bossa nova" -o bossa.mid; amt arrange --list prints them')
    from amt.arranger.arrange import arrange as compose_piece
    from amt.cli import words

    if output is not None:
        files.check_output(output)
    with checking_options():
        piece = compose_piece(
            style,
            seed=seed,
            key=key,
            tempo=tempo,
            time_signature=time_signature,
            bars=bars,
            duration=duration,
            chords=chords,
            instruments=None if instruments is None else [word.strip() for word in instruments.split(",")],
        )
    name = output or f"{re.sub(r'[^a-z0-9]+', '-', Path(style).stem.lower()).strip('-')}-{piece.facts['seed']}.mid"
    if output is None and Path(name).exists():
        raise UsageError(f"{name} exists; name another file with -o")
    files.write_music(name, piece.music)
    if name == files.STANDARD:
        return
    if as_json:
        print(json.dumps({"file": name, **piece.row}, ensure_ascii=False))
        return
    facts = piece.facts
    key_words = f"{facts['key']}, " if facts["key"] else ""
    print(
        f"{name}: {facts['style']}, {key_words}{facts['meter']}, {facts['tempo_bpm']} BPM, {facts['bars']} bars,"
        f" {words.duration(facts['duration_s'])}, {words.count(facts['n_notes'], 'note')}, seed {facts['seed']}"
    )


def _print_styles() -> None:
    from amt.arranger.library import styles

    for style in styles().values():
        low, high = style.tempo
        others = f"; also {', '.join(each.substyle for each in style.substyles)}" if style.substyles else ""
        print(f"{style.name:24} {style.family:12} {', '.join(style.metres):14} {low:.0f} to {high:.0f} BPM{others}")


def _write_corpus(
    style: str | None, names: str | None, output: str | None, num: int, seed: int, jobs: int, as_files: bool
) -> None:
    from amt.arranger.arrange import check_styles
    from amt.arranger.corpus import write_corpus
    from amt.cli import words

    if output is None:
        raise UsageError("name the folder to make, as in: amt arrange -n 1000 -o CORPUS")
    wanted = [word.strip() for text in (style, names) if text for word in text.split(",")]
    with checking_options():
        chosen = check_styles(wanted) if wanted else None
    with progress_bar("pieces", total=num) as bar:
        summary = write_corpus(
            output, num, seed=seed, style_names=chosen, jobs=jobs, as_files=as_files, progress=bar.update
        )
    hours = summary["seconds"] / 3600
    print(
        f"{output}: {words.count(summary['pieces'], 'piece')}, {hours:.1f} hours,"
        f" {words.count(summary['notes'], 'note')}, {words.count(summary['captions'], 'different caption')}"
    )
