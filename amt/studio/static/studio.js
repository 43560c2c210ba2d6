// The page: what is asked, what came, and how it is changed. `window.amtStudio` shows its state to tests.
import {ask, blob, follow, get, ServiceError} from "./service.js";
import {Player} from "./player.js";
import {Roll, RULER, LANE, sketch, colors, colorOf} from "./roll.js";

const $ = id => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (name in element && typeof value !== "string") element[name] = value; else element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const time = seconds => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const IDEAS = ["a lofi hip hop beat with electric piano, bass and drums, 84 bpm, 16 bars",
  "a slow sad waltz in D minor for piano and cello, 24 bars", "a lively Irish jig for fiddle and guitar, 16 bars",
  "a funk groove with slap bass, clean guitar and drums, 16 bars", "a string quartet in G major, 16 bars"];

// What can be changed by a chip: its name, the kinds of facts that say it, the option that fixes it, and an example.
const WISHES = [
  {name: "instruments", kinds: ["instrument", "ensemble"], option: "instruments", example: "piano, cello",
    choices: ["piano", "violin", "cello", "flute", "acoustic guitar (nylon)", "electric bass (finger)", "drums"]},
  {name: "key", kinds: ["key", "mode"], option: "key", example: "D minor", choices: ["C major", "A minor", "G major",
    "E minor", "D major", "D minor", "F major", "Bb major", "G minor"]},
  {name: "tempo", kinds: ["tempo"], option: "tempo", example: "96", choices: ["60", "84", "100", "120", "140", "174"]},
  {name: "metre", kinds: ["metre"], option: "time_signature", example: "3/4", choices: ["4/4", "3/4", "6/8", "2/4"]},
  {name: "bars", kinds: ["bars", "seconds", "length"], option: "bars", example: "16", choices: ["8", "16", "24", "32"]},
  {name: "chords", kinds: ["chords"], option: "chords", example: "C Am F G", choices: ["C Am F G", "ii-V-I in F",
    "Am F C G", "Dm7 G7 Cmaj7"]},
  {name: "style", kinds: ["style", "form"], option: null, example: "bossa nova", choices: ["waltz", "jazz", "rock",
    "bossa nova", "funk", "pop ballad", "hip hop", "baroque"]},
];

const state = {
  reading: null, own: {},                       // what was understood; what was set by hand
  piece: null, pieces: {},                      // what is shown; what was seen, by id
  steps: [], step: -1,                          // for undo and redo: ids
  candidates: [], writing: null,                // versions side by side; the request that is under way
  selection: null, chosen: new Set(),           // bars; tracks
};
const player = new Player(() => refresh());
const roll = new Roll($("roll"), $("scroller"));
window.amtStudio = {state, player, roll};

// ---------------------------------------------------------------- messages

let toastTimer = 0;
function tell(message) {
  $("toast").textContent = message;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 7000);
}
const status = text => { $("status").textContent = text; };
function failed(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof ServiceError)) console.error(error);
  tell(error.message);
}

// ---------------------------------------------------------------- prompt and chips

let readTimer = 0, readNumber = 0;
$("prompt").addEventListener("input", () => { clearTimeout(readTimer); readTimer = setTimeout(readPrompt, 220); });

async function readPrompt() {
  const text = $("prompt").value.trim(), number = ++readNumber;
  let reading = null;
  if (text) try { reading = await ask("/v1/read", {text}); } catch (error) { return failed(error); }
  if (number !== readNumber) return;
  state.reading = reading;
  drawChips();
}

function understood(wish) {
  const facts = (state.reading?.facts || []).filter(fact => wish.kinds.includes(fact.kind));
  const words = facts.map(fact => fact.kind === "seconds" ? `${fact.value} s` : fact.value).join(", ");
  return words || state.reading?.implied?.[wish.name] || "";
}

function drawChips() {
  const chips = WISHES.map(wish => {
    const own = state.own[wish.name], value = own || understood(wish);
    const chip = make("button", {type: "button", "data-wish": wish.name,
      class: "chip" + (own ? " own" : value ? " set" : ""),
      "aria-label": `${wish.name}: ${value || "open"}${own ? ", set by you" : ""}. Change`});
    chip.append(wish.name + " ", make("b", {}, value || "open"));
    chip.addEventListener("click", () => editWish(wish));
    return chip;
  });
  const shown = new Set(WISHES.flatMap(wish => wish.kinds));
  const others = (state.reading?.facts || []).filter(fact => !shown.has(fact.kind));
  for (const fact of others)
    chips.push(make("span", {class: "chip set"}, `${fact.kind} `, make("b", {}, fact.value)));
  for (const warning of state.reading?.warnings || []) chips.push(make("span", {class: "chip"}, warning));
  $("chips").replaceChildren(...chips);
}

function editWish(wish) {
  $("editor-label").textContent = wish.name[0].toUpperCase() + wish.name.slice(1);
  $("editor-value").value = state.own[wish.name] || understood(wish);
  $("editor-value").placeholder = wish.example;
  $("editor-help").textContent = `Like: ${wish.example}. What you set here holds, whatever the words say.`;
  $("editor-choices").replaceChildren(...wish.choices.map(value => make("option", {value})));
  $("editor").returnValue = "cancel";
  $("editor").showModal();
  $("editor-value").select();
  $("editor").onclose = () => {
    const value = $("editor-value").value.trim(), did = $("editor").returnValue;
    if (did === "cancel") return;
    if (wish.option === null) setStyle(did === "clear" ? "" : value);
    else if (did === "clear" || !value) delete state.own[wish.name];
    else state.own[wish.name] = value;
    drawChips();
    document.querySelector(`[data-wish="${wish.name}"]`).focus();
  };
}

// A style is told in words: those that say it are replaced.
function setStyle(value) {
  const prompt = $("prompt"), said = (state.reading?.facts || []).find(fact => fact.kind === "style");
  const text = prompt.value.trim();
  if (said && state.reading.text === text)
    prompt.value = text.slice(0, said.start) + value + text.slice(said.end);
  else if (value) prompt.value = text ? `${text}, ${value}` : value;
  readPrompt();
}

const numberOf = text => text.trim() && Number.isFinite(Number(text)) ? Number(text) : text;  // the server says what is none
function options() {
  const found = {};
  for (const wish of WISHES) {
    const value = state.own[wish.name];
    if (!value || !wish.option) continue;
    if (wish.option === "bars") found.bars = numberOf(value);
    else if (wish.option === "tempo") {
      const [low, high] = value.split(/\s*[-–]\s*/).map(numberOf);
      found.tempo = high ? [low, high] : low;
    } else if (wish.option === "instruments") found.instruments = value.split(",").map(name => name.trim());
    else found[wish.option] = value;
  }
  return found;
}

// ---------------------------------------------------------------- writing

$("ask").addEventListener("submit", event => { event.preventDefault(); generate(); });
$("prompt").addEventListener("keydown", event => {
  if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); generate(); }
});
$("stop-writing").addEventListener("click", () => state.writing?.abort());

function freshSeed() { return crypto.getRandomValues(new Uint32Array(1))[0]; }

function generate() {
  const text = $("prompt").value.trim();
  if (!text) { tell("Describe the music first."); $("prompt").focus(); return; }
  const seed = $("seed").value.trim() ? Number($("seed").value) : freshSeed();
  if (!Number.isSafeInteger(seed) || seed < 0) { tell("A seed is a whole number."); return; }
  const bodies = Array.from({length: Number($("versions").value)}, (_, index) =>
    ({text, seed: seed + index, ...options()}));
  write("/v1/generate", bodies, text, null);
}

function writeContinuation() {
  const text = $("wish").value.trim() || state.piece.title || $("prompt").value.trim() || "the same music goes on";
  const body = {text, prompt_midi: state.piece.midi, parent: state.piece.id, seed: freshSeed(), obey: "soft",
    bars: state.piece.bars_s.length + 8};
  write("/v1/generate", [body], text, null);
}

function writeEdit(number) {
  if (!state.selection) { tell("Select bars first: drag over them, or Shift and the arrow keys."); return; }
  const tracks = (state.chosen.size ? [...state.chosen] : state.piece.tracks.map((_, index) => index))
    .map(index => state.piece.tracks[index].program);
  const text = $("wish").value.trim(), seed = freshSeed();
  const bodies = Array.from({length: number}, (_, index) => ({midi: state.piece.midi, parent: state.piece.id,
    bars: [state.selection], tracks, seed: seed + index, required_instruments: [], ...(text ? {text} : {})}));
  write("/v1/edit", bodies, state.piece.title, state.selection);
}

// Asks for several versions at once; the first is shown while it is written.
async function write(path, bodies, title, selection) {
  state.writing?.abort();
  const control = state.writing = new AbortController();
  const isNew = path === "/v1/generate";
  const withSound = isNew && $("play-along").checked;
  player.stop();
  if (withSound) player.wake();
  const before = state.piece;
  $("generate").disabled = true;
  $("stop-writing").hidden = false;
  status(isNew ? "Listening to your words…" : "Writing the bars…");
  const drafts = bodies.map(body => ({id: null, title, seed: String(body.seed), notes: [], tracks: [], bars_s: [0],
    duration_s: 0, ready_s: 0, report: [], warnings: [], parent: body.parent || null, isDraft: true}));
  const began = performance.now();
  if (isNew) { state.candidates = drafts; show(drafts[0], {keepSelection: false}); }
  const found = await Promise.allSettled(bodies.map(async (body, index) => {
    const draft = drafts[index], ends = [];
    const result = await follow(path, body, {
      started(value) { draft.seed = value.seed; },
      progress(value) { status(`Writing: ${value.done} of ${value.of} parts`); },
      notes(value) {
        if (state.firstNoteMs === undefined || draft.notes.length === 0) state.firstNoteMs = performance.now() - began;
        grow(draft, value, ends);
        if (index === 0) {
          status(`${draft.notes.length} notes, ${time(draft.ready_s)} written`);
          if (withSound && !player.isPlaying && draft.ready_s > .8 && state.piece === draft) player.play();
        }
        if (state.piece === draft) { drawTracks(); refresh(); }
        drawCandidates();
      },
    }, control.signal);
    const piece = whole(result.pieces[0]);
    state.candidates = state.candidates.map(each => each === draft ? piece : each);
    if (state.piece === draft) take(draft, piece);
    drawCandidates();
    return piece;
  }));
  if (state.writing === control) {
    state.writing = null;
    $("generate").disabled = false;
    $("stop-writing").hidden = true;
  }
  const pieces = found.filter(each => each.status === "fulfilled").map(each => each.value);
  const error = found.find(each => each.status === "rejected")?.reason;
  if (error) failed(error);
  if (!pieces.length) {
    status(control.signal.aborted ? "Stopped." : "");
    if (isNew && drafts.includes(state.piece) && state.writing === null) leaveDraft(before);
    return;
  }
  if (!isNew) { state.candidates = pieces; show(pieces[0], {keepSelection: true, position: before ? startOf(selection) : 0}); }
  remember(state.piece.id ? state.piece : pieces[0]);
  status(`Done: ${pieces[0].notes.length} notes, seed ${pieces[0].seed}` + (pieces.length > 1 ? `; ${pieces.length} versions` : ""));
  drawCandidates();
  listHistory();
}

const startOf = selection => selection ? roll.spanOf(...selection)[0] : 0;

// What was begun and not finished goes: the piece that was there before is shown again.
function leaveDraft(before) {
  player.stop();
  state.candidates = [];
  if (before) show(before, {keepSelection: false});
  else { state.piece = null; player.piece = null; $("work").hidden = true; $("empty").hidden = false; }
  drawCandidates();
}

function grow(draft, {on, off, time_s, bar_s, names}, places) {
  for (const [number, start, pitch, velocity, program] of on) {
    let track = draft.tracks.findIndex(each => each.program === program);
    if (track < 0) {
      track = draft.tracks.length;
      draft.tracks.push({program, name: names[program], color: PALETTE[track % PALETTE.length]});
    }
    places[number] = draft.notes.length;
    draft.notes.push([start, null, pitch, velocity, track]);
    draft.duration_s = Math.max(draft.duration_s, start + .2);
  }
  for (const [number, end] of off) {
    const note = draft.notes[places[number]];
    if (!note) continue;
    note[1] = Math.max(.02, end - note[0]);
    draft.duration_s = Math.max(draft.duration_s, end);
  }
  draft.ready_s = Math.max(draft.ready_s, time_s);
  if (bar_s) for (let next = draft.bars_s.length * bar_s; next < draft.duration_s && draft.bars_s.length < 2000; next += bar_s)
    draft.bars_s.push(next);
}
const PALETTE = ["#4477AA", "#EE6677", "#228833", "#CCBB44", "#AA3377", "#66CCEE", "#332288", "#DD8452", "#44AA99", "#882255"];

function whole(piece) {
  piece.ready_s = Infinity;
  if (piece.id) state.pieces[piece.id] = piece;
  return piece;
}

// The finished piece takes the place of its draft; what plays goes on.
function take(draft, piece) {
  state.piece = piece;
  const wasPlaying = player.isPlaying, position = player.position;
  player.stop();
  player.piece = piece;
  player.position = position;
  if (wasPlaying) player.play();
  roll.piece = piece;
  roll.fit();
  drawPiece();
}

// ---------------------------------------------------------------- the piece

function show(piece, {keepSelection = false, position = 0} = {}) {
  state.piece = piece;
  if (!keepSelection) { state.selection = null; state.chosen = new Set(); }
  if (state.selection && state.selection[1] > piece.bars_s.length) state.selection = null;
  player.muted.clear();
  player.soloed.clear();
  roll.piece = piece;
  $("work").hidden = false;
  $("empty").hidden = true;
  roll.fit();
  player.show(piece, position);
  drawPiece();
  drawCandidates();
}

function drawPiece() {
  const piece = state.piece, isWhole = !piece.isDraft;
  $("title").textContent = piece.title || "A piece";
  $("facts").textContent = piece.isDraft ? "Being written…" : [time(piece.duration_s), `${piece.bars_s.length} bars`, `${piece.notes.length} notes`,
    piece.seed ? `seed ${piece.seed}` : ""].filter(Boolean).join(" · ");
  for (const id of ["fill", "vary", "continue"]) $(id).disabled = !isWhole;
  $("save-midi").href = isWhole ? `data:audio/midi;base64,${piece.midi}` : "#";
  $("save-midi").download = fileName("mid");
  $("save-wav").download = fileName("wav");
  const kept = piece.report.filter(row => row.is_met).length;
  $("kept").textContent = piece.report.length ? `${kept} of ${piece.report.length}` : "";
  $("report").replaceChildren(
    ...piece.report.map(row => make("li", {class: row.is_met ? "" : "missed"},
      `${row.name.replace(/_/g, " ")}: asked for ${row.asked}, got ${row.got}`)),
    ...piece.warnings.map(warning => make("li", {class: "missed"}, warning)));
  document.querySelector(".report").hidden = !piece.report.length && !piece.warnings.length;
  drawTracks();
  drawSelection();
  drawSteps();
  refresh();
}

function fileName(kind) {
  const words = (state.piece?.title || "music").toLowerCase().match(/[\p{L}\p{N}]+/gu) || ["music"];
  return `${words.slice(0, 8).join("-").slice(0, 60)}.${kind}`;
}

function drawTracks() {
  const look = colors(), known = state.piece.tracks.map(track => track.name).join();
  if ($("tracks").dataset.known === known && !state.piece.isDraft && $("tracks").dataset.id === String(state.piece.id)) return;
  $("tracks").dataset.known = known;
  $("tracks").dataset.id = String(state.piece.id);
  $("tracks").replaceChildren(...state.piece.tracks.map((track, index) => {
    const box = make("input", {type: "checkbox", checked: state.chosen.has(index), title: "Change only this"});
    box.addEventListener("change", () => {
      state.chosen[box.checked ? "add" : "delete"](index);
      drawSelection();
      refresh();
    });
    const dot = make("i");
    dot.style.background = colorOf(track, look);
    const toggle = (letter, what, set) => {
      const button = make("button", {type: "button", "aria-pressed": String(set.has(index)),
        "aria-label": `${what} ${track.name}`, title: what}, letter);
      button.addEventListener("click", () => {
        set[set.has(index) ? "delete" : "add"](index);
        button.setAttribute("aria-pressed", String(set.has(index)));
        player.listenAgain();
        refresh();
      });
      return button;
    };
    return make("div", {class: "track"}, make("label", {}, box, dot, make("span", {}, track.name)),
      make("div", {}, toggle("M", "Mute", player.muted), toggle("S", "Solo", player.soloed)));
  }));
}

let isDrawn = true;
function refresh() {  // at most once a frame
  if (!isDrawn) return;
  isDrawn = false;
  requestAnimationFrame(() => {
    isDrawn = true;
    const piece = state.piece;
    if (!piece) return;
    roll.draw({position: player.position, selection: state.selection,
      chosen: state.chosen.size ? state.chosen : null, hears: track => player.hears(track)});
    if (player.isPlaying) roll.followTo(player.position);
    $("clock").textContent = `${time(player.position)} / ${time(piece.duration_s)}`;
    $("play").setAttribute("aria-label", player.isPlaying ? "Stop" : "Play");
    $("play").firstChild.textContent = player.isPlaying ? "■" : "▶";
  });
}

function drawSelection() {
  const {piece, selection, chosen} = state;
  const names = chosen.size ? [...chosen].map(index => piece.tracks[index]?.name).filter(Boolean).join(", ") : "all instruments";
  $("selection").textContent = selection
    ? `Selected: bar${selection[0] === selection[1] ? ` ${selection[0]}` : `s ${selection[0]} to ${selection[1]}`}, ${names}`
    : "Drag over bars to select them; tick instruments to change only those.";
  $("fill").disabled = $("vary").disabled = !selection || piece.isDraft;
}

function drawCandidates() {
  $("candidates").hidden = state.candidates.length < 2;
  if (state.candidates.length < 2) return;
  $("candidates").replaceChildren(...state.candidates.map((piece, index) => {
    const canvas = make("canvas", {"aria-hidden": "true"});
    const kept = piece.report.filter(row => row.is_met).length;
    const facts = piece.isDraft ? "writing…" : `${kept} of ${piece.report.length} kept · seed ${piece.seed}`;
    const card = make("button", {type: "button", class: "candidate", "aria-pressed": String(piece === state.piece)},
      canvas, make("span", {}, `Version ${index + 1} `, make("small", {}, facts)));
    card.addEventListener("click", () => {
      show(state.candidates[index], {keepSelection: true, position: startOf(state.selection)});
      if (!piece.isDraft) remember(state.candidates[index]);
    });
    requestAnimationFrame(() => sketch(canvas, piece));
    return card;
  }));
}

// ---------------------------------------------------------------- undo, redo, history

function remember(piece) {
  if (!piece?.id || state.steps[state.step] === piece.id) return;
  state.steps = [...state.steps.slice(0, state.step + 1), piece.id].slice(-100);
  state.step = state.steps.length - 1;
  keepSteps();
}
function keepSteps() {
  localStorage.setItem("amt-steps", JSON.stringify({steps: state.steps, step: state.step}));
  drawSteps();
}
function drawSteps() {
  $("undo").disabled = state.step <= 0;
  $("redo").disabled = state.step >= state.steps.length - 1;
}
async function fetchPiece(id) { return state.pieces[id] || whole(await get(`/v1/history/${id}`)); }
async function go(step) {
  if (step < 0 || step >= state.steps.length) return;
  try {
    const piece = await fetchPiece(state.steps[step]);
    state.step = step;
    state.candidates = [];
    show(piece, {keepSelection: true});
    keepSteps();
  } catch (error) { failed(error); }
}
$("undo").addEventListener("click", () => go(state.step - 1));
$("redo").addEventListener("click", () => go(state.step + 1));

async function listHistory() {
  let pieces = [];
  try { ({pieces} = await get("/v1/history")); } catch (error) { return failed(error); }
  state.history = pieces;
  $("history-list").replaceChildren(...pieces.map(piece => {
    const when = new Date(piece.created_s * 1000).toLocaleString([], {dateStyle: "medium", timeStyle: "short"});
    const kind = {generate: "written", edit: "changed", continue: "continued", open: "opened"}[piece.kind] || piece.kind;
    const facts = [kind, when, piece.seed ? `seed ${piece.seed}` : ""].filter(Boolean).join(" · ");
    const load = make("button", {type: "button"}, make("b", {}, piece.title || "A piece"), make("small", {}, facts));
    load.addEventListener("click", async () => {
      try {
        const found = await fetchPiece(piece.id);
        state.candidates = [];
        show(found);
        remember(found);
        listHistory();
      } catch (error) { failed(error); }
    });
    const forget = make("button", {type: "button", class: "plain", "aria-label": `Forget ${piece.title || "this piece"}`}, "✕");
    forget.addEventListener("click", async () => {
      await get(`/v1/history/${piece.id}`, "DELETE").catch(failed);
      listHistory();
    });
    return make("li", {class: piece.id === state.piece?.id ? "current" : ""}, load, forget);
  }));
  if (!pieces.length) $("history-list").append(make("li", {class: "quiet"}, "Nothing yet."));
}
function openHistory(isOpen) {
  $("history").hidden = !isOpen;
  $("history-toggle").setAttribute("aria-expanded", String(isOpen));
  if (isOpen) { listHistory(); $("history-close").focus(); } else $("history-toggle").focus();
}
$("history-toggle").addEventListener("click", () => openHistory($("history").hidden));
$("history-close").addEventListener("click", () => openHistory(false));

// ---------------------------------------------------------------- play, zoom, select

$("play").addEventListener("click", () => player.isPlaying ? player.stop() : player.play());
function zoom(factor) {
  if (!state.piece) return;
  const middle = roll.seconds($("scroller").scrollLeft + $("scroller").clientWidth / 2);
  roll.scale = Math.min(400, Math.max(4, roll.scale * factor));
  roll.draw();
  $("scroller").scrollLeft = roll.x(middle) - $("scroller").clientWidth / 2;
  refresh();
}
$("zoom-in").addEventListener("click", () => zoom(1.5));
$("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
$("scroller").addEventListener("scroll", () => refresh());
window.addEventListener("resize", () => { refresh(); drawCandidates(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (state.piece) { $("tracks").dataset.known = ""; drawPiece(); drawCandidates(); }
});

let drag = null;
const barOf = event => roll.barAt(roll.seconds(event.offsetX));
$("roll").addEventListener("pointerdown", event => {
  if (!state.piece || event.button) return;
  drag = {x: event.offsetX, bar: barOf(event), track: Math.floor((event.offsetY - RULER) / LANE), isDrag: false};
  if (event.pointerType === "mouse") $("roll").setPointerCapture(event.pointerId);
});
$("roll").addEventListener("pointermove", event => {
  if (!drag || (!drag.isDrag && Math.abs(event.offsetX - drag.x) < 6)) return;
  drag.isDrag = true;
  const bar = barOf(event);
  select(Math.min(drag.bar, bar), Math.max(drag.bar, bar));
});
$("roll").addEventListener("pointerup", event => {
  if (!drag) return;
  if (!drag.isDrag && event.shiftKey && state.selection)
    select(Math.min(state.selection[0], drag.bar), Math.max(state.selection[1], drag.bar));
  else if (!drag.isDrag && event.offsetY < RULER) select(drag.bar, drag.bar);
  else if (!drag.isDrag) player.seek(roll.seconds(event.offsetX));
  drag = null;
});
$("roll").addEventListener("pointercancel", () => { drag = null; });

function select(first, last) {
  const num = state.piece.bars_s.length;
  state.selection = first ? [Math.max(1, Math.min(first, num)), Math.max(1, Math.min(last, num))] : null;
  drawSelection();
  refresh();
}
window.amtStudio.select = select;

$("roll").addEventListener("keydown", event => {
  if (!state.piece) return;
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key], bars = state.piece.bars_s;
  if (step && event.shiftKey) {
    const [first, last] = state.selection || [roll.barAt(player.position), roll.barAt(player.position) - step];
    select(first, Math.max(first, last + step));
  } else if (step) {
    const bar = roll.barAt(player.position) + step;
    player.seek(bar < 1 ? 0 : bars[bar - 1] ?? state.piece.duration_s);
    roll.followTo(player.position);
  } else if (event.key === "Home") player.seek(0);
  else if (event.key === "End") player.seek(state.piece.duration_s);
  else if (event.key === "a" && (event.ctrlKey || event.metaKey)) select(1, bars.length);
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", event => {
  const isTyping = /^(INPUT|TEXTAREA|SELECT|BUTTON|SUMMARY)$/.test(event.target.tagName) && event.target.type !== "checkbox";
  if ($("editor").open) return;
  if (event.key === "Escape") {
    if (!$("history").hidden) openHistory(false);
    else if (state.writing) state.writing.abort();
    else if (player.isPlaying) player.stop();
    else if (state.piece) select(0, 0);
  } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !isTyping) {
    event.preventDefault();
    go(state.step + (event.shiftKey ? 1 : -1));
  } else if (!isTyping && event.key === " " && state.piece) {
    event.preventDefault();
    player.isPlaying ? player.stop() : player.play();
  } else if (!isTyping && (event.key === "+" || event.key === "-") && !event.ctrlKey && !event.metaKey)
    zoom(event.key === "+" ? 1.5 : 1 / 1.5);
});
$("fill").addEventListener("click", () => writeEdit(1));
$("vary").addEventListener("click", () => writeEdit(2));
$("continue").addEventListener("click", writeContinuation);

// ---------------------------------------------------------------- files in and out

async function openFile(file) {
  if (!file) return;
  if (file.size > 2_900_000) { tell(`${file.name} is too large: 2.9 MB are the most.`); return; }
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let first = 0; first < bytes.length; first += 32768)
    text += String.fromCharCode(...bytes.subarray(first, first + 32768));
  try {
    const piece = whole(await ask("/v1/open", {midi: btoa(text), title: file.name.replace(/\.midi?$/i, "").slice(0, 200)}));
    state.candidates = [];
    show(piece);
    remember(piece);
    status(`Opened ${file.name}.`);
    listHistory();
  } catch (error) {
    failed(error instanceof ServiceError ? new ServiceError(`${file.name} cannot be opened: ${error.message}`) : error);
  }
}
$("open").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => { openFile($("file").files[0]); $("file").value = ""; });
let depth = 0;
const hasFiles = event => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragenter", event => { if (hasFiles(event)) { depth++; $("drop").hidden = false; } });
document.addEventListener("dragleave", event => { if (hasFiles(event) && --depth <= 0) { depth = 0; $("drop").hidden = true; } });
document.addEventListener("dragover", event => { if (hasFiles(event)) event.preventDefault(); });
document.addEventListener("drop", event => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  depth = 0;
  $("drop").hidden = true;
  openFile(event.dataTransfer.files[0]);
});

// A browser that knows it lets the file be dragged onto the desktop.
$("save-midi").addEventListener("dragstart", event => {
  const url = `data:audio/midi;base64,${state.piece.midi}`;
  event.dataTransfer.setData("DownloadURL", `audio/midi:${fileName("mid")}:${url}`);
});
async function sound() {
  const piece = state.piece;
  if (!piece.wav) {
    status("Rendering the sound…");
    piece.wav = URL.createObjectURL(await blob("/v1/sound", {midi: piece.midi}));
    status("");
  }
  return piece.wav;
}
$("save-wav").addEventListener("click", async event => {
  if ($("save-wav").dataset.ready === "yes") { $("save-wav").dataset.ready = ""; return; }
  event.preventDefault();
  if (!state.piece || state.piece.isDraft) return;
  try {
    $("save-wav").href = await sound();
    $("save-wav").dataset.ready = "yes";
    $("save-wav").click();
  } catch (error) { failed(error); }
});
$("save-wav").addEventListener("dragstart", event => {
  if (!state.piece?.wav) { event.preventDefault(); sound().then(() => tell("The sound is ready: drag it now."), failed); return; }
  event.dataTransfer.setData("DownloadURL", `audio/wav:${fileName("wav")}:${state.piece.wav}`);
});

// ---------------------------------------------------------------- begin

if (location.search) window.history.replaceState(null, "", location.pathname);  // the token is in a cookie now
$("ideas").replaceChildren(...IDEAS.map(idea => {
  const chip = make("button", {type: "button", class: "chip"}, idea);
  chip.addEventListener("click", () => { $("prompt").value = idea; readPrompt(); $("prompt").focus(); });
  return chip;
}));
drawChips();
drawSteps();
try {
  const kept = JSON.parse(localStorage.getItem("amt-steps") || "{}");
  state.steps = Array.isArray(kept.steps) ? kept.steps : [];
  state.step = Number.isInteger(kept.step) ? kept.step : -1;
} catch { /* what was kept is damaged: begin anew */ }
listHistory().then(async () => {
  const id = state.steps[state.step];
  if (id && state.history?.some(piece => piece.id === id)) await go(state.step);
  else { state.steps = []; state.step = -1; }
  if (state.piece?.title && !$("prompt").value) { $("prompt").value = state.piece.title; readPrompt(); }
  window.amtStudio.isReady = true;
});
