"""A small model, a table of prompts, and what they come to."""

import pytest
import torch
from batches import write_table

import amt
from amt.errors import TextEncoderError
from amt.midi.config import TokenizerConfig
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.request.options import GenerationConfig
from amt.text.encoder import TextEncoderSpec, find_encoder_files


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A folder of a model with random weights: what it writes is noise, but in every detail valid."""
    try:
        find_encoder_files(TextEncoderSpec())
    except TextEncoderError as error:
        pytest.skip(str(error))
    torch.manual_seed(3)
    config = ModelConfig(
        d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24, max_sequence_length=96,
        text_embedding_dim=384,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("models") / "small"
    amt.save_checkpoint(
        folder, build_model(config).eval(), TokenizerConfig(), TextEncoderSpec(), GenerationConfig(max_new_tokens=40)
    )
    return str(folder)


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path)


@pytest.fixture(scope="session")
def whole(model, tmp_path_factory):
    """What the rows come to, each written alone: the files by name."""
    folder = tmp_path_factory.mktemp("whole")
    write_table(folder)
    return amt.generate_batch(folder / "prompts.jsonl", folder / "out", model=model, batch_size=1), folder / "out"
