// Draws the notes: a lane for each instrument, bars, the playhead and what is selected.

export const RULER = 24, LANE = 84;

export function colors() {
  const style = getComputedStyle(document.documentElement);
  const of = name => style.getPropertyValue(name).trim();
  return {lane: of("--lane"), card: of("--card"), grid: of("--grid"), bar: of("--bar"), line: of("--line"),
    quiet: of("--quiet"), accent: of("--accent"), drum: of("--drum"),
    isDark: matchMedia("(prefers-color-scheme: dark)").matches};
}

// The colour of a track; lighter on dark paper.
export function colorOf(track, look) {
  if (track.program === 128) return look.drum;
  if (!look.isDark) return track.color;
  const parts = track.color.match(/[0-9a-f]{2}/gi).map(part => Math.round(parseInt(part, 16) * .65 + 255 * .35));
  return `rgb(${parts.join(" ")})`;
}

// The lowest and the highest pitch of each track.
function ranges(piece) {
  const found = piece.tracks.map(() => [127, 0]);
  for (const [, , pitch, , track] of piece.notes) {
    found[track][0] = Math.min(found[track][0], pitch);
    found[track][1] = Math.max(found[track][1], pitch);
  }
  return found.map(([low, high]) => {
    const room = Math.max(0, 12 - (high - low));
    return [low - Math.ceil(room / 2), high + Math.floor(room / 2)];
  });
}

export class Roll {
  constructor(canvas, scroller) {
    this.canvas = canvas;
    this.scroller = scroller;
    this.scale = 40;  // pixels a second
    this.piece = null;
  }

  x(seconds) { return seconds * this.scale; }
  seconds(x) { return x / this.scale; }

  // The bar, counted from 1, at a time.
  barAt(seconds) {
    const bars = this.piece.bars_s;
    let number = 1;
    while (number < bars.length && bars[number] <= seconds + 1e-6) number++;
    return number;
  }

  spanOf(first, last) {
    const bars = this.piece.bars_s;
    return [bars[first - 1] ?? 0, bars[last] ?? this.piece.duration_s];
  }

  fit() {
    const seconds = Math.max(this.piece.duration_s, 4);
    this.scale = Math.min(90, Math.max(this.scroller.clientWidth / seconds, 14));
  }

  draw({position = 0, selection = null, chosen = null, hears = () => true} = {}) {
    const {canvas, piece} = this;
    if (!piece) return;
    const look = colors(), ratio = window.devicePixelRatio || 1;
    const seen = this.scroller.clientWidth;
    const width = Math.min(Math.max(Math.ceil(this.x(piece.duration_s)) + 24, seen), 32000);
    const height = RULER + Math.max(1, piece.tracks.length) * LANE;
    const fits = Math.min(ratio, 32000 / width);
    if (canvas.width !== Math.round(width * fits) || canvas.height !== Math.round(height * fits)) {
      canvas.width = Math.round(width * fits);
      canvas.height = Math.round(height * fits);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
    }
    const context = canvas.getContext("2d");
    context.setTransform(fits, 0, 0, fits, 0, 0);
    context.fillStyle = look.lane;
    context.fillRect(0, 0, width, height);
    const left = this.scroller.scrollLeft - 50, right = left + seen + 100;  // only what is seen is drawn

    if (selection) {
      const [from, to] = this.spanOf(...selection);
      context.fillStyle = look.accent;
      context.globalAlpha = .13;
      piece.tracks.forEach((_, track) => {
        if (!chosen || chosen.has(track)) context.fillRect(this.x(from), RULER + track * LANE, this.x(to - from), LANE);
      });
      context.globalAlpha = .3;
      context.fillRect(this.x(from), 0, this.x(to - from), RULER);
      context.globalAlpha = 1;
    }
    context.font = "11px system-ui, sans-serif";
    const every = [1, 2, 4, 8, 16, 32, 64].find(step =>
      this.x(piece.duration_s) / Math.max(1, piece.bars_s.length / step) > 30) || 128;
    piece.bars_s.forEach((bar, index) => {
      const x = this.x(bar);
      if (x < left || x > right) return;
      const isMain = index % every === 0;
      context.fillStyle = isMain ? look.bar : look.grid;
      if (isMain || every < 4) context.fillRect(x, isMain ? 0 : RULER, 1, height);
      context.fillStyle = look.quiet;
      if (isMain) context.fillText(String(index + 1), x + 5, 16);
    });
    context.fillStyle = look.line;
    piece.tracks.forEach((_, track) => context.fillRect(0, RULER + track * LANE, width, 1));

    const range = ranges(piece);
    for (const [start, length, pitch, velocity, track] of piece.notes) {
      const x = this.x(start), size = Math.max(2, this.x(length === null ? .15 : length) - 1);
      if (x + size < left || x > right) continue;
      const [low, high] = range[track], step = (LANE - 16) / (high - low + 1);
      const y = RULER + track * LANE + 8 + (high - pitch) * step;
      context.globalAlpha = (hears(track) ? .55 + .45 * velocity / 127 : .18);
      context.fillStyle = colorOf(piece.tracks[track], look);
      context.beginPath();
      context.roundRect(x, y, size, Math.max(2.5, Math.min(step - .5, 8)), 2);
      context.fill();
    }
    context.globalAlpha = 1;
    context.fillStyle = look.accent;
    context.fillRect(this.x(position) - 1, 0, 2, height);
    context.beginPath();
    context.arc(this.x(position), 5, 5, 0, 7);
    context.fill();
  }

  // Keeps the playhead in sight.
  followTo(position) {
    const x = this.x(position), {scrollLeft, clientWidth} = this.scroller;
    if (x < scrollLeft || x > scrollLeft + clientWidth - 60) this.scroller.scrollLeft = Math.max(0, x - 80);
  }
}

// A small picture of a whole piece.
export function sketch(canvas, piece) {
  const ratio = window.devicePixelRatio || 1, look = colors();
  const width = canvas.clientWidth || 180, height = canvas.clientHeight || 54;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const pitches = piece.notes.map(note => note[2]);
  const low = Math.min(...pitches, 127) - 2, high = Math.max(...pitches, 0) + 2, seconds = Math.max(piece.duration_s, 1);
  for (const [start, length, pitch, , track] of piece.notes) {
    context.fillStyle = colorOf(piece.tracks[track], look);
    context.fillRect(start / seconds * width, (high - pitch) / (high - low) * (height - 3),
      Math.max(1, (length || .1) / seconds * width), 2);
  }
}
