"""What AMT's own implementations decode: random weights, or the model of the package.

That one runs without its grammar, which may end a piece a few tokens early.
"""

from __future__ import annotations

import torch

from amt.bench.cases import SRC_LEN
from amt.bench.job import Job, random_model, text_embeddings
from amt.models import MusicTransformer


def prompts_and_model(job: Job) -> tuple[MusicTransformer, torch.Tensor]:
    """The model and its text embeddings."""
    torch.set_num_threads(job.threads)
    if not job.decode_case.is_shipped:
        return random_model(job.model_config), torch.from_numpy(text_embeddings(job))
    from amt.models.checkpoint import load_checkpoint
    from amt.models.opened import DEFAULT_READER, WEIGHTS

    checkpoint = load_checkpoint(WEIGHTS / DEFAULT_READER)
    src_len = SRC_LEN if checkpoint.text_spec.pooling == "none" else 1
    shape = (job.decode_case.batch_size, src_len, checkpoint.model.config.text_embedding_dim)
    embeddings = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return checkpoint.model, embeddings
