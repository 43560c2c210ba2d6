// Plays a piece with WebAudio while it is there or still being written. `piece` is {notes, tracks, duration_s, ready_s}:
// ready_s says up to where it is written (Infinity: whole).

const AHEAD = .25, TICK = 40;

export class Player {
  constructor(onChange) {
    this.onChange = onChange;
    this.piece = null;
    this.position = 0;
    this.audio = null;
    this.muted = new Set();
    this.soloed = new Set();
    this.timer = 0;
    this.sounding = [];
  }

  get isPlaying() { return this.timer !== 0; }

  // Must come from a click: browsers let nothing sound before one.
  wake() {
    if (!this.audio) {
      this.audio = new AudioContext();
      this.master = this.audio.createDynamicsCompressor();
      this.analyser = this.audio.createAnalyser();
      this.analyser.fftSize = 2048;
      this.master.connect(this.analyser).connect(this.audio.destination);
      this.synth = amtSynth(this.audio, this.master);
    }
    this.audio.resume();
  }

  // How loud it is now, 0..1: for tests and meters.
  loudness() {
    if (!this.analyser) return 0;
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    return Math.max(...samples.map(Math.abs));
  }

  show(piece, position = 0) {
    this.stop();
    this.piece = piece;
    this.position = position;
    this.onChange();
  }

  hears(track) { return this.soloed.size ? this.soloed.has(track) : !this.muted.has(track); }

  play() {
    if (!this.piece || this.isPlaying) return;
    this.wake();
    if (this.position >= this.piece.duration_s - .05 && this.piece.ready_s === Infinity) this.position = 0;
    this.begin(this.position);
    this.timer = setInterval(() => this.tick(), TICK);
    this.onChange();
  }

  begin(position) {
    this.position = position;
    this.origin = this.audio.currentTime + .06 - position;
    this.played = new Set();
    this.from = position;
  }

  tick() {
    const {notes, tracks, duration_s, ready_s} = this.piece;
    let now = this.audio.currentTime - this.origin;
    if (now > ready_s - AHEAD && ready_s !== Infinity) {  // it is still being written there: wait
      const held = Math.max(this.position, Math.min(now, ready_s - AHEAD));
      this.origin += now - held;
      now = held;
    }
    this.position = Math.max(now, 0);
    for (let index = 0; index < notes.length; index++) {
      const [start, length, pitch, velocity, track] = notes[index];
      if (start < this.from - .001 || start > now + AHEAD || this.played.has(index)) continue;
      this.played.add(index);
      if (start < now - .5 || !this.hears(track)) continue;
      const known = length === null ? Math.max(.4, ready_s - start) : length;
      const time = Math.max(this.origin + start, this.audio.currentTime);
      const silence = this.synth.play([start, known, pitch, velocity, tracks[track].program], time);
      this.sounding.push([time + known + 1, silence]);
    }
    this.sounding = this.sounding.filter(([end]) => end > this.audio.currentTime);
    if (now > duration_s + .6 && ready_s === Infinity) { this.stop(); this.position = 0; }
    this.onChange();
  }

  hush() {
    for (const [, silence] of this.sounding) try { silence(); } catch { /* it has ended by itself */ }
    this.sounding = [];
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.hush();
    this.onChange();
  }

  seek(position) {
    const end = this.piece ? this.piece.duration_s : 0;
    this.position = Math.min(Math.max(position, 0), end);
    if (this.isPlaying) { this.hush(); this.begin(this.position); }
    this.onChange();
  }

  // What is muted falls silent at once, and what is heard again begins with its next note.
  listenAgain() { if (this.isPlaying) { this.hush(); this.begin(this.position); } }
}
