import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import typer

import amt
from amt.cli import main
from amt.cli.tables import given_values
from amt.errors import TextEncoderError
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import KeySignature, Note, PedalSpan, Tempo, TimeSignature
from amt.midi.plan import Plan, PlanChord, PlanSection
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.request.options import GenerationConfig
from amt.text.encoder import TextEncoderSpec, find_encoder_files

ROOT = Path(amt.__file__).parents[1]
WALTZ = "A slow, sad waltz"
SMALL = {
    "d_model": 16, "nhead": 2, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 24,
    "max_sequence_length": 96,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with random weights: what it writes is noise, but in every detail valid."""
    torch.manual_seed(3)
    model = build_model(ModelConfig(**SMALL, text_embedding_dim=384)).eval()
    folder = tmp_path_factory.mktemp("models") / "small"
    amt.save_checkpoint(folder, model, TokenizerConfig(), TextEncoderSpec(), GenerationConfig(max_new_tokens=40))
    return str(folder)


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    """The same for both directions."""
    torch.manual_seed(3)
    model = build_model(ModelConfig(architecture="music_text", **SMALL, text_embedding_dim=384)).eval()
    folder = tmp_path_factory.mktemp("models") / "listener"
    amt.save_checkpoint(folder, model, TokenizerConfig(), TextEncoderSpec(), GenerationConfig())
    return str(folder)


@pytest.fixture
def encoder():
    try:
        find_encoder_files(TextEncoderSpec())
    except TextEncoderError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capfd):
    """Runs a command line in this process: exit code, stdout, stderr."""

    def run(*arguments):
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def stdin(monkeypatch):
    def set_stdin(contents):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(contents), encoding="utf-8"))

    return set_stdin


@pytest.fixture
def song(folder):
    """Two bars for two instruments and drums, with a change of everything."""
    notes = [Note(0, 480, 60, 80), Note(480, 960, 64, 80), Note(0, 1920, 38, 90, 42), Note(960, 1000, 36, 99, 0, True)]
    tempos, metres = [Tempo(0, 500_000), Tempo(960, 600_000)], [TimeSignature(0, 2, 4), TimeSignature(960, 3, 8)]
    keys = [KeySignature(0, -1, True), KeySignature(960, 6, False)]
    MidiData(notes, [PedalSpan(0, 480)], tempos, metres, keys).save("song.mid")
    return "song.mid"


def start(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "amt", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        **options,
    )


# generate


def test_a_text_becomes_a_file(run, model, encoder):
    code, out, err = run("generate", WALTZ, "-o", "waltz.mid", "--model", model, "--seed", 7)
    piece = amt.generate(WALTZ, seed=7, model=model)
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    assert re.fullmatch(rf"waltz\.mid: [\d.]+ s, .+, {len(piece.notes)} notes, seed 7", first)
    assert lines == [f"  {row}" for row in piece.report] and lines
    assert Path("waltz.mid").read_bytes() == piece.to_bytes()
    code, out, _ = run("generate", WALTZ, "-o", "waltz.mid", "--model", model, "--seed", 8)
    assert code == 0 and Path("waltz.mid").read_bytes() != piece.to_bytes()  # a name that was given is written over


def test_a_file_is_named_after_the_text_and_never_written_over(run, model, encoder):
    assert run("generate", WALTZ, "--model", model)[0] == 0
    before = Path("a-slow-sad-waltz.mid").read_bytes()
    code, out, err = run("generate", WALTZ, "--model", model)
    assert (code, out) == (1, "")
    assert err == "amt: a-slow-sad-waltz.mid is there already; name the new file, as in: -o a-slow-sad-waltz-new.mid\n"
    assert Path("a-slow-sad-waltz.mid").read_bytes() == before


def test_several_files_are_numbered_and_json_tells_about_each(run, model, encoder, song):
    options = ["-n", 2, "--json", "--seed", 7, "--continue", song, "--max-tokens", 60]
    code, out, err = run("generate", WALTZ, "-o", "w.mid", "--model", model, *options)
    assert (code, err) == (0, "")
    facts = [json.loads(line) for line in out.splitlines()]
    assert [row["path"] for row in facts] == ["w-1.mid", "w-2.mid"]
    for row in facts:
        data = amt.read_midi(row["path"])
        assert row["num_notes"] == len(data.notes) and row["duration_s"] == round(data.duration_s, 3)
        assert row["backend"].startswith("engine float32 ")
        assert row["text"] == WALTZ and row["seed"] == 7 and row["warnings"] == []
        assert row["num_tokens"] == len(amt.EventTokenizer().encode(data))
        assert set(row["instruments"]) >= {"Acoustic Grand Piano", "Cello", "Drums"}
        assert data.notes[0].pitch == 60 and len(data.notes) > 4


def test_options_reach_the_music(run, model, encoder):
    limits = ["--instruments", "violin, 42", "--tempo", 101, "--time-signature", "6/8", "--key", "Bb major"]
    limits += ["--max-beats", 8, "--max-polyphony", 2]
    choice = ["--temperature", 0.9, "--top-k", 600, "--top-p", 0.99, "--min-p", 0.0001, "--max-tokens", 80]
    code, _, _ = run("generate", WALTZ, "-o", "w.mid", "--model", model, "--seed", 3, *limits, *choice)
    piece = amt.generate(
        WALTZ,
        model=model,
        seed=3,
        instruments=["violin", "cello"],
        tempo=101,
        time_signature="6/8",
        key="Bb major",
        max_beats=8,
        max_polyphony=2,
        temperature=0.9,
        top_k=600,
        top_p=0.99,
        min_p=0.0001,
        max_new_tokens=80,
    )
    assert code == 0 and len(piece.notes) and Path("w.mid").read_bytes() == piece.to_bytes()
    for option, settings in ((["--greedy"], {"do_sample": False}), (["--beams", 2], {"num_beams": 2})):
        code, out, _ = run("generate", WALTZ, "-o", "w.mid", "--model", model, "--max-tokens", 12, *option)
        piece = amt.generate(WALTZ, model=model, max_new_tokens=12, **settings)
        assert code == 0 and Path("w.mid").read_bytes() == piece.to_bytes() and "seed" not in out


def test_lengths_reach_the_music_and_what_was_asked_is_told(run, model, encoder):
    text = "a waltz for violin in 3/4 at 96 BPM"
    generate = ["generate", text, "-o", "w.mid", "--model", model, "--seed", 3, "--max-tokens", 80]
    piece = amt.generate(text, model=model, seed=3, max_new_tokens=80, duration=5, bars=2)
    code, out, err = run(*generate, "--duration", 5, "--bars", 2)
    assert (code, err) == (0, "") and Path("w.mid").read_bytes() == piece.to_bytes()
    first, *lines = out.splitlines()
    assert first.startswith("w.mid: ") and lines == [f"  {row}" for row in piece.report]
    assert "  time signature: asked for 3/4, got 3/4: kept" in lines and len(lines) == 5
    code, out, _ = run(*generate, "--duration", 5, "--bars", 2, "--json")
    rows = json.loads(out)["report"]
    assert {row["name"] for row in rows} == {"time_signature", "duration", "bars", "tempo", "instruments"}
    (row,) = [row for row in rows if row["name"] == "time_signature"]
    assert row == {"name": "time_signature", "asked": "3/4", "got": "3/4", "is_met": True, "is_hard": True}


def test_limits_that_are_written_on_the_command_line_are_those_of_python(run, model, encoder):
    written = [
        "--tempo",
        "90-110",
        "--min-pitch",
        "violin:G3,cello:36",
        "--max-pitch",
        "C6",
        "--max-note-beats",
        "none",
    ]
    written += ["--max-rest-beats", "4", "--max-filler-tokens", "9", "--forbidden-instruments", "piano,128"]
    written += ["--required-instruments", "violin,cello"]
    code, _, _ = run("generate", "music", "-o", "w.mid", "--model", model, "--seed", 3, "--max-tokens", 80, *written)
    piece = amt.generate(
        "music",
        model=model,
        seed=3,
        max_new_tokens=80,
        tempo=(90, 110),
        min_pitch={"violin": "G3", "cello": 36},
        max_pitch="C6",
        max_note_beats=None,
        max_rest_beats=4,
        max_filler_tokens=9,
        forbidden_instruments=["piano", 128],
        required_instruments=["violin", "cello"],
    )
    assert code == 0 and len(piece.notes) and Path("w.mid").read_bytes() == piece.to_bytes()
    code, _, err = run("generate", "music", "--model", model, "--max-note-beats", "long")
    assert code == 2 and "--max-note-beats: cannot read 'long'" in err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_note_beats", "piano:long"),
        *[(n, t) for n in ("max_note_beats", "min_pitch") for t in ("piano,oboe:4", ":4", "oboe:")],
    ],
    ids=str,
)
def test_values_of_instruments_are_written_in_pairs(name, text):
    with pytest.raises(typer.BadParameter, match=f"cannot read '{text}'"):
        given_values({name: text})


@pytest.mark.parametrize(
    ("text", "beats"),
    [("none", None), ("2.5", 2.5), ("piano:4, strings : 16", {"piano": 4.0, "strings": 16.0}), ("40:2", {40: 2.0})],
)
def test_the_longest_note_is_one_number_or_one_for_each_instrument(text, beats):
    assert given_values({"max_note_beats": text}) == {"max_note_beats": beats}


def test_what_runs_can_be_chosen(run, model, encoder):
    for option, name in ((["--backend", "plain"], "plain PyTorch"), (["--dtype", "int8"], "engine int8 ")):
        code, out, _ = run("generate", WALTZ, "-o", "w.mid", "--model", model, "--json", *option)
        assert code == 0 and json.loads(out)["backend"].startswith(name)


def test_a_profile_goes_to_stderr(run, model, encoder):
    options = ["--model", model, "--seed", 7]
    code, out, err = run("generate", WALTZ, "-o", "w.mid", "--profile", "-n", 2, *options)
    names = [line.split(":")[0] for line in out.splitlines() if not line.startswith("  ")]
    assert code == 0 and names == ["w-1.mid", "w-2.mid"]
    assert re.search(r"^decode +[\d.]+ ms \(\d+%\)$", err, re.MULTILINE)
    assert re.search(r"^backend +engine float32 ", err, re.MULTILINE)
    assert run("generate", WALTZ, "-o", "v.mid", "-n", 2, *options)[0] == 0
    assert Path("w-2.mid").read_bytes() == Path("v-2.mid").read_bytes()


def test_time_may_be_short(run, model, encoder):
    code, out, _ = run("generate", WALTZ, "-o", "w.mid", "--model", model, "--max-time", 0, "--json")
    assert code == 0 and json.loads(out)["num_tokens"] == 2 and amt.read_midi("w.mid").duration_s == 0


def test_an_engine_that_is_not_there_is_told(run, model, folder, encoder, monkeypatch):
    shutil.copytree(model, folder / "model")  # not the one whose engine is packed already
    generate = ["generate", WALTZ, "-o", "w.mid", "--model", "model"]
    monkeypatch.setenv("AMT_CPU_ISA", "mmx")
    code, out, err = run(*generate)
    assert (code, out) == (1, "") and err.startswith("amt: AMT_CPU_ISA is 'mmx'; here there are generic")
    monkeypatch.setattr("amt.ops.native._load", lambda: "the op library is not built; reinstall")
    code, out, err = run(*generate, "--backend", "engine")
    assert (code, out) == (1, "")
    assert err == "amt: the op library is not built; reinstall; or decode with --backend plain\n"
    assert not Path("w.mid").exists()


def test_standard_input_and_output(run, model, encoder, stdin, folder):
    stdin(WALTZ.encode() + b"\n")
    process = start("generate", "-", "-o", "-", "--model", model, "--seed", "7", stdin=subprocess.PIPE)
    code, out, _ = run("generate", "-", "-o", "w.mid", "--model", model, "--seed", 7)
    assert code == 0 and out.startswith("w.mid: ")
    process.stdin.write(WALTZ)
    process.stdin.close()
    process.stdin = None
    sound = process.stdout.buffer.read()
    assert process.wait() == 0 and sound == Path("w.mid").read_bytes()
    assert process.stderr.read() == out.replace("w.mid", "-", 1)
    assert sorted(path.name for path in folder.iterdir()) == ["w.mid"]


def test_warnings_go_to_stderr(run, model, encoder):
    code, out, err = run("generate", WALTZ, "-o", "w.mid", "--model", model, "--seed", 7, "--max-tokens", 3)
    assert code == 0 and out.splitlines()[0] == "w.mid: 0.0 s, no instruments, 0 notes, seed 7"
    assert err == "amt: warning: the model wrote no notes; try another seed or other words\n"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_the_progress_bar_is_for_terminals(run, model, encoder, monkeypatch, capfd, is_terminal):
    class Terminal(io.StringIO):
        def isatty(self):
            return is_terminal

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(["generate", WALTZ, "-o", "w.mid", "--model", model, "--seed", "7"]) == 0
    assert ("tokens/s" in screen.getvalue()) == is_terminal


# tokenize and inspect


def test_events_in_words(run, song):
    code, out, err = run("tokenize", song)
    assert (code, err) == (0, "")
    ids = amt.EventTokenizer().encode(song).ids.tolist()
    head, *lines = out.splitlines()
    lost = "dropped drum lengths 1, dropped key signatures 2"
    assert head == f"# song.mid: {len(ids)} tokens, 4 of 4 notes; {lost}"
    assert [int(line.split()[0]) for line in lines] == ids
    for line in (
        "time_signature 2/4",
        "tempo 120",
        "program Cello",
        "program Drums",
        "note_on Bass Drum",
        "note_off E4",
    ):
        assert any(text.endswith(f" {line}") for text in lines), line
    assert [line.split(maxsplit=1)[1] for line in lines if "time_shift" in line] == ["time_shift 1 beats"] * 2 + [
        "time_shift 2 beats"
    ]


def test_what_tokens_cannot_keep_is_told(run, song):
    out = run("tokenize", song, "--preset", "performance")[1]
    assert out.startswith("# song.mid: ") and "3 of 4 notes; dropped drums 1, merged programs 2" in out
    assert re.search(r"359|velocity 82", out) and "time_shift 500 ms" in out


def test_ids_of_several_files_and_one_bad_one(run, song, folder):
    (folder / "noise.mid").write_bytes(b"ID3 an mp3")
    code, out, err = run("tokenize", "noise.mid", song, "none.mid", song, "--ids")
    ids = " ".join(map(str, amt.EventTokenizer().encode(song).ids))
    assert (code, out) == (1, f"{ids}\n{ids}\n")
    first, second = err.splitlines()
    assert first.startswith("amt: noise.mid: not a MIDI file") and second.startswith("amt: there is no file none.mid")


def test_a_piece_that_has_no_tokens_does_not_stop_the_others(run, song, monkeypatch):
    encode = amt.EventTokenizer.encode

    def refuse_first(tokenizer, source):
        if source.ticks_per_beat == 1:
            raise ValueError("the piece is too long")
        return encode(tokenizer, source)

    monkeypatch.setattr(amt.EventTokenizer, "encode", refuse_first)
    MidiData([Note(0, 1, 60, 80)], ticks_per_beat=1).save("long.mid")
    code, out, err = run("tokenize", "long.mid", song, "--ids")
    assert (code, out.count("\n"), err) == (1, 1, "amt: long.mid: the piece is too long\n")


@pytest.mark.parametrize("preset", ["score", "performance"])
def test_json_goes_there_and_back(run, song, stdin, preset):
    assert run("tokenize", song, "--json", "--preset", preset, "-o", "song.json") == (0, "", "")
    row = json.loads(Path("song.json").read_text())
    encoding = amt.EventTokenizer(preset).encode(song)
    assert row["ids"] == encoding.ids.tolist() and row["report"]["num_notes"] == 4 and row["preset"] == preset
    assert run("tokenize", "--decode", "song.json", "-o", "back.mid") == (0, "", "")
    assert Path("back.mid").read_bytes() == amt.EventTokenizer(preset).to_midi_bytes(encoding.ids)
    stdin(json.dumps(row["ids"]).encode())
    assert run("tokenize", "--decode", "-", "-o", "again.mid", "--preset", preset) == (0, "", "")
    assert Path("again.mid").read_bytes() == Path("back.mid").read_bytes()


def test_half_a_piece_is_closed_and_that_is_told(run):
    Path("ids.json").write_text(
        json.dumps(amt.EventTokenizer().encode(MidiData([Note(0, 480, 60, 80)])).ids.tolist()[:-2])
    )
    code, out, err = run("tokenize", "--decode", "ids.json", "-o", "x.mid")
    assert (code, out, err) == (0, "", "amt: warning: not a whole piece: closed notes 1\n")


def test_inspect_shows_what_a_file_holds(run, song):
    code, out, err = run("inspect", song)
    assert (code, err) == (0, "")
    assert out.startswith("song.mid: 2.2 s, 4 notes, 1 pedal, format 1, 480 ticks a beat\n")
    for words in (
        "Acoustic Grand Piano",
        "Cello",
        "Drums",
        "C4",
        "E4",
        "D2",
        "120.0",
        "100.0",
        "2/4",
        "3/8",
        "D minor",
    ):
        assert words in out
    assert "F♯ major" in out and "Repairs" not in out


def test_a_plan_is_shown(run, model):
    sections = (
        PlanSection("verse", (PlanChord(9, "min7", 2), PlanChord(5, "maj", 1))),
        PlanSection("A", (PlanChord(0, "none", 1),)),
    )
    piece = amt.MidiData([amt.Note(0, 1920, 60, 80)], plan=Plan(sections))
    piece.save("planned.mid")
    out = run("inspect", "planned.mid")[1]
    assert "Plan" in out and re.search(r"verse\W+1\W+1\.5\W+Am7 F\|", out)
    assert json.loads(run("inspect", "planned.mid", "--json")[1])["plan"] == [
        {"section": "verse", "bar": 1, "bars": 1.5, "chords": ["Am7", "F|"]},
        {"section": "A", "bar": 2.5, "bars": 0.5, "chords": ["N.C.|"]},
    ]
    code, out, _ = run("describe", "planned.mid", "--model", model)
    assert code == 0 and out.endswith("\n  plan: verse: Am7 F|; A: N.C.|\n")
    assert json.loads(run("describe", "planned.mid", "--json", "--model", model)[1])["plan"] == str(piece.plan)


def test_inspect_as_json_and_from_stdin(run, song, stdin):
    broken = Path(song).read_bytes()[:-4]  # without the end of the last track
    stdin(broken)
    code, out, err = run("inspect", "-", "--json")
    facts = json.loads(out)
    assert (code, err, facts["file"]) == (0, "", "standard input")
    assert facts["repairs"] and facts["num_notes"] == 4 and facts["format"] == 1 and facts["num_pedals"] == 1
    assert facts["tempos"] == [{"tick": 0, "time_s": 0.0, "bpm": 120.0}, {"tick": 960, "time_s": 1.0, "bpm": 100.0}]
    assert facts["time_signatures"][1] == {"tick": 960, "time_s": 1.0, "time_signature": "3/8"}
    assert facts["instruments"][1] == {
        "name": "Cello", "program": 42, "notes": 1, "lowest_pitch": 38, "highest_pitch": 38,
    }  # fmt: skip
    Path("broken.mid").write_bytes(broken)
    assert "Repairs" in run("inspect", "broken.mid")[1]


def test_long_tables_are_cut_and_json_is_not(run):
    tempos = [Tempo(480 * beat, 500_000 + beat) for beat in range(50)]
    MidiData([Note(0, 50 * 480, 60, 80)], tempos=tempos).save("many.mid")
    assert "… and 30 more; all of them: --json" in run("inspect", "many.mid")[1]
    assert len(json.loads(run("inspect", "many.mid", "--json")[1])["tempos"]) == 50


# prepare, train, info


@pytest.fixture
def corpus(folder):
    corpus = folder / "corpus"
    corpus.mkdir()
    rows = []
    for index in range(4):
        notes = [Note(480 * beat, 480 * (beat + 1), 60 + index + beat, 80) for beat in range(12)]
        MidiData(notes).save(corpus / f"{index}.mid")
        rows.append({"file": f"{index}.mid", "caption": f"scale {index}", "source": "odd" if index % 2 else "even"})
    (corpus / "noise.mid").write_bytes(b"ID3")
    rows.append({"file": "noise.mid", "caption": "noise", "source": "odd"})
    (corpus / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "corpus"


def test_from_a_corpus_to_a_model_to_music(run, corpus, encoder):
    code, out, err = run("prepare", corpus, "-o", "data")
    assert code == 0 and out.startswith("data: train: 4 pieces, 4 segments, ") and "left out: 1 file" in out
    assert err.startswith("amt: warning: left out noise.mid: not a MIDI file") and err.count("\n") == 1

    Path("model.json").write_text(json.dumps(SMALL))
    Path("train.json").write_text(json.dumps({"max_steps": 3, "batch_size": 5, "max_len": 40, "eval_batches": 1}))
    train = ["train", "data", "-o", "run", "--config", "train.json", "--model-config", "model.json", "--threads", 1]
    code, out, err = run(*train, "--batch-size", 2)
    assert (code, err) == (0, "") and "amt generate" in out and "--model run/checkpoint" in out
    assert json.loads(Path("run/train.json").read_text())["batch_size"] == 2
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 3

    code, _, _ = run("train", "data", "-o", "run", "--steps", 5)  # goes on with the run's own settings
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert code == 0 and [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert json.loads(Path("run/train.json").read_text())["batch_size"] == 2

    code, _, err = run("generate", WALTZ, "--model", "run/checkpoint", "-o", "w.mid", "--max-tokens", 20)
    assert code == 0 and Path("w.mid").exists(), err


def test_the_progress_of_training(run, corpus, encoder, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    Path(corpus, "captions.jsonl").write_text(
        "".join(
            json.dumps({"file": f"{i}.mid", "caption": "x", "split": ("train", "valid")[i % 2]}) + "\n"
            for i in range(4)
        )
    )
    Path("model.json").write_text(json.dumps(SMALL))
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(["prepare", corpus, "-o", "data", "--preset", "performance", "--no-embed"]) == 0
    assert "pieces/s" in screen.getvalue() and not Path("data/embeddings").exists()
    train = ["train", "data", "-o", "run", "--steps", "2", "--max-len", "40", "--model-config", "model.json"]
    assert main([*train, "--eval-every", "2"]) == 0
    assert re.search(r"step 2: loss [\d.]+, validation loss [\d.]+", screen.getvalue())
    assert re.search(r"2/2 .*loss [\d.]+, [\d,]+ tokens/s", screen.getvalue())
    assert json.loads(Path("run/config.json").read_text())["vocab_size"] == 391


def test_sources_are_chosen(run, corpus):
    code, out, _ = run("prepare", corpus, "-o", "data", "--no-embed", "--sources", "even, none")
    assert code == 0 and out.startswith("data: train: 2 pieces")


def test_read(run):
    code, out, err = run("read", "ein langsamer Walzer für zwei Geigen, ohne Klavier")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "read as German: a slow waltz for two violins, without piano",
        "instrument  violin*2                 'zwei Geigen'",
        "without     piano                    'Klavier'",
        "tempo       slow (48-80 BPM)         'langsamer'",
        "style       waltz                    'Walzer'",
        "metre       3/4                      (implied)",
        "only        Violin",
    ]
    code, out, err = run("read", "xyz")
    assert (code, out) == (0, "") and "nothing in the text was understood" in err
    row = json.loads(run("read", "--json", "key: F#m")[1])
    assert row["facts"] == [{"kind": "key", "value": "F# minor", "start": 5, "end": 8, "words": "F#m"}]
    assert row["is_open"] and row["allowed_programs"] is None and row["warnings"] == []


def test_info(run):
    code, out, _ = run("info")
    assert code == 0 and f"amt           {amt.__version__}\n" in out and torch.__version__ in out
    found = re.search(r"^decoding +C\+\+ engine, (\w+) \(this processor runs (generic.*)\)$", out, re.MULTILINE)
    assert found and found[1] in found[2].split(", ")
    assert f"threads       {torch.get_num_threads()}\n" in out
    assert json.loads(run("info", "--json")[1])["torch"] == torch.__version__


# describe and search


def test_a_file_is_described(run, listener, model, song, encoder, stdin):
    sentence = amt.describe(song, model=listener).sentence
    assert run("describe", song, "--model", listener) == (0, f"song.mid: {sentence}\n", "")
    assert run("describe", song, "--model", model) == (0, f"song.mid: {sentence}\n", "")
    stdin(Path(song).read_bytes())
    assert run("describe", "-", "--model", model) == (0, f"standard input: {sentence}\n", "")
    Path("bank.txt").write_text("a waltz\na march\n")
    code, out, err = run("describe", song, "--model", listener, "--bank", "bank.txt")
    captions = amt.describe(song, model=listener, bank="bank.txt").captions
    lines = [f"  {cosine:5.2f}  {caption}" for caption, cosine in captions]
    assert (code, err, out.splitlines()) == (0, "", [f"song.mid: {sentence}", *lines]) and len(lines) == 2


def test_descriptions_as_json_and_one_bad_file(run, listener, song, encoder, folder):
    (folder / "noise.mid").write_bytes(b"ID3 an mp3")
    Path("bank.txt").write_text("a waltz\na march\n")
    code, out, err = run("describe", song, "noise.mid", song, "--json", "--model", listener, "--bank", "bank.txt")
    assert code == 1 and err.startswith("amt: noise.mid: not a MIDI file") and err.count("\n") == 1
    expected = {"file": "song.mid"} | amt.describe(song, model=listener, bank="bank.txt").to_dict()
    assert [json.loads(line) for line in out.splitlines()] == [expected] * 2


def test_a_bank_for_a_model_that_only_writes_is_told(run, model, song):
    Path("bank.txt").write_text("a waltz\n")
    code, out, err = run("describe", song, "--model", model, "--bank", "bank.txt")
    assert code == 0 and out.count("\n") == 1
    assert (
        err == "amt: warning: this model only writes MIDI, so it finds no captions; give one that reads it: --model\n"
    )


def test_a_text_finds_files(run, listener, song, encoder, folder):
    (folder / "music").mkdir()
    for number in range(3):
        MidiData([Note(0, 480, 60 + number, 80)]).save(folder / "music" / f"{number}.mid")
    for number in range(7):
        (folder / "music" / f"noise-{number}.mid").write_bytes(b"ID3 an mp3")
    command = ["search", WALTZ, "music", "--model", listener]
    code, out, err = run(*command, "-n", 2)
    found = amt.search(WALTZ, "music", model=listener)
    assert code == 0 and out.splitlines() == [f"{m.score:5.2f}  {m.path}: {m.sentence}" for m in found[:2]]
    assert err.startswith("amt: warning: left out noise-0.mid: not a MIDI file") and err.count("\n") == 6
    assert err.endswith("amt: warning: left out 2 more files; all of them: --json\n")
    code, out, err = run(*command, "--json", "--index", "index", "--jobs", 1)
    facts = json.loads(out)
    assert (code, err, facts["num_files"], len(facts["skipped"])) == (0, "", 3, 7)
    assert facts["matches"] == [match.to_dict() for match in found]
    assert facts["skipped"][0] == {"path": "noise-0.mid", "reason": found.skipped["noise-0.mid"]}
    assert sorted(path.name for path in (folder / "index").iterdir()) == ["index.bin"]


def test_a_file_finds_files(run, listener, song, encoder, folder, stdin):
    (folder / "music").mkdir()
    shutil.copyfile(song, folder / "music" / "copy.mid")
    expected = f" 1.00  copy.mid: {amt.describe(song, model=listener).sentence}\n"
    assert run("search", song, "music", "--midi", "--model", listener) == (0, expected, "")
    stdin(Path(song).read_bytes())
    assert run("search", "-", "music", "--midi", "--model", listener) == (0, expected, "")


# Mistakes


GENERATE = ["generate", WALTZ, "-o", "w.mid", "--model", "MODEL"]
DECODE = ["tokenize", "-o", "x.mid", "--decode"]
PREPARE = ["prepare", "-o", "data"]
TRAIN = ["train", "folder", "-o", "run"]
MISTAKES = {
    "unknown command": (["generat", WALTZ], 2, "No such command 'generat'"),
    "no text": (["generate"], 2, "Missing argument 'TEXT'"),
    "unknown option": ([*GENERATE, "--tempoo", "90"], 2, "No such option: --tempoo"),
    "unknown preset": (["tokenize", "song.mid", "--preset", "jazz"], 2, "'score'"),
    "not a number": ([*GENERATE, "--seed", "lucky"], 2, "--seed"),
    "empty text": (["generate", " "], 2, "the text is empty; describe the music, as in: amt generate"),
    "tempo out of range": ([*GENERATE, "--tempo", "900"], 2, "tempo must be between 20 and 304 beats a minute"),
    "no key": ([*GENERATE, "--key", "H minor"], 2, 'key must be like "D minor"'),
    "no metre": ([*GENERATE, "--time-signature", "3/5"], 2, "--time-signature must be like 3/4"),
    "unknown instrument": ([*GENERATE, "--instruments", "violim"], 2, "did you mean 'violin'"),
    "no length": ([*GENERATE, "--max-beats", "0"], 2, "--max-beats must be above 0"),
    "no duration": ([*GENERATE, "--tempo", "90", "--duration", "0"], 2, "duration must be above 0 and at most"),
    "no bars": ([*GENERATE, "--time-signature", "3/4", "--bars", "0"], 2, "bars must be a whole number between 1"),
    "no tokens": ([*GENERATE, "--max-tokens", "0"], 2, "--max-tokens must be between 1 and"),
    "no time": ([*GENERATE, "--max-time", "-1"], 2, "--max-time must be between 0 and"),
    "unknown backend": ([*GENERATE, "--backend", "gpu"], 2, "backend must be one of auto, engine, plain, cuda; got '"),
    "unknown weights": ([*GENERATE, "--dtype", "int4"], 2, "dtype must be one of float32, bfloat16, int8"),
    "weights of the reference": (
        [*GENERATE, "--backend", "plain", "--dtype", "int8"], 2, "needs --backend engine; plain PyTorch has"
    ),
    "top-p above 1": ([*GENERATE, "--top-p", "2"], 2, "--top-p must be between"),
    "more pieces than beams": ([*GENERATE, "--beams", "2", "-n", "3"], 2, "--num (3) must be at most --beams (2)"),
    "greedy and several": ([*GENERATE, "--greedy", "-n", "3"], 2, "leave out --greedy"),
    "several to stdout": (["generate", WALTZ, "-o", "-", "-n", "2"], 2, "name a file for --num or --json"),
    "output is a folder": ([*GENERATE, "-o", "folder"], 2, "folder; name a file in it, as in: -o folder/music.mid"),
    "no such folder": ([*GENERATE, "-o", "no/w.mid"], 1, "there is no folder no; make it, or name a file in another"),
    "unknown model": (["generate", WALTZ, "--model", "tuba"], 1, "there is no model 'tuba'"),
    "model is a file": (["generate", WALTZ, "--model", "song.mid"], 1, "song.mid is a file; give the folder"),
    "no model in the folder": (["generate", WALTZ, "--model", "folder"], 1, "has no config.json"),
    "continue nothing": ([*GENERATE, "--continue", "no.mid"], 1, "there is no file no.mid; check its name"),
    "continue an mp3": ([*GENERATE, "--continue", "mp3.mid"], 1, "it is an MP3 file (at byte 0); give a Standard MIDI"),
    "continue against a limit": ([*GENERATE, "--continue", "song.mid", "--tempo", "90"], 2, "does not keep to tempo"),
    "missing file": (["inspect", "no.mid"], 1, "there is no file no.mid"),
    "folder for a file": (["inspect", "folder"], 1, "folder is a folder; give the path of one MIDI file"),
    "empty file": (["inspect", "empty.mid"], 1, "the file is empty"),
    "not a MIDI file": (["inspect", "mp3.mid"], 1, "not a MIDI file: it does not start with MThd; it is an MP3 file"),
    "describe nothing": (["describe", "no.mid", "--model", "MODEL"], 1, "there is no file no.mid"),
    "no bank": (["describe", "song.mid", "--model", "MODEL", "--bank", "no.txt"], 1, "there is no file no.txt with"),
    "empty bank": (["describe", "song.mid", "--model", "MODEL", "--bank", "empty.mid"], 1, "empty.mid has no captions"),
    "search with a model that only writes": (
        ["search", WALTZ, "folder", "--model", "MODEL"], 1, "only writes MIDI, and a search needs one that also reads"
    ),
    "search nowhere": (["search", WALTZ, "no", "--model", "MODEL"], 1, "no is not a folder; give a folder with MIDI"),
    "search for no file": (["search", "no.mid", "folder", "--midi"], 1, "there is no file no.mid"),
    "no results": (["search", WALTZ, "folder", "-n", "0"], 2, "--num-results"),
    "two forms": (["tokenize", "song.mid", "--ids", "--json"], 2, "leave one out"),
    "decode without a name": (["tokenize", "--decode", "ids.json"], 2, "-o FILE.mid"),
    "decode a MIDI file": ([*DECODE, "song.mid"], 1, "song.mid is not"),
    "decode no tokens": ([*DECODE, "text.json"], 1, "text.json is not a list of token ids"),
    "decode unknown tokens": ([*DECODE, "ids.json"], 1, "token id 9999 at position 1"),
    "corpus without a table": ([*PREPARE, "folder"], 1, "folder has no table of captions"),
    "no such source": ([*PREPARE, "corpus", "--sources", "x"], 1, "no MIDI file of the sources x"),
    "prepared already": (["prepare", "corpus", "-o", "folder"], 1, "folder exists; choose another folder"),
    "prepare into a file": (["prepare", "corpus", "-o", "song.mid/data"], 1, "song.mid"),
    "train on no data": (TRAIN, 1, "make one with: amt prepare"),
    "no settings": ([*TRAIN, "--config", "no.json"], 1, "there is no no.json; check the name"),
    "settings are not JSON": ([*TRAIN, "--config", "song.mid"], 1, "song.mid is not text"),
    "settings are no object": ([*TRAIN, "--config", "ids.json"], 2, "must hold a JSON object"),
    "unknown setting": ([*TRAIN, "--config", "text.json"], 2, "TrainConfig does not know ids"),
    "unknown size": ([*TRAIN, "--model-config", "text.json"], 2, "ModelConfig does not know"),
    "learning rate": ([*TRAIN, "--learning-rate", "-1"], 2, "--learning-rate must be between"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_the_remedy(run, mistake, model, song, corpus, folder):
    (folder / "folder").mkdir()
    (folder / "empty.mid").touch()
    (folder / "mp3.mid").write_bytes(b"ID3\x03 not music")
    (folder / "ids.json").write_text("[1, 9999]")
    (folder / "text.json").write_text('{"ids": ["one"]}')
    before = sorted(folder.rglob("*"))
    arguments, code, message = MISTAKES[mistake]
    found, out, err = run(*(model if argument == "MODEL" else argument for argument in arguments))
    assert (found, out) == (code, "")
    assert err.startswith("amt: ") and err.endswith("\n") and err.count("\n") == 1, err
    assert message in err
    assert sorted(folder.rglob("*")) == before


def test_a_damaged_model_is_told(run, model, folder):
    shutil.copytree(model, folder / "model")
    os.truncate(folder / "model" / "model.safetensors", 100)
    code, out, err = run("generate", WALTZ, "--model", "model")
    assert (code, out) == (1, "") and "is no intact safetensors file" in err and err.endswith("; get the model again\n")


def test_a_missing_text_encoder_is_told(run, model, folder, monkeypatch):
    shutil.copytree(model, folder / "model")  # not the one whose encoder is open already
    monkeypatch.setattr("amt.text.encoder.MINILM_PACKAGE", "no-such-package")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    code, out, err = run("generate", WALTZ, "--model", "model", "-o", "w.mid")
    assert (code, out, err.count("\n")) == (1, "", 1) and not Path("w.mid").exists()
    assert err.endswith(
        'is not on this machine; pip install "amt-midi[offline]", or allow its download (--allow-download)\n'
    )


def test_a_folder_that_may_not_be_written_to_is_told_before_the_work(run, model, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    code, out, err = run("generate", WALTZ, "--model", model, "-o", "w.mid")
    assert (code, out) == (1, "") and err.startswith("amt: you may not write to the folder ")


def test_a_disk_that_is_full_is_told(run, model, encoder, corpus, listener, small_disk, leave_room):
    """One line from every command that writes, wherever the room ends, and no half files."""
    disk = small_disk(4 << 20)
    Path("model.json").write_text(json.dumps(SMALL))
    assert run("prepare", corpus, "-o", "data", "--preset", "performance")[0] == 0
    commands = {
        "generate": ["generate", WALTZ, "--model", model, "-o", disk / "w.mid"],
        "prepare": ["prepare", corpus, "-o", disk / "data", "--preset", "performance"],
        "train": ["train", "data", "-o", disk / "run", "--steps", 2, "--max-len", 40, "--model-config", "model.json"],
        "search": ["search", WALTZ, corpus, "--model", listener, "--index", disk / "index"],
        "arrange": ["arrange", "-o", disk / "arranged", "-n", 2],
    }
    told = dict.fromkeys(commands, 0)
    for name, command in commands.items():
        code = 1
        for room in range(0, 4 << 20, 4 << 10 if name != "train" else 256 << 10):
            leave_room(disk, room)
            code, out, err = run(*command)
            if code == 0:
                break
            told[name] += 1
            last_line = err.splitlines()[-1]
            assert (code, out) == (1, "") and last_line.startswith(f"amt: the disk is full: {disk}/"), err
            assert last_line.endswith("; make room and do the same again")
            assert not [path for path in disk.rglob("*") if path.name.endswith(".tmp")]
        assert code == 0
    assert min(told.values()) >= 1 and told["prepare"] >= 3 and told["train"] >= 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_an_output_that_finds_no_room_is_one_line(model, song):
    no_room = "cannot be written; make room and do the same again\n"
    expected = {
        ("info",): f"amt: the disk is full: the output {no_room}",
        (
            "tokenize",
            song,
        ): r"amt: the disk is full: standard output needs \d+ bytes; make room and do the same again\n",
        ("generate", WALTZ, "--model", model, "--max-tokens", "9", "--seed", "1", "-o", "-"): (
            r"amt: the disk is full: standard output needs \d+ bytes; make room and do the same again\n"
        ),
    }
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for arguments, message in expected.items():
        with open("/dev/full", "wb") as full:
            process = subprocess.run(
                [sys.executable, "-m", "amt", *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
        last_line = process.stderr.splitlines(keepends=True)[-1]
        assert process.returncode == 1 and re.fullmatch(message, last_line), process.stderr


def test_a_limit_of_the_size_of_files_is_one_line_from_every_command(model, corpus, folder):
    """Where no small file system can be mounted, this is what runs out of room."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    main = "import sys; from amt.cli import main; sys.exit(main(sys.argv[1:]))"
    generate = ("generate", WALTZ, "--model", model, "--max-tokens", "99", "--seed", "1", "-o")
    (folder / "model.json").write_text(json.dumps(SMALL))
    prepare = ("prepare", corpus, "--no-embed", "--preset", "performance", "-o")
    train = ("train", "data", "--steps", "1", "--max-len", "40", "--model-config", "model.json", "-o", "run")
    subprocess.run(
        [sys.executable, "-m", "amt", *map(str, prepare), "data"], check=True, capture_output=True, env=environment
    )
    before = sorted(path.name for path in folder.iterdir())
    for size, arguments in ((60, (*generate, "w.mid")), (60, (*generate, "-")), (99, (*prepare, "new")), (999, train)):
        code = f"{limit.format(size)}\n{main}"
        with open(folder / "out", "wb") as out:
            process = subprocess.run(
                [sys.executable, "-c", code, *map(str, arguments)],
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
        last_line = process.stderr.splitlines()[-1]
        assert process.returncode == 1, (arguments, process.stderr)
        assert re.match(r"amt: (cannot write .*: File too large; )?no file may be as large there", last_line), last_line
        assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]
        os.unlink(folder / "out")
    assert sorted(path.name for path in folder.iterdir() if path.name != "run") == before


def test_a_name_that_would_paint_the_terminal_is_harmless(run):
    _, _, err = run("inspect", "\x1b[31m\nno.mid")
    assert err.startswith("amt: there is no file [31m no.mid; ") and err.count("\n") == 1 and "\x1b" not in err


def test_an_error_of_our_own_is_one_line_and_with_amt_debug_a_traceback(run, monkeypatch, song):
    def fail(*_):
        raise KeyError("oops")

    monkeypatch.setattr("amt.midi.reader.read_midi", fail)
    code, out, err = run("inspect", song)
    assert (code, out) == (1, "")
    assert err.startswith("amt: something broke inside AMT (KeyError: 'oops'); run it again with AMT_DEBUG=1")
    monkeypatch.setenv("AMT_DEBUG", "1")
    with pytest.raises(KeyError, match="oops"):
        run("inspect", song)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["generate", WALTZ, "-o", "w.mid"], "amt.models.opened.load"),
        (["generate", WALTZ, "-o", "w.mid"], "os.replace"),
        (["prepare", "corpus", "-o", "data", "--no-embed"], "amt.data.prepare.segments"),
        (["tokenize", "song.mid", "-o", "song.txt"], "amt.midi.reader.read_midi"),
        (["search", "song.mid", "corpus", "--midi", "--model", "LISTENER", "--index", "corpus"], "os.replace"),
    ],
    ids=["generate", "save", "prepare", "tokenize", "search"],
)
def test_ctrl_c_leaves_nothing_half_written(
    run, arguments, place, monkeypatch, model, listener, corpus, song, folder, encoder
):
    def stop(*_, **__):
        raise KeyboardInterrupt

    before = sorted(folder.rglob("*"))
    monkeypatch.setattr(place, stop)
    arguments = [listener if argument == "LISTENER" else argument for argument in arguments]
    assert run(*arguments, *(["--model", model] if "generate" in arguments else [])) == (130, "", "amt: stopped\n")
    assert sorted(folder.rglob("*")) == before


# The process


def test_a_signal_stops_a_process(folder):
    os.mkfifo(folder / "pipe")
    process = start("inspect", "pipe", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.monotonic() + 120
    while True:  # until the command reads the pipe
        try:
            pipe = os.open(folder / "pipe", os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=120) == ("", "amt: stopped\n") and process.returncode == 130
    os.close(pipe)


def test_a_reader_that_goes_away_is_no_error(song):
    process = start("tokenize", *[song] * 3000)
    assert process.stdout.readline().startswith("# song.mid")
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 1


def test_help_is_quick_because_it_loads_nothing():
    code = "import sys; from amt.cli import main; main(['--help']); main(['generate', '--help']); print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    *_, modules = result.stdout.splitlines()
    assert not {"torch", "transformers", "numpy", "tqdm", "mido", "huggingface_hub"} & set(modules.split())
    for command in ("generate", "read", "describe", "search", "tokenize", "inspect", "prepare", "train", "info"):
        assert f"│ {command} " in result.stdout
    assert "--time-signature" in result.stdout


def test_python_m_amt(run):
    process = start("--version")
    assert process.communicate() == (f"amt {amt.__version__}\n", "") and process.returncode == 0
    assert run() == run("--help") and run()[0] == 0


def test_eval_of_files(run, corpus):
    """Four scales and a file that is none, from the split train."""
    code, out, err = run("eval", corpus, "--split", "train", "--num", 9, "--json")
    rows = {row["metric"]: row for row in json.loads(out)}
    assert (code, err) == (0, "")
    assert rows["valid"]["value"] == 0.8 and rows["valid"]["n"] == 5
    assert rows["num_notes"] == {
        "metric": "num_notes", "value": 12.0, "low": 12.0, "high": 12.0, "n": 4, "split": "train", "model": "corpus"
    }  # fmt: skip
    assert "tempo_bin" not in rows
    text = run("eval", corpus, "--split", "train")[1]
    assert re.search(r"^valid +0\.8000 +\d\.\d+ to +\d\.\d+ +n = 5$", text, re.M)


def test_eval_of_a_model(run, corpus, encoder, listener):
    parts = "following,copying,loss,retrieval"
    code, out, err = run(
        "eval", corpus, "--model", listener, "--parts", parts, "--split", "train", "--num", 3, "--max-new-tokens", 30,
        "--rerank", 2, "--json",
    )  # fmt: skip
    rows = {(row["metric"], row["model"]): row["value"] for row in json.loads(out)}
    assert (code, err) == (0, "")
    assert rows["valid", listener] == 1.0
    assert rows["longest_copy", "real music"] == 12.0  # they are the training music
    assert 4 < rows["nats_per_token", listener] < 9
    assert rows["caption_recall_at_5", listener] == 1.0
    assert (
        run("eval", corpus, "--model", listener, "--parts", "loss", "--split", "train", "--json")[1]
        == run(
            "eval", corpus, "--model", listener, "--parts", "loss", "--split", "train", "--dtype", "float32", "--json"
        )[1]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "loss"], "loss, retrieval and edits need a --model"),
        (["--parts", "luck"], "there is no part luck"),
        (["--split", "test"], "has no piece of the split test"),
        (["--guidance-scale", 500], "--guidance-scale must be between 0 and 100, got 500"),
    ],
)
def test_eval_mistakes(run, corpus, options, message):
    code, out, err = run("eval", corpus, *options)
    assert code == 2 and out == "" and message in err and err.count("\n") == 1


def test_retrieval_needs_both_directions(run, corpus, encoder, model):
    code, _, err = run("eval", corpus, "--model", model, "--parts", "retrieval", "--split", "train")
    assert code == 1 and "only writes MIDI" in err and err.count("\n") == 1


def test_a_name_that_is_not_utf8_is_a_name(run, folder, song, listener, encoder):
    name = "caf\udce9.mid"  # bytes of another encoding, as Python names them
    shutil.copyfile(song, name)
    for words in (["inspect"], ["tokenize"], ["tokenize", "--ids"], ["tokenize", "--json"]):
        code, out, err = run(*words, name)
        assert (code, err) == (0, ""), words
    assert json.loads(out)["file"] == name
    code, out, err = run("inspect", "--json", name)
    assert json.loads(out)["file"] == name
    code, out, err = run("describe", name, "--model", listener, "--json")
    assert (code, err) == (0, "") and json.loads(out)["file"] == name
    code, out, err = run("generate", WALTZ, "--model", listener, "--max-tokens", 20, "-o", f"new-{name}")
    assert code == 0 and Path(f"new-{name}").exists()


def test_a_second_training_in_the_same_folder_is_told(run, folder, corpus):
    from amt.files import alone_in

    assert run("prepare", corpus, "-o", "data", "--no-embed")[0] == 0
    with alone_in(Path("run")):
        code, _, err = run("train", "data", "-o", "run", "--steps", 1)
    assert code == 1
    assert err == "amt: another process is writing to run; wait until it has ended, or name another folder\n"
    assert not list(Path("run").glob("*"))
