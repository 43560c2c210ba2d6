// A page of stubs for the player's script, with a clock that we move: node player_page.js SCRIPT ROOT_ID
const fs = require("fs");

let now = 0, closed = 0, started = [], lastTimer = 0;
const timers = new Map(), listeners = {};

function check(...numbers) {
  for (const x of numbers) if (!Number.isFinite(x) || x < 0) throw Error("not a time or a level: " + x);
}

const parameter = () => ({
  value: 0,
  setValueAtTime: check,
  linearRampToValueAtTime: check,
  setTargetAtTime: check,
  exponentialRampToValueAtTime(value, time) {
    check(value, time);
    if (value === 0) throw Error("an exponential ramp cannot reach 0");
  },
});

const node = () => ({
  frequency: parameter(),
  gain: parameter(),
  detune: parameter(),
  Q: parameter(),
  setPeriodicWave() {},
  connect: other => other,
  start(time) { check(time); started.push(Math.round(time * 1000) / 1000); },
  stop(time) { check(time); },
});

global.AudioContext = class {
  constructor() { this.sampleRate = 100; this.destination = {}; this.begin = now; }
  get currentTime() { return now - this.begin; }
  close() { closed++; }
  createOscillator() { return node(); }
  createGain() { return node(); }
  createPeriodicWave() { return {}; }
  createBiquadFilter() { return node(); }
  createBufferSource() { return node(); }
  createDynamicsCompressor() { return node(); }
  createBuffer(channels, length) { return { getChannelData: () => new Float32Array(length) }; }
};
global.setInterval = callback => { timers.set(++lastTimer, callback); return lastTimer; };
global.clearInterval = timer => timers.delete(timer);

const element = name => ({
  textContent: "",
  setAttribute() {},
  addEventListener(kind, callback) { listeners[name] = callback; },
  getBoundingClientRect: () => ({ left: 0 }),
});
const parts = { button: element("button"), output: element("output"), svg: element("svg"), ".head": element("head") };
const root = { isConnected: true, querySelector: selector => parts[selector] };
global.document = { getElementById: id => (id === process.argv[3] ? root : null) };

const script = fs.readFileSync(process.argv[2], "utf8");
eval(script);

function playToTheEnd() {
  started = [];
  if (!timers.size) listeners.button();
  for (let step = 0; timers.size; step++) {
    if (step > 1e5) throw Error("the player never ends");
    now += 0.04;
    for (const callback of [...timers.values()]) callback();
  }
  return started.sort((a, b) => a - b);
}

const times = playToTheEnd();
const result = { times, closed, button: parts.button.textContent, clock: parts.output.textContent };
const [, scale] = /scale = ([0-9.]+)/.exec(script), [, left] = /left = ([0-9.]+)/.exec(script);
listeners.svg({ clientX: Number(left) + 2.0 * Number(scale) });
result.afterSeek = playToTheEnd();
console.log(JSON.stringify(result));
