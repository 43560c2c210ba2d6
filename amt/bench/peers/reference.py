"""AMT's own reference decoder, in PyTorch: prompts one after the other, one thread."""

from __future__ import annotations

import torch

from amt.bench.cases import BOS, EOS
from amt.bench.job import Job
from amt.bench.peers.models import prompts_and_model
from amt.decoding import generate


class Reference:
    """A `Runner`; threads do not change it."""

    shared_positions: float | None = None
    version = torch.__version__

    def __init__(self, job: Job):
        self.case = job.decode_case
        self.model, self.embeddings = prompts_and_model(job)

    def generate(self) -> list[list[int]]:
        """See `Runner`."""
        results = generate(
            self.model,
            self.embeddings,
            None,
            self.case.generation_config,
            bos_token_id=BOS,
            eos_token_id=EOS,
        )
        return [list(best.token_ids[1:]) for best, *_ in results]


def load(job: Job) -> Reference:
    """For the worker."""
    return Reference(job)
