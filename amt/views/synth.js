// Instruments and drums from oscillators and noise, for WebAudio: the same idea as amt/views/synthesis.py.
// amtSynth(audio, output).play(note, time) plays [start s, length s, pitch, velocity, program or 128 for drums] at a
// time of the audio clock and returns a function that silences it. Nothing is loaded.
function amtSynth(audio, output) {
  // Of each family of eight programs: partials as [number, fall, loudness of even ones] or a list, attack, release,
  // decay (0: the note is held), detuning in cents, vibrato in cents, brightness of the filter, level.
  const piano = [[14, 1.5, 1], .002, .14, 1.4, 0, 0, 9, 1];
  const families = [piano, [[1, 0, 0, .45, 0, 0, 0, 0, .15], .001, .4, .8, 0, 0, 14, .9],
    [[1, .7, .45, .35, 0, .2, 0, .25], .01, .06, 0, 0, 4, 10, .5], [[16, 1.25, .8], .002, .1, 1, 0, 0, 7, 1],
    [[10, 1.55, 1], .004, .08, 1.2, 0, 0, 6, 1.3], [[16, 1.1, 1], .06, .12, 0, 0, 16, 6, .55],
    [[12, 1.25, 1], .11, .28, 0, 9, 6, 5, .45], [[14, .95, 1], .035, .09, 0, 0, 6, 5, .5],
    [[14, 1, .55], .03, .08, 0, 0, 9, 6, .5], [[1, .35, .12, .05], .05, .1, 0, 0, 10, 9, .8],
    [[20, 1.05, 1], .006, .08, 0, 6, 0, 7, .4], [[10, 1.4, 1], .22, .5, 0, 11, 0, 4, .45],
    [[1, 0, .5, 0, .3, 0, .2], .05, .5, 1.6, 8, 0, 7, .5], [[16, 1.05, 1], .002, .1, .7, 0, 0, 8, .8],
    [[1, .3, .5, .1, .2], .001, .25, .5, 0, 0, 12, 1], [[1, .5, .3], .05, .3, .8, 0, 0, 6, .3]];
  const programs = {4: [[1, .28, .06, .02, 0, 0, .1], .003, .15, 1.3, 3, 0, 12, 1],
    29: [[24, .75, .7], .004, .08, 0, 5, 0, 7, .36], 30: [[28, .6, .8], .004, .08, 0, 6, 0, 7, .3],
    45: [[12, 1.3, 1], .002, .1, .25, 0, 0, 6, 1], 80: [[23, 1, 0], .004, .05, 0, 0, 0, 9, .45]};
  const waves = new Map();
  const noise = audio.createBuffer(1, audio.sampleRate, audio.sampleRate), samples = noise.getChannelData(0);
  for (let i = 0; i < samples.length; i++) samples[i] = 2 * Math.random() - 1;

  function wave(partials) {
    if (waves.has(partials)) return waves.get(partials);
    const isFall = partials.length === 3 && partials[0] > 1, num = isFall ? partials[0] : partials.length;
    const real = new Float32Array(num + 1), imaginary = new Float32Array(num + 1);
    for (let k = 1; k <= num; k++)
      imaginary[k] = isFall ? (k % 2 ? 1 : partials[2]) / Math.pow(k, partials[1]) : partials[k - 1];
    const made = audio.createPeriodicWave(real, imaginary);
    waves.set(partials, made);
    return made;
  }

  const level = note => .2 * Math.pow(note[3] / 127, 1.5);

  function playPitch(note, time) {
    const [partials, attack, release, decay, detune, vibrato, bright, loud] = programs[note[4]] || families[note[4] >> 3];
    const frequency = 440 * Math.pow(2, (note[2] - 69) / 12), end = time + Math.max(note[1], .04);
    const gain = audio.createGain(), filter = audio.createBiquadFilter(), sources = [];
    filter.type = "lowpass";
    filter.frequency.value = Math.min(frequency * bright * (.6 + .6 * note[3] / 127) + 300, 14000);
    gain.gain.setValueAtTime(0, time);
    gain.gain.linearRampToValueAtTime(level(note) * loud, time + attack);
    if (decay) gain.gain.setTargetAtTime(0, time + attack, decay * Math.pow(262 / frequency, .5) / 2);
    gain.gain.setTargetAtTime(0, Math.max(end, time + attack), release / 3);
    for (const cents of detune ? [-detune, detune] : [0]) {
      const oscillator = audio.createOscillator();
      oscillator.setPeriodicWave(wave(partials));
      oscillator.frequency.value = frequency;
      oscillator.detune.value = cents;
      if (vibrato && note[1] > .35) {
        const swing = audio.createOscillator(), depth = audio.createGain();
        swing.frequency.value = 5.2;
        depth.gain.setValueAtTime(0, time);
        depth.gain.linearRampToValueAtTime(vibrato, time + .4);
        swing.connect(depth).connect(oscillator.detune);
        sources.push(swing);
      }
      oscillator.connect(filter);
      sources.push(oscillator);
    }
    filter.connect(gain).connect(output);
    for (const source of sources) { source.start(time); source.stop(end + release * 2 + .05); }
    return () => sources.forEach(source => source.stop());
  }

  function playDrum(note, time) {
    const pitch = note[2], gain = audio.createGain(), isKick = pitch < 37, isSnare = [38, 40].includes(pitch);
    const isTom = [41, 43, 45, 47, 48, 50].includes(pitch) || pitch > 59 && ![69, 70, 75, 76, 77, 80, 81].includes(pitch);
    const isCymbal = [49, 51, 52, 53, 55, 57, 59].includes(pitch);
    const length = isCymbal ? 1.1 : pitch === 46 ? .45 : isKick || isTom ? .3 : isSnare ? .2 : .07, sources = [];
    gain.gain.setValueAtTime(level(note) * (isKick ? 2.6 : isSnare ? 1.6 : isTom ? 1.4 : .75), time);
    gain.gain.exponentialRampToValueAtTime(.0001, time + length);
    if (isKick || isTom || isSnare) {
      const oscillator = audio.createOscillator(), low = isKick ? 46 : isSnare ? 175 : 60 + 3 * (pitch - 35);
      oscillator.frequency.setValueAtTime(isKick ? 150 : low * 1.6, time);
      oscillator.frequency.exponentialRampToValueAtTime(low, time + .08);
      oscillator.connect(gain);
      sources.push(oscillator);
    }
    if (!isKick && !isTom) {
      const hiss = audio.createBufferSource(), filter = audio.createBiquadFilter();
      hiss.buffer = noise;
      filter.type = isSnare || pitch === 39 ? "bandpass" : "highpass";
      filter.frequency.value = isSnare || pitch === 39 ? 2400 : isCymbal ? 5000 : 7500;
      if (isSnare) filter.Q.value = .4;
      hiss.connect(filter).connect(gain);
      sources.push(hiss);
    }
    gain.connect(output);
    for (const source of sources) { source.start(time); source.stop(time + length); }
    return () => sources.forEach(source => source.stop());
  }

  return {play: (note, time) => (note[4] === 128 ? playDrum : playPitch)(note, time)};
}
