"""A table of prompts, what lies in a folder of results, and ways to end processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import amt

ROWS = [
    {"text": "a slow waltz for piano", "id": "waltz", "seed": 7},
    {"text": "a jig for fiddle", "instruments": ["violin"], "tempo": [100, 120]},
    {"text": "a reel", "temperature": "warm"},
    {"text": "a march", "id": "march", "max_voices": {"piano": 2}, "num_beams": 2},
    {"text": "a song that goes on", "prompt_midi": "start.mid", "max_new_tokens": 90},
    {"text": "an air", "do_sample": False, "rerank": 1},
    {"text": "a polka", "key": "H flat", "id": "polka"},
    {"text": "a waltz", "rerank": 3},
]
BAD_LINES = [3, 7]


def write_table(folder, rows=ROWS):
    """A table, and the file that one of its rows goes on from."""
    table = folder / "prompts.jsonl"
    table.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    amt.MidiData([amt.Note(0, 480, 60, 80)]).save(folder / "start.mid")
    return table


def files_of(folder):
    """What is in a folder, but for the lock."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.name != ".lock"}


def lines_of(folder):
    """The whole lines of the table of results."""
    path = Path(folder) / "results.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def command(*arguments):
    """A process of the command, in a session of its own."""
    line = [sys.executable, "-m", "amt", "generate-batch", *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process=None, seconds=300):
    """Until something is so; the process must live."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)
    return found


def children_of(pid):
    """The processes that a process has started and that live: their ids by their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid and state != "Z":
            found[int(folder.name)] = words
    return found


def kill(pid):
    os.kill(pid, signal.SIGKILL)
