"""Notes as one piece of HTML: a picture, a player, and the MIDI file to download. It loads nothing from anywhere.

The sound is made by the browser: `synth.js`.
"""

from __future__ import annotations

import base64
import html
import json
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amt.midi.data import MidiData
from amt.views.piano_roll import PianoRoll

MAX_NOTES = 20_000  # of a picture and its player; the download always has all
LEFT, TOP, ROW, BOTTOM = 92, 4, 8, 18  # sizes in pixels; ROW is the height of a row

STYLE = """
#ID{border:1px solid #d5d7de;border-radius:8px;background:#fff;color:#23252e;padding:12px 14px;max-width:1200px;
font:13px/1.45 system-ui,sans-serif}
#ID h4{margin:0 0 2px;font-size:15px;font-weight:600;overflow-wrap:anywhere}
#ID p{margin:0 0 8px;color:#666a78}
#ID .warning{color:#8a4b00;margin-bottom:4px}
#ID .keys span{display:inline-block;margin-right:14px;white-space:nowrap}
#ID .keys i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:5px;vertical-align:-1px}
#ID .roll{overflow-x:auto;margin:8px 0}
#ID svg{display:block;cursor:pointer}
#ID button,#ID a{font:inherit;color:#23252e;background:#eef0f5;border:1px solid #d5d7de;border-radius:6px;
padding:3px 12px;margin-right:8px;text-decoration:none;cursor:pointer;display:inline-block}
#ID button:hover,#ID a:hover{background:#e2e5ee}
#ID output{color:#666a78;font-variant-numeric:tabular-nums}
"""

# NOTES are [start s, length s, pitch, velocity, program or 128 for drums], sorted by start.
SCRIPT = """
(() => {
SYNTH
const root = document.getElementById("ID"), notes = NOTES, duration = DURATION, scale = SCALE, left = LEFT;
const button = root.querySelector("button"), clock = root.querySelector("output");
const svg = root.querySelector("svg"), head = root.querySelector(".head");
let audio = null, synth = null, timer = 0, origin = 0, position = 0, next = 0;

function show() {
  const x = left + position * scale;
  head.setAttribute("x1", x);
  head.setAttribute("x2", x);
  const mmss = s => Math.floor(s / 60) + ":" + String(Math.floor(s % 60)).padStart(2, "0");
  clock.textContent = mmss(position) + " / " + mmss(duration);
}

function tick() {
  position = Math.min(audio.currentTime - origin, duration);
  if (!root.isConnected) return stop();
  for (; next < notes.length && notes[next][0] < position + .3; next++) {
    synth.play(notes[next], Math.max(origin + notes[next][0], audio.currentTime));
  }
  if (audio.currentTime - origin > duration + .7) { stop(); position = 0; }  // the last notes ring out
  show();
}

function stop() {
  clearInterval(timer);
  timer = 0;
  if (audio) audio.close();
  audio = null;
  button.textContent = "\\u25b6 Play";
}

function play() {
  audio = new AudioContext();
  const output = audio.createDynamicsCompressor();
  output.connect(audio.destination);
  synth = amtSynth(audio, output);
  origin = audio.currentTime + .1 - position;
  next = notes.findIndex(note => note[0] >= position - .001);
  if (next < 0) next = notes.length;
  timer = setInterval(tick, 40);
  button.textContent = "\\u25a0 Stop";
}

button.addEventListener("click", () => timer ? stop() : play());
svg.addEventListener("click", event => {
  const x = event.clientX - svg.getBoundingClientRect().left, wasPlaying = timer;
  if (timer) stop();
  position = Math.min(Math.max((x - left) / scale, 0), duration);
  show();
  if (wasPlaying) play();
});
show();
})();
"""


def player_html(
    music: MidiData, *, title: str = "", facts: Sequence[str] = (), warnings: Sequence[str] = (), name: str = "amt.mid"
) -> str:
    """A self-contained piece of HTML for a notebook or a page.

    Args:
        title: above the picture; any text, it is escaped.
        facts: short texts for the line below the title, after duration and number of notes.
        warnings: one line each.
        name: of the downloaded file.
    """
    roll = PianoRoll.of(music)
    root = f"amt-{uuid.uuid4().hex}"  # the same piece may be shown twice on one page
    scale = round(min(max(40.0, 860 / max(roll.duration_s, 0.1)), 400.0, 60_000 / max(roll.duration_s, 0.1)), 3)
    line = [f"{roll.duration_s:.1f} s", f"{len(roll.row)} notes", *facts]
    if len(roll.row) > MAX_NOTES:
        line.append(f"shown and played: the first {MAX_NOTES}")
    keys = "".join(
        f'<span><i style="background:{color}"></i>{html.escape(instrument)}</span>'
        for instrument, color in zip(roll.instruments, roll.colors, strict=True)
    )
    url = "data:audio/midi;base64," + base64.b64encode(music.to_bytes()).decode()
    values = {"NOTES": _notes_json(music, roll), "DURATION": f"{roll.duration_s:.4f}", "SCALE": scale, "LEFT": LEFT}
    script = SCRIPT.replace('"ID"', f'"{root}"').replace("SYNTH", synth_script())
    for key, value in values.items():
        script = script.replace(f"= {key}", f"= {value}", 1)
    return (
        f'<div id="{root}"><style>{STYLE.replace("#ID", f"#{root}")}</style>'
        + (f"<h4>{html.escape(title)}</h4>" if title else "")
        + f"<p>{html.escape(' · '.join(line))}</p>"
        + "".join(f'<p class="warning">{html.escape(warning)}</p>' for warning in warnings)
        + f'<div class="keys">{keys}</div><div class="roll">{_svg(roll, scale)}</div>'
        + "<button>▶ Play</button>"
        + f'<a href="{url}" download="{html.escape(name)}">Download MIDI</a><output></output>'
        + f"<script>{script}</script></div>"
    )


def synth_script() -> str:
    """The script of the instruments: it defines `amtSynth`."""
    return Path(__file__).with_name("synth.js").read_text(encoding="utf-8")


def _notes_json(music: MidiData, roll: PianoRoll) -> str:
    """Numbers only, so that nothing in it can end the script."""
    programs = np.where(music.notes.is_drum, 128, music.notes.program).tolist()
    starts, lengths = roll.start_s.round(4).tolist(), (roll.end_s - roll.start_s).round(4).tolist()
    pitches, velocities = music.notes.pitch.tolist(), music.notes.velocity.tolist()
    rows = list(zip(starts, lengths, pitches, velocities, programs, strict=True))
    return json.dumps(rows[:MAX_NOTES], separators=(",", ":"))


def _svg(roll: PianoRoll, scale: float) -> str:
    width, height = LEFT + roll.duration_s * scale + 16, TOP + roll.num_rows * ROW + BOTTOM
    bottom = TOP + roll.num_rows * ROW
    right = LEFT + roll.duration_s * scale

    def y(row: float) -> float:
        return bottom - (row + 1) * ROW

    look = 'font-family="system-ui,sans-serif" font-size="9" role="img"'
    parts = [f'<svg width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}" {look}>']
    black = "".join(f"M{LEFT} {y(row)}H{right:.1f}v{ROW}H{LEFT}z" for row in roll.black_rows)
    parts.append(f'<path d="{black}" fill="#f3f4f7"/>')
    for times, color in ((roll.beat_s, "#e9eaef"), (roll.bar_s, "#b9bcc8")):
        lines = "".join(f"M{LEFT + x:.1f} {TOP}V{bottom}" for x in (times * scale).tolist())
        parts.append(f'<path d="{lines}" stroke="{color}" stroke-width=".7"/>')
    for row, label in roll.row_labels:
        parts.append(
            f'<text x="{LEFT - 5}" y="{y(row) + ROW - 1}" text-anchor="end" fill="#666a78">{html.escape(label)}</text>'
        )
    step = next((step for step in (1, 2, 5, 10, 30, 60, 300, 600) if step * scale >= 60), int(60 / scale))
    for second in range(0, int(roll.duration_s) + 1, step):
        x = LEFT + second * scale
        parts.append(f'<text x="{x:.1f}" y="{bottom + 12}" text-anchor="middle" fill="#666a78">{second} s</text>')
    opacity = (roll.opacity() * 8).round() / 8  # few steps: notes of one look share a path
    for index, color in enumerate(roll.colors):
        for level in np.unique(opacity[roll.instrument == index]).tolist():
            chosen = np.flatnonzero((roll.instrument == index) & (opacity == level))
            chosen = chosen[chosen < MAX_NOTES]
            left = (LEFT + roll.start_s[chosen] * scale).tolist()
            length = np.maximum((roll.end_s - roll.start_s)[chosen] * scale - 0.5, 1.5).tolist()
            bars = "".join(
                f"M{x:.1f} {y(row) + 0.5}h{size:.1f}v{ROW - 1}h-{size:.1f}z"
                for x, size, row in zip(left, length, roll.row[chosen].tolist(), strict=True)
            )
            parts.append(f'<path d="{bars}" fill="{color}" fill-opacity="{level:g}"/>')
    parts.append(
        f'<line class="head" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{bottom}" stroke="#d33" stroke-width="1.5"/>'
    )
    return "".join(parts) + "</svg>"
