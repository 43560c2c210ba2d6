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
