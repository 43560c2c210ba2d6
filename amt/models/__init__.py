"""The models, and how a config becomes one."""

from amt.midi.config import TokenizerConfig
from amt.models.music_text_transformer import MusicTextTransformer
from amt.models.music_transformer import MusicTransformer
from amt.nn.config import ModelConfig

__all__ = ["MusicTextTransformer", "MusicTransformer", "build_model"]


def build_model(config: ModelConfig, tokenizer_config: TokenizerConfig | None = None) -> MusicTransformer:
    """The model that a config describes, with fresh weights.

    Args:
        tokenizer_config: what its tokens mean, for state features; default: that of `TokenizerConfig()`.
    """
    kind = MusicTextTransformer if config.architecture == "music_text" else MusicTransformer
    return kind.from_config(config, tokenizer_config=tokenizer_config)
