"""Music over a plan: given by the call, stated by the text, or written by the model."""

import pytest

import amt
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note
from amt.midi.plan import Plan, transposed_chord
from amt.midi.reader import read_midi
from amt.midi.tokenizer import EventTokenizer
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.request.options import GenerationConfig
from amt.text.encoder import TextEncoderSpec

FEATURES = ("bar", "bars_left", "section", "chord", "next_chord", "section_left")


def opened(folder, config):
    """A small model with random weights."""
    import torch

    torch.manual_seed(3)
    shape = ModelConfig(
        vocab_size=809, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24,
        max_sequence_length=256, text_embedding_dim=384, positions="rotary", tie_output=True, state_features=FEATURES,
    )  # fmt: skip
    model = build_model(shape, config).eval()
    amt.save_checkpoint(folder, model, config, TextEncoderSpec(), GenerationConfig())
    return amt.load(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory, make_generator):
    return opened(tmp_path_factory.mktemp("models") / "plans", TokenizerConfig(version=2))


@pytest.fixture(scope="module")
def canonical(tmp_path_factory, make_generator):
    return opened(tmp_path_factory.mktemp("models") / "canonical", TokenizerConfig(version=2, canonical_key=True))


def names(plan):
    return " ".join(f"{section.name}{section.half_bars / 2:g}" for section in plan.sections)


def bars(plan):
    return " ".join(name for section in plan.sections for name in section.bar_names)


def halves(plan):
    return [chord.name for chord in plan.chords for _ in range(chord.half_bars)]


@pytest.mark.parametrize("backend", ["plain", "engine"])
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}])
def test_a_whole_plan_is_what_the_piece_has(model, backend, options):
    limits = {"form": "verse chorus verse", "chords": "Am7 | F G", "bars": 6, "time_signature": "3/4"}
    piece = amt.generate(
        "a song", model=model, seed=1, max_new_tokens=90, backend=backend, max_note_beats=1, **limits, **options
    )
    assert names(piece.plan) == "verse2 chorus2 verse2" and bars(piece.plan) == " ".join(["Am7 F|G"] * 3)
    rows = {row.name: row for row in piece.report}
    assert rows["chords"].asked == "Am7 | F G" and "of the notes' time" in rows["chords"].got
    assert rows["form"].is_met == (rows["form"].got == "verse chorus verse")
    assert read_midi(piece.to_bytes()).plan == piece.plan and piece.music.plan is piece.plan


def test_what_is_not_given_is_written_by_the_model(model):
    found = set()
    for seed in range(4):
        options = {"model": model, "seed": seed, "max_new_tokens": 120}
        piece = amt.generate("a song", chords="C | Am | F | G", bars=4, time_signature="4/4", **options)
        assert piece.plan.half_bars == 8
        assert halves(piece.plan) == ["C", "C", "Am", "Am", "F", "F", "G", "G"]
        found.add(names(piece.plan))
        piece = amt.generate("a song", form="A4 B4", **options)
        assert names(piece.plan) == "A4 B4"
        found.add(bars(piece.plan))
    assert len(found) > 4


def test_a_text_states_the_plan_and_an_option_wins(model):
    options = {"model": model, "seed": 1, "max_new_tokens": 120}
    text = "a song with the chords C Am F G in AABA form"
    piece = amt.generate(text, **options)
    assert names(piece.plan) == "A4 A4 B4 A4" and bars(piece.plan) == " ".join(["C Am F G"] * 4)
    piece = amt.generate(text, chords="D", **options)
    assert names(piece.plan) == "A4 A4 B4 A4" and bars(piece.plan) == " ".join(["D"] * 16)
    assert amt.generate(text, chords=None, form=None, **options).plan != piece.plan


def test_a_plan_stands_in_the_key_of_the_result(canonical):
    piece = amt.generate("a song in D major", chords="D | Bm | G | A", model=canonical, seed=1, max_new_tokens=80)
    written = EventTokenizer(TokenizerConfig(version=2)).decode(piece.tokens).plan
    assert halves(piece.plan) == ["D", "D", "Bm", "Bm", "G", "G", "A", "A"] * 4
    assert halves(written) == ["C", "C", "Am", "Am", "F", "F", "G", "G"] * 4


def test_streamed_chords_are_those_of_the_piece(canonical):
    stream = amt.stream("a song in D major", chords="D | Bm", model=canonical, seed=1, max_new_tokens=80)
    chords = [event.value for event in stream if event.kind == "chord"]
    assert chords == [chord.number for chord in stream.result().plan.chords]
    assert chords[0] == transposed_chord(1, 2)


def test_errors_in_one_line(model, make_generator):
    for options, message in (
        ({"chords": "C Hm"}, "'Hm' in chords is no chord"),
        ({"form": "AABA", "bars": 3, "time_signature": "4/4"}, "form has at least 4 bars, and bars is 3"),
        ({"chords": "C | F", "bars": 300, "time_signature": "4/4"}, "the plan of 300 bars takes .* ask for fewer bars"),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            amt.generate("a song", model=model, **options)
        assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="chords needs a model that plans its music, and this one does not"):
        amt.generate("a song", model=make_generator(256), chords="C F")
    assert amt.generate("chords C Am F G", model=make_generator(256), seed=1, max_new_tokens=40).plan is None


def test_music_to_continue_keeps_its_plan(model, tmp_path):
    plan = Plan.from_half_bars([0, -1, 10, -1], [1, 1, 74, 74])
    MidiData([Note(480 * i, 480 * i + 480, 60, 80) for i in range(8)], plan=plan).save(tmp_path / "begun.mid")
    piece = amt.generate("chords C Am F G", model=model, seed=1, prompt_midi=tmp_path / "begun.mid", max_new_tokens=30)
    assert piece.plan == plan
    with pytest.raises(ValueError, match="does not keep to chords 'C F'"):
        amt.generate("a song", model=model, prompt_midi=tmp_path / "begun.mid", chords="C F")
