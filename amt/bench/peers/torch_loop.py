"""The loop that a PyTorch user writes: keys and values kept, one step of plain modules for each token.

Its best settings: caches allocated once for the whole length, the keys and values of the text projected once and shared
by a prompt's beams, one matrix for query, key and value, torch's own attention, `inference_mode`; beams reorder the
caches between two buffers, and not at all when every beam goes on with itself. int8 is torch's dynamic quantization of
every Linear layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from amt.bench.cases import BOS, EOS, TOP_P
from amt.bench.job import Job, random_model, text_embeddings
from amt.models import MusicTransformer

FORBIDDEN = -1e9


class TorchDecoder(nn.Module):
    """The weights of a plain `MusicTransformer`, in a loop of its own."""

    def __init__(self, model: MusicTransformer):
        super().__init__()
        self.config = model.config
        self.text_projection, self.encoder = model.text_projection, model.encoder
        self.token_embedding = model.token_embedding
        self.layers = model.decoder.layers
        self.embedding_scale = model.embedding_scale
        self.register_buffer("positions", model.decoder.positions.table)
        assert model.output_weight is not None
        self.output = nn.Linear(self.config.d_model, self.config.vocab_size)
        self.output.weight, self.output.bias = nn.Parameter(model.output_weight), model.output_bias
        self.requires_grad_(False)

    def memory_kv(self, text: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """text (batch, src_len, embedding) -> of each layer keys and values (batch, num_heads, src_len, head_dim)."""
        memory = self.encoder(self.text_projection(text))
        batch, src_len, d_model = memory.shape
        num_heads = self.config.nhead
        pairs = []
        for layer in self.layers:
            both = layer.cross_attention.key_value(memory).view(batch, src_len, 2, num_heads, d_model // num_heads)  # type: ignore[union-attr, operator]
            key, value = both.permute(2, 0, 3, 1, 4).contiguous().unbind(0)
            pairs.append((key, value))
        return pairs

    def step(
        self,
        token_ids: torch.Tensor,
        position: int,
        caches: torch.Tensor,
        memory: list[tuple[torch.Tensor, torch.Tensor]],
    ) -> torch.Tensor:
        """token_ids (rows,), caches (num_layers, 2, rows, num_heads, length, head_dim) -> logits (rows, vocab_size)."""
        rows, num_heads = token_ids.shape[0], self.config.nhead
        head_dim = self.config.d_model // num_heads
        x = self.token_embedding(token_ids) * self.embedding_scale + self.positions[position]  # type: ignore[index]
        layer: Any
        for layer, cache, (memory_key, memory_value) in zip(self.layers, caches, memory, strict=True):
            query, *new = layer.self_attention.query_key_value(x).view(rows, 3, num_heads, 1, head_dim).unbind(1)
            cache[0, :, :, position : position + 1], cache[1, :, :, position : position + 1] = new
            key, value = cache[:, :, :, : position + 1]
            mixed = F.scaled_dot_product_attention(query, key, value).view(rows, -1)
            x = layer.norm1(x + layer.self_attention.output(mixed))
            # The beams of a prompt are queries over one memory.
            query = layer.cross_attention.query(x).view(memory_key.shape[0], -1, num_heads, head_dim).transpose(1, 2)
            mixed = F.scaled_dot_product_attention(query, memory_key, memory_value).transpose(1, 2).reshape(rows, -1)
            x = layer.norm2(x + layer.cross_attention.output(mixed))
            x = layer.norm3(x + layer.feed_forward.linear2(F.relu(layer.feed_forward.linear1(x))))
        logits: torch.Tensor = self.output(x).float()
        logits[:, EOS] = FORBIDDEN
        return logits


class TorchLoop:
    """A `Runner`."""

    version = torch.__version__

    def __init__(self, job: Job):
        torch.set_num_threads(job.threads)
        self.case = job.decode_case
        self.shared_positions: float | None = None
        dtype = torch.bfloat16 if job.dtype == "bfloat16" else torch.float32
        self.model: Any = TorchDecoder(random_model(job.model_config)).to(dtype)
        if job.dtype == "int8":
            quantization: Any = torch.ao.quantization
            self.model = quantization.quantize_dynamic(self.model, {nn.Linear}, dtype=torch.qint8)
        self.text = torch.from_numpy(text_embeddings(job)).to(dtype)

    @torch.inference_mode()
    def generate(self) -> list[list[int]]:
        """See `Runner`."""
        memory = self.model.memory_kv(self.text)
        if self.case.num_beams > 1:
            return self._beams(memory)
        caches, token_ids = self._start(memory)
        steps = []
        for position in range(self.case.num_tokens):
            logits = self.model.step(token_ids, position, caches, memory)
            token_ids = _sample(logits) if self.case.mode == "sample" else logits.argmax(-1)
            steps.append(token_ids)
        return torch.stack(steps, 1).tolist()

    def _start(self, memory: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
        batch, num_heads, _, head_dim = memory[0][0].shape
        rows = batch * self.case.num_beams
        caches = torch.empty(len(memory), 2, rows, num_heads, self.case.num_tokens, head_dim, dtype=memory[0][0].dtype)
        return caches, torch.full((rows,), BOS)

    def _beams(self, memory: list[tuple[torch.Tensor, torch.Tensor]]) -> list[list[int]]:
        batch, num_beams, vocab_size = self.case.batch_size, self.case.num_beams, self.model.config.vocab_size
        caches, token_ids = self._start(memory)
        spare = torch.empty_like(caches)
        scores = torch.full((batch, num_beams), FORBIDDEN)
        scores[:, 0] = 0.0
        first_rows = torch.arange(batch)[:, None] * num_beams
        same = torch.arange(batch * num_beams)
        tokens: list[torch.Tensor] = []
        parents: list[torch.Tensor] = []
        for position in range(self.case.num_tokens):
            logits = self.model.step(token_ids, position, caches, memory)
            totals = scores[:, :, None] + logits.log_softmax(-1).view(batch, num_beams, vocab_size)
            scores, best = totals.view(batch, -1).topk(num_beams)
            rows = (best // vocab_size + first_rows).view(-1)
            token_ids = (best % vocab_size).view(-1)
            tokens.append(token_ids)
            parents.append(rows)
            if not torch.equal(rows, same):
                end = position + 1
                for old, new in zip(caches.flatten(0, 1), spare.flatten(0, 1), strict=True):
                    new[:, :, :end] = old[:, :, :end].index_select(0, rows)
                caches, spare = spare, caches
        if self.shared_positions is None:
            self.shared_positions = shared_positions(torch.stack(parents).view(-1, batch, num_beams) - first_rows)
        rows = first_rows.view(-1)  # the best beam of each prompt
        sequences = []
        for step_tokens, step_parents in zip(reversed(tokens), reversed(parents), strict=True):
            sequences.append(step_tokens[rows])
            rows = step_parents[rows]
        return torch.stack(sequences[::-1], 1).tolist()


def shared_positions(parents: torch.Tensor) -> float:
    """The share of the positions so far that all beams of a prompt have in common, averaged over steps and prompts.

    Args:
        parents: (num_steps, batch, num_beams): which beam of the step before each beam goes on from.
    """
    num_steps, batch, num_beams = parents.shape
    ancestry = torch.empty(batch, num_beams, num_steps, dtype=torch.int64)
    shares = []
    for step, parent in enumerate(parents):
        ancestry[:, :, step] = torch.arange(num_beams)
        ancestry[:, :, : step + 1] = ancestry[:, :, : step + 1].gather(1, parent[:, :, None].expand(-1, -1, step + 1))
        is_shared = (ancestry[:, :, : step + 1] == ancestry[:, :1, : step + 1]).all(1)
        shares.append(is_shared.double().mean())
    return float(torch.stack(shares).mean())


def _sample(logits: torch.Tensor) -> torch.Tensor:
    """A token of each row from the smallest set of tokens that holds TOP_P of the probability."""
    probs, token_ids = logits.softmax(-1).sort(-1, descending=True)
    probs = probs.masked_fill(probs.cumsum(-1) - probs >= TOP_P, 0.0)
    return token_ids.gather(1, torch.multinomial(probs, 1)).squeeze(1)


def load(job: Job) -> TorchLoop:
    """For the worker."""
    return TorchLoop(job)
