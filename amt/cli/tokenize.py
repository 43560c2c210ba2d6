"""`amt tokenize`: MIDI files as the tokens that a model reads, and back."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amt.cli import files
from amt.cli.errors import FAILED, UsageError, explain, tell, warn
from amt.errors import MidiError

if TYPE_CHECKING:
    from amt.midi.tokenizer import Encoding, EventTokenizer
    from amt.midi.vocabulary import Vocabulary


class Preset(str, enum.Enum):
    """The presets of TokenizerConfig."""

    score = "score"
    performance = "performance"


def tokenize(
    names: Annotated[list[str], typer.Argument(metavar="FILES", help="MIDI files; - is stdin.")],
    preset: Annotated[
        Preset, typer.Option(help="score: several instruments, in beats. performance: one, in 10 ms.")
    ] = Preset.score,
    ids: Annotated[bool, typer.Option("--ids", help="Print the numbers only, a line for each file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each file.")] = False,
    decode: Annotated[
        bool, typer.Option("--decode", help="The other way: FILES is one file of JSON, -o the MIDI file.")
    ] = False,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write; - (default) is stdout.")
    ] = None,
) -> None:
    """Print the tokens of MIDI files: what happens, in the words that a model reads."""
    from amt.midi.tokenizer import EventTokenizer

    if ids and as_json:
        raise UsageError("--ids and --json are two forms of one thing; leave one out")
    if decode:
        _decode(names, preset, output)
        return
    tokenizer = EventTokenizer(preset.value)
    if output is not None and output != files.STANDARD:
        files.check_output(output)
    pages = []
    for name in names:
        try:
            encoding = tokenizer.encode(files.read_midi(name))
        except (MidiError, OSError) as error:  # one bad file does not stop the others
            tell(explain(error))
            continue
        except ValueError as error:  # what it says is no music for tokens
            tell(f"{files.shown(name)}: {error}")
            continue
        if as_json:
            pages.append(json.dumps(_row(name, preset, encoding), ensure_ascii=False) + "\n")
        elif ids:
            pages.append(" ".join(map(str, encoding.ids.tolist())) + "\n")
        else:
            pages.append(_page(name, encoding, tokenizer))
    files.write(output, "".join(pages).encode(errors="backslashreplace"))  # names may be no UTF-8
    if len(pages) < len(names):
        raise typer.Exit(FAILED)


def _row(name: str, preset: Preset, encoding: Encoding) -> dict[str, Any]:
    report = encoding.report._asdict()
    return {"file": name, "preset": preset.value, "ids": encoding.ids.tolist(), "report": report}


def _page(name: str, encoding: Encoding, tokenizer: EventTokenizer) -> str:
    losses = [
        f"{field.replace('_', ' ')} {value}"
        for field, value in encoding.report._asdict().items()
        if value and field not in ("num_notes", "kept_notes", "moved_us_max", "tempo_ppm_max")
    ]
    if encoding.report.tempo_ppm_max >= 1000:  # a mark's own microseconds are whole, too
        losses.append(f"tempo changed by {encoding.report.tempo_ppm_max / 10_000:.1f} % at most")
    if encoding.report.moved_us_max:
        losses.append(f"moved by {encoding.report.moved_ms_max:.1f} ms at most")
    head = f"# {name}: {len(encoding)} tokens, {encoding.report.kept_notes} of {encoding.report.num_notes} notes"
    lines = [f"{head}; {', '.join(losses)}" if losses else head]
    return "\n".join([*lines, *_events(encoding.ids.tolist(), tokenizer.vocabulary)]) + "\n"


def _events(ids: list[int], vocabulary: Vocabulary) -> list[str]:
    """A line for each token: its id, its kind, and its value in words."""
    from amt.cli import words
    from amt.midi.vocabulary import DRUMS

    lines, program = [], 0
    for token_id in ids:
        event = vocabulary.event(token_id)
        program = event.value if event.kind == "program" else program
        value = words.event_value(event, vocabulary, is_drum=program == DRUMS)
        lines.append(f"{token_id:5} {event.kind} {value}".rstrip())
    return lines


def _decode(names: list[str], preset: Preset, output: str | None) -> None:
    from amt.midi.tokenizer import EventTokenizer

    if len(names) > 1 or output is None:
        raise UsageError(
            "--decode makes one MIDI file of one file of JSON; write: amt tokenize --decode IDS.json -o FILE.mid"
        )
    files.check_output(output)
    (name,) = names
    text = files.read_text(name)
    try:
        row = json.loads(text)
        if not isinstance(row, dict):
            row = {"ids": row}
        preset = Preset(row.get("preset", preset))
        data, report = EventTokenizer(preset.value).decode_with_report(row["ids"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{files.shown(name)} is not a list of token ids as JSON, or one line of amt tokenize --json: {error}"
        ) from error
    repairs = [f"{field.replace('_', ' ')} {value}" for field, value in report._asdict().items() if value]
    if repairs:
        warn(f"not a whole piece: {', '.join(repairs)}")
    files.write_music(output, data)
