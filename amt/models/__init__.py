"""The models, and how a config becomes one."""

from amt.models.music_text_transformer import MusicTextTransformer
from amt.models.music_transformer import MusicTransformer
from amt.nn.config import ModelConfig

__all__ = ["MusicTextTransformer", "MusicTransformer", "build_model"]


def build_model(config: ModelConfig) -> MusicTransformer:
    """The model that a config describes, with fresh weights."""
    return (MusicTextTransformer if config.architecture == "music_text" else MusicTransformer).from_config(config)
