import json

import pytest

import amt

WALTZ = "a slow sad waltz"
STAGES = ["text encoder", "encoder", "decode", "file"]
PARTS = ["decode/matmul", "decode/attention", "decode/rows", "decode/choice"]  # which the engine tells


@pytest.fixture(scope="module")
def generator(make_generator):
    return make_generator(96)


@pytest.fixture
def measure(generator):
    return lambda **options: amt.profile(WALTZ, **({"model": generator, "max_new_tokens": 40} | options))


@pytest.mark.parametrize("backend", ["engine", "plain"])
def test_what_a_profile_counts(generator, measure, backend):
    profile = measure(seed=7, backend=backend, num_return_sequences=2)
    pieces = amt.generate(WALTZ, model=generator, max_new_tokens=40, seed=7, num_return_sequences=2)
    assert [piece.tokens for piece in profile.pieces] == [piece.tokens for piece in pieces]
    assert profile.num_tokens == sum(len(piece.tokens) - 1 for piece in pieces)
    assert profile.num_notes == sum(len(piece.notes) for piece in pieces) > 0
    assert profile.backend.startswith(backend)
    assert profile.music_s == sum(piece.duration_s for piece in pieces)


def test_the_times_fit_together(measure):
    profile = measure(seed=7)
    stages = {name: seconds for name, seconds in profile.stages_s.items() if "/" not in name}
    parts = {name: seconds for name, seconds in profile.stages_s.items() if "/" in name}
    assert list(stages) == STAGES and all(seconds > 0 for seconds in profile.stages_s.values())
    assert list(parts) == PARTS
    assert sum(parts.values()) <= stages["decode"]
    assert sum(stages.values()) <= profile.total_s and profile.load_s >= 0
    assert 0 < profile.first_token_s <= profile.first_note_s
    assert profile.tokens_per_s == profile.num_tokens / profile.stages_s["decode"]
    assert profile.notes_per_s == profile.num_notes / profile.total_s
    assert profile.real_time_factor == profile.music_s / profile.total_s
    assert 1 << 24 < profile.peak_memory_bytes < 1 << 40


def test_beams_have_no_first_note_and_a_piece_without_notes_has_none(measure):
    profile = measure(num_beams=2, num_return_sequences=2, length_penalty=0.5)
    assert (profile.first_token_s, profile.first_note_s) == (None, None) and len(profile.pieces) == 2
    profile = measure(seed=7, max_new_tokens=3)
    assert profile.first_token_s > 0 and profile.first_note_s is None
    assert "first note        -\n" in str(profile)


def test_the_own_criteria_of_a_user_are_measured_too(measure):
    profile = measure(seed=7, stopping_criteria=[lambda token_ids, _: token_ids.shape[1] >= 9])
    assert profile.num_tokens == 8 and list(profile.stages_s) == STAGES


def test_numbers_and_words(measure):
    profile = measure(seed=7)
    numbers = json.loads(json.dumps(profile.to_dict()))
    assert numbers["num_tokens"] == profile.num_tokens and list(numbers["stages_s"]) == STAGES + PARTS
    assert numbers["first_note_s"] == profile.first_note_s and numbers["num_pieces"] == 1
    lines = str(profile).splitlines()
    names = [
        "load",
        *STAGES,
        *PARTS,
        "total",
        "first token",
        "first note",
        "tokens",
        "notes",
        "music",
        "peak memory",
        "backend",
    ]
    assert [line[:17].strip() for line in lines] == names


def test_a_mistake_is_told(measure):
    with pytest.raises(ValueError, match="backend must be one of"):
        measure(backend="gpu")
    with pytest.raises(ValueError, match="does not know the option temprature"):
        measure(temprature=1)
