"""transformers' `generate` on a Bart of the same size, with random weights of its own.

Its best settings that need no compiler: `inference_mode`, torch's attention (its default), the growing cache that is
its default. Text is 32 source tokens. Bart has one more layer norm after its embeddings, which is no work to speak of.
int8 is torch's dynamic quantization of every Linear layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from amt.bench.cases import BOS, EOS, SRC_LEN, TOP_P
from amt.bench.job import Job, optional


class Bart:
    """A `Runner`."""

    shared_positions: float | None = None

    def __init__(self, job: Job):
        transformers = optional("transformers")
        transformers.logging.set_verbosity_error()
        self.version = f"{transformers.__version__}, torch {torch.__version__}"
        torch.set_num_threads(job.threads)
        torch.manual_seed(0)
        self.case = job.decode_case
        sizes = job.model_config
        config = transformers.BartConfig(
            vocab_size=sizes.vocab_size,
            d_model=sizes.d_model,
            encoder_layers=sizes.num_encoder_layers,
            decoder_layers=sizes.num_decoder_layers,
            encoder_attention_heads=sizes.nhead,
            decoder_attention_heads=sizes.nhead,
            encoder_ffn_dim=sizes.dim_feedforward,
            decoder_ffn_dim=sizes.dim_feedforward,
            activation_function="relu",
            max_position_embeddings=sizes.max_sequence_length,
            pad_token_id=0,
            bos_token_id=BOS,
            eos_token_id=EOS,
            decoder_start_token_id=BOS,
            forced_bos_token_id=None,
            forced_eos_token_id=None,
        )
        self.model: Any = transformers.BartForConditionalGeneration(config).eval().requires_grad_(False)
        if job.dtype == "bfloat16":
            self.model = self.model.to(torch.bfloat16)
        if job.dtype == "int8":
            quantization: Any = torch.ao.quantization
            self.model = quantization.quantize_dynamic(self.model, {nn.Linear}, dtype=torch.qint8)
        self.source = torch.randint(3, sizes.vocab_size, (self.case.batch_size, SRC_LEN))
        self.options: dict[str, Any] = {
            "attention_mask": torch.ones_like(self.source),
            "min_new_tokens": self.case.num_tokens,
            "max_new_tokens": self.case.num_tokens,
            "num_beams": self.case.num_beams,
            "do_sample": self.case.mode == "sample",
        }
        if self.case.mode == "sample":
            self.options |= {"top_k": 0, "top_p": TOP_P}

    @torch.inference_mode()
    def generate(self) -> list[list[int]]:
        """See `Runner`."""
        return self.model.generate(self.source, **self.options)[:, 1:].tolist()  # type: ignore[no-any-return]


def load(job: Job) -> Bart:
    """For the worker."""
    return Bart(job)
