"""AMT's C++ engine, with the instruction set that it chooses."""

from __future__ import annotations

from amt.bench.job import Job, optional
from amt.bench.peers.models import prompts_and_model


class EngineRunner:
    """A `Runner`. Weights are packed when it is loaded, not in the rounds."""

    shared_positions: float | None = None

    def __init__(self, job: Job):
        self.case, self.threads = job.decode_case, job.threads
        model, self.embeddings = prompts_and_model(job)
        self.engine = optional("amt.decoding.engine").Engine(model, weights=job.dtype)
        self.version = str(self.engine.backend)

    def generate(self) -> list[list[int]]:
        """See `Runner`."""
        results = self.engine.generate(
            self.embeddings,
            None,
            self.case.generation_config,
            num_threads=self.threads,
        )
        return [list(best.token_ids[1:]) for best, *_ in results]


def load(job: Job) -> EngineRunner:
    """For the worker."""
    return EngineRunner(job)
