import pytest

from amt.models import MusicTextTransformer, MusicTransformer, build_model
from amt.nn.config import ModelConfig

SMALL = {"vocab_size": 23, "d_model": 12, "nhead": 3, "num_encoder_layers": 2, "num_decoder_layers": 2}


def test_architecture_chooses_the_model():
    config = ModelConfig(architecture="music", **SMALL)
    model = build_model(config)
    assert type(model) is MusicTransformer and model.config == config
    config = ModelConfig(architecture="music_text", **SMALL)
    model = build_model(config)
    assert type(model) is MusicTextTransformer and model.config == config


@pytest.mark.parametrize(
    ("longest", "message"),
    [
        ((1.0,) * 15, "longest_notes must have 16 numbers or none, got 15"),
        ((-1.0,) * 16, "each of longest_notes must be between 0 and"),
        ((float("nan"),) * 16, "each of longest_notes must be between 0 and"),
        (("long",) * 16, "longest_notes must be tuple"),
    ],
    ids=["15", "negative", "nan", "words"],
)
def test_longest_notes_are_one_number_for_each_family(longest, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(longest_notes=longest)
    known = ModelConfig(longest_notes=(1, *[2.5] * 15))
    assert ModelConfig.from_dict(known.to_dict()) == known
    before = {name: value for name, value in ModelConfig().to_dict().items() if name != "longest_notes"}
    assert ModelConfig.from_dict(before) == ModelConfig()  # of a checkpoint that does not have it yet
