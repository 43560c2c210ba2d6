"""A training step of `MusicTransformer` beside one of torch's `nn.Transformer` of the same geometry, in turns.

    pytest benchmarks/bench_training.py --benchmark-only --benchmark-json=training.json
    python benchmarks/report.py training.json

d256: width 256, 4 heads, 4 + 4 layers, feed-forward 1,024; d512: the default model (512, 8 heads, 6 + 6, 2,048).
Dropout 0.1, float32, AdamW; 32 text positions, 512 tokens of vocabulary. `full`: 8 sequences of 1,024 tokens. `mixed`:
lengths from 256 to 1,024, padded to the longest; tokens/s count real ones. `ratio_to_nn_transformer` is the other's
median by AMT's. Without `--all` one size runs, two rounds of it.
"""

import pytest
import torch
from comparisons import Measured, in_turns
from torch import nn

from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.nn.positions import sinusoidal_table
from amt.training.losses import token_loss

CONFIGS = {
    "d256": ModelConfig(
        vocab_size=512, d_model=256, nhead=4, num_encoder_layers=4, num_decoder_layers=4, dim_feedforward=1024,
        max_sequence_length=1024, text_embedding_dim=384,
    ),
    "d512": ModelConfig(vocab_size=512),
}  # fmt: skip
BATCH, LENGTH, TEXT_LEN = 8, 1024, 32


class PlainTransformer(nn.Module):
    """What one writes with `nn.Transformer`."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.text = nn.Linear(config.text_embedding_dim, config.d_model)
        self.tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.transformer = nn.Transformer(
            config.d_model, config.nhead, config.num_encoder_layers, config.num_decoder_layers, config.dim_feedforward,
            config.dropout, batch_first=True,
        )  # fmt: skip
        self.output = nn.Linear(config.d_model, config.vocab_size)
        self.register_buffer("positions", sinusoidal_table(config.max_sequence_length, config.d_model))

    def forward(self, text, tokens, token_mask):
        source = self.text(text) + self.positions[: text.shape[1]]
        target = self.tokens(tokens) * self.config.d_model**0.5 + self.positions[: tokens.shape[1]]
        causal = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        padding = None if token_mask is None else torch.zeros(token_mask.shape).masked_fill(~token_mask, -torch.inf)
        mixed = self.transformer(source, target, tgt_mask=causal, tgt_key_padding_mask=padding, tgt_is_causal=True)
        return self.output(mixed)


def make_step(model, call, text, tokens):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step():
        loss = token_loss(call(model, text, tokens[:, :-1]), tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


@pytest.mark.parametrize("lengths", ["full", pytest.param("mixed", marks=pytest.mark.long)])
@pytest.mark.parametrize("size", ["d256", pytest.param("d512", marks=pytest.mark.long)])
def test_training_step(benchmark, compare, rounds, size, lengths):
    config = CONFIGS[size]
    torch.manual_seed(0)
    text = torch.randn(BATCH, TEXT_LEN, config.text_embedding_dim)
    tokens = torch.randint(3, config.vocab_size, (BATCH, LENGTH + 1))
    if lengths == "mixed":
        ends = torch.linspace(LENGTH // 4, LENGTH, BATCH).round().long()
        tokens = tokens.masked_fill(torch.arange(LENGTH + 1) > ends[:, None], 0)
    num_tokens = int((tokens[:, 1:] != 0).sum())
    mask = None if lengths == "full" else tokens[:, :-1] != 0
    ours = make_step(build_model(config).train(), lambda model, *inputs: model(*inputs), text, tokens)
    theirs = make_step(PlainTransformer(config).train(), lambda model, *inputs: model(*inputs, mask), text, tokens)

    def run(step):
        assert 0 < step() < 20

    benchmark.group = f"training step, {torch.get_num_threads()} threads"
    turns = in_turns(benchmark, lambda: run(ours), lambda: run(theirs), rounds=rounds(2, 3))
    own, other = (num_tokens / seconds for seconds in turns.medians)
    benchmark.extra_info.update(tokens_s=own, nn_transformer_tokens_s=other, ratio_to_nn_transformer=turns.ratio)
    compare(
        benchmark.group, f"{size}, {lengths}, {BATCH} x {LENGTH} tokens",
        Measured("amt", True, 1 / own, f"{own:.4g} tokens/s"),
        Measured("nn.Transformer", False, 1 / other, f"{other:.4g} tokens/s"), ratio=turns.ratio,
    )  # fmt: skip
