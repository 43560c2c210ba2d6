"""What users hold can be copied and sent to other processes; what cannot says what to do."""

import copy
import pickle

import pytest

import amt
from amt.midi.elements import Note

WAYS = {"pickle": lambda thing: pickle.loads(pickle.dumps(thing)), "deepcopy": copy.deepcopy, "copy": copy.copy}
by_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
MUSIC = amt.MidiData([Note(480 * number, 480 * number + 400, 60 + number % 12, 80) for number in range(20)])


@by_way
@pytest.mark.parametrize("preset", ["score", "performance"])
def test_tokenizers(way, preset):
    tokenizer = amt.EventTokenizer(preset)
    again = way(tokenizer)
    assert again.config == tokenizer.config
    assert again.encode(MUSIC).ids.tolist() == tokenizer.encode(MUSIC).ids.tolist()


@by_way
def test_grammars_and_where_they_are(way):
    grammar = amt.Grammar(amt.TokenizerConfig(), amt.Constraints(max_polyphony=1))
    state = way(grammar).start()
    ids = amt.EventTokenizer().encode(MUSIC).ids.tolist()
    for number, token_id in enumerate(ids):
        if number % 9 == 0:
            other = way(state)
            assert (other.now, other.tokens_to_close, other.is_finished) == (state.now, state.tokens_to_close, False)
            assert (other.allowed(50) == state.allowed(50)).all()
            other.advance(token_id)  # a place of its own
            state = way(state)
        state.advance(token_id)
    assert way(state).is_finished


@by_way
@pytest.mark.parametrize(
    "thing",
    [
        amt.TokenizerConfig(), amt.GenerationConfig(temperature=0), amt.TrainConfig(), amt.Constraints(), amt.Limits(),
        amt.Vocabulary(amt.TokenizerConfig()).events, MUSIC, MUSIC.notes, MUSIC.notes[0],
        amt.read_midi(MUSIC.to_bytes()),
    ],
    ids=lambda thing: type(thing).__name__,
)  # fmt: skip
def test_music_and_settings(way, thing):
    assert way(thing) == thing


@by_way
@pytest.mark.parametrize(
    "error",
    [
        amt.MidiError("no track", 14), amt.MidiError("no track"), amt.DiskFullError("full"), amt.CheckpointError("x"),
        amt.TextEncoderError("x"), amt.BackendUnavailableError("x"), amt.DecodingError("x"), amt.AmtError("x"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_errors(way, error):
    again = way(error)
    assert type(again) is type(error) and str(again) == str(error)
    for name in ("byte_offset", "reason", "errno"):
        assert getattr(again, name, None) == getattr(error, name, None)


@by_way
def test_models_and_what_they_make(way, make_generator):
    model = make_generator(96)
    options = {"seed": 1, "max_new_tokens": 30}
    piece = amt.generate("a waltz", model=model, **options)
    again = way(model)
    assert amt.generate("a waltz", model=again, **options).tokens == piece.tokens
    assert way(piece) == piece
    encoder = way(model.text_encoder)
    assert (encoder.encode(["a waltz"])[0] == model.text_encoder.encode(["a waltz"])[0]).all()
    description = amt.describe(piece, model=model)
    assert way(description).to_dict() == description.to_dict()
    arrangement = amt.arrange("irish_jig", seed=1)
    assert way(arrangement).music == arrangement.music
    stream = amt.stream("a waltz", model=model, **options)
    event = next(stream)
    assert way(event) == event
    if way is not copy.copy:
        with pytest.raises(TypeError, match=r"copy or pickle its result\(\)"):
            way(stream)
