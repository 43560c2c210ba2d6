"""AMT's C++ engine, with the instruction set that it chooses."""

from __future__ import annotations

from amt.bench.job import Job
from amt.bench.peers.models import prompts_and_model
from amt.decoding import generate
from amt.decoding.backends.engine import Engine


class EngineRunner:
    """A `Runner`. Weights are packed when it is loaded, not in the rounds."""

    shared_positions: float | None = None

    def __init__(self, job: Job):
        self.case = job.decode_case
        model, self.embeddings = prompts_and_model(job)
        self.engine = Engine(model, job.dtype, num_threads=job.threads)  # type: ignore[arg-type]
        self.version = str(self.engine.label)

    def generate(self) -> list[list[int]]:
        """See `Runner`."""
        results = generate(self.engine, self.embeddings, None, self.case.generation_config)
        return [list(best.token_ids[1:]) for best, *_ in results]


def load(job: Job) -> EngineRunner:
    """For the worker."""
    return EngineRunner(job)
