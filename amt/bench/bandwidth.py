"""What reading the working set of a step once takes: the limit for a decoder that must read it all for each token.

The buffer has the size of the working set and stays where such a set stays: in a cache, if it fits. Reading is timed by
torch's sum over it, which touches every byte once and has next to nothing to compute.
"""

from __future__ import annotations

import torch

from amt.bench.cases import SRC_LEN, DecodeCase
from amt.bench.job import Job
from amt.nn.config import ModelConfig

BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}


def bytes_per_step(case: DecodeCase, config: ModelConfig) -> int:
    """The least that a step must read, on average over the case.

    Every weight of the decoder that takes part in a step, stored as the case's dtype; the keys and values of the text;
    and those of the tokens so far, once for each prompt: no implementation can do with less than one beam's. Keys and
    values count as the engine stores them: with 8 bits each has a float32 scale.
    """
    d_model, num_layers = config.d_model, config.num_decoder_layers
    weights = num_layers * (6 * d_model * d_model + 2 * d_model * config.dim_feedforward) + config.vocab_size * d_model
    bytes_of_cached = BYTES[case.dtype] + (4 * config.nhead / d_model if case.dtype == "int8" else 0)
    positions = SRC_LEN + (case.num_tokens + 1) / 2
    cached = case.batch_size * positions * num_layers * 2 * d_model
    return round(weights * BYTES[case.dtype] + cached * bytes_of_cached)


class Reader:
    """A `Runner` that reads `job.num_bytes` once a round."""

    shared_positions: float | None = None
    version = torch.__version__

    def __init__(self, job: Job):
        torch.set_num_threads(job.threads)
        self.buffer = torch.ones(max(1, job.num_bytes // 4))

    def generate(self) -> list[list[int]]:
        """Nothing but the reading."""
        self.buffer.sum()
        return []


def load(job: Job) -> Reader:
    """For the worker."""
    return Reader(job)
