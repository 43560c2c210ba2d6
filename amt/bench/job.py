"""What a worker process is asked to do, and what it must offer."""

from __future__ import annotations

import dataclasses
import importlib
import json
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from amt.bench.cases import EOS, MODEL, SRC_LEN, DecodeCase
from amt.nn.config import ModelConfig

if TYPE_CHECKING:
    import torch

    from amt.models import MusicTransformer

SUBLAYER_SCALE = 0.5
OUTPUT_SCALE = 6.5
EOS_BIAS = -100.0


@dataclasses.dataclass(frozen=True)
class Job:
    """One implementation on one case.

    Attributes:
        module: where its `load(job)` is.
        case: the case's name.
        dtype: what this implementation stores the weights as.
        threads: how many it may use.
        folder: where it may keep files for the next job; workers of one run share it.
        model: the architecture.
        num_bytes: the working set, for `amt.bench.bandwidth`.
    """

    module: str
    case: str
    dtype: str
    threads: int
    folder: str
    model: dict[str, Any] = dataclasses.field(default_factory=MODEL.to_dict)
    num_bytes: int = 0

    @property
    def decode_case(self) -> DecodeCase:
        """The case."""
        return DecodeCase.parse(self.case)

    @property
    def model_config(self) -> ModelConfig:
        """The architecture."""
        return ModelConfig.from_dict(self.model)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Job:
        """The job of such a line."""
        return cls(**json.loads(line))


class Runner(Protocol):
    """An implementation, loaded."""

    shared_positions: float | None  # see Row; set by the first `generate` if at all
    version: str

    def generate(self) -> list[list[int]]:
        """Decode the case once, text encoder layers included; the new tokens of each prompt's best sequence."""
        ...


def optional(module: str) -> Any:
    """A package that need not be installed, without its types."""
    return importlib.import_module(module)


def text_embeddings(job: Job) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The prompts, (batch, SRC_LEN, text_embedding_dim), the same ones in every process."""
    shape = (job.decode_case.batch_size, SRC_LEN, job.model_config.text_embedding_dim)
    return np.random.default_rng(1).standard_normal(shape, dtype=np.float32)


def random_model(config: ModelConfig) -> MusicTransformer:
    """The model that all implementations which can take its weights get: random ones, the same in every process.

    Fresh weights would make it say one token for ever. With smaller sublayers beside the residuals the next token
    depends on the last one and on the position, and with larger logits beams share about as many positions as on the
    model of the package. eos has next to no probability: how an implementation suppresses it makes no difference then.
    """
    import torch

    from amt.models import build_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config).eval()
    with torch.no_grad():
        output: torch.Tensor | None = model.output_weight
        assert output is not None
        output.mul_(OUTPUT_SCALE)
        model.output_bias[EOS] = EOS_BIAS
        for name, weight in model.decoder.named_parameters():
            if name.endswith(("attention.output.weight", "linear2.weight")):
                weight.mul_(SUBLAYER_SCALE)
    return model.requires_grad_(False)
