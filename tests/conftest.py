"""Fixtures for all tests."""

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

FILES_PER_SOURCE = 22

# Small tensors gain nothing from threads that wait for each other, also in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def corpus_files() -> list[tuple[str, bytes]]:
    """About 200 real MIDI files (name, bytes), the same ones every time, from all sources of the corpus.

    The corpus is a folder of SOURCE.tar.xz: $AMT_CORPUS, or shared/corpus beside the repository.
    """
    default = Path(__file__).parents[2] / "shared" / "corpus"
    folder = Path(os.environ.get("AMT_CORPUS", default))
    archives = sorted(folder.glob("*.tar.xz"))
    if not archives:
        pytest.skip(f"no corpus in {folder}; set AMT_CORPUS to a folder of SOURCE.tar.xz with MIDI files")
    files: list[tuple[str, bytes]] = []
    for archive in archives:
        num_files = 0
        with tarfile.open(archive) as tar:
            for member in tar:
                is_drawn = hashlib.sha256(member.name.encode()).digest()[0] % 4 == 0
                if not (is_drawn and member.isfile() and member.name.endswith(".mid")):
                    continue
                content = tar.extractfile(member)
                assert content is not None
                files.append((member.name, content.read()))
                num_files += 1
                if num_files == FILES_PER_SOURCE:
                    break
    return files


@pytest.fixture(scope="session")
def make_generator(tmp_path_factory):
    """Opens a small model with random weights: what it writes is noise, but in every detail valid."""
    import torch

    import amt
    from amt.errors import TextEncoderError
    from amt.midi.config import TokenizerConfig
    from amt.models import build_model
    from amt.nn.config import ModelConfig
    from amt.request.options import GenerationConfig
    from amt.text.encoder import TextEncoderSpec, find_encoder_files

    try:
        find_encoder_files(TextEncoderSpec())
    except TextEncoderError as error:
        pytest.skip(str(error))

    def make(max_sequence_length):
        torch.manual_seed(3)
        config = ModelConfig(
            vocab_size=659, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24,
            max_sequence_length=max_sequence_length, text_embedding_dim=384, positions="rotary", tie_output=True,
        )  # fmt: skip
        folder = tmp_path_factory.mktemp("models") / "small"
        model = build_model(config).eval()
        amt.save_checkpoint(folder, model, TokenizerConfig(), TextEncoderSpec(), GenerationConfig())
        return amt.load(folder)

    return make
