"""`amt render`: a MIDI file as sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amt.cli import files
from amt.cli.errors import UsageError, checking_options


def render(
    source: Annotated[str, typer.Argument(metavar="IN.mid", help="The MIDI file; - is stdin.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file of sound: .wav, .flac, .ogg. Without it: IN.wav."
        ),
    ] = None,
    sample_rate: Annotated[int, typer.Option(metavar="HZ", help="Samples a second.")] = 44_100,
    soundfont: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What to play with (.sf2, .sf3). Default: AMT_SOUNDFONT, or what is found."),
    ] = None,
) -> None:
    """Write the sound of a MIDI file."""
    from amt.views.sound import choose_renderer, is_audio

    name = output or ("music.wav" if source == files.STANDARD else f"{Path(source).stem}.wav")
    if not is_audio(name):
        raise UsageError(f"{name} is no name of a file of sound; name one, as in: -o {Path(name).stem or 'song'}.wav")
    files.check_output(name)
    if output is None and Path(name).exists():
        raise FileExistsError(f"{name} is there already; name the new file, as in: -o {Path(name).stem}-new.wav")
    with checking_options():
        choose_renderer(name, soundfont, sample_rate)
        files.write_music(name, files.read_midi(source), sample_rate=sample_rate, soundfont=soundfont)
