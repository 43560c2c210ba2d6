"""A training step of `MusicTransformer` beside one of torch's `nn.Transformer` of the same geometry, in turns.

    pytest benchmarks/bench_training.py --benchmark-only --benchmark-json=training.json
    python benchmarks/report.py training.json

d256: width 256, 4 heads, 4 + 4 layers, feed-forward 1,024; d512: the default model (512, 8 heads, 6 + 6, 2,048).
Dropout 0.1, float32, AdamW; 32 text positions, 512 tokens of vocabulary. `full`: 8 sequences of 1,024 tokens. `mixed`:
lengths from 256 to 1,024, padded to the longest; tokens/s count real ones. `ratio_to_nn_transformer` is the other's
median by AMT's. Without `--all` one size runs, two rounds of it.

`kernels`: a step as `amt train` takes it, of a model like the packaged one (d256 with norms first, SwiGLU, rotary
positions), bfloat16, Muon, no dropout, 8 x 1,024 tokens: with the C++ kernels, with torch's attention in their place,
and without any of them. In turns; times are CPU time, so that other work on the machine counts little.
"""

import os
import statistics
import time

import pytest
import torch
from comparisons import Measured, in_turns
from torch import nn

from amt.midi.config import TokenizerConfig
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.nn.positions import sinusoidal_table
from amt.ops import attention_backend, native_attention
from amt.training.config import TrainConfig
from amt.training.losses import token_loss
from amt.training.objective import Objective, Rows
from amt.training.optimizers import make_optimizers

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


def make_training_step(nhead):
    """A step of a model like the packaged one."""
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=659, d_model=256, nhead=nhead, num_encoder_layers=4, num_decoder_layers=4, dim_feedforward=1024,
        dropout=0.0, max_sequence_length=LENGTH, text_embedding_dim=384, norm_first=True, activation="swiglu",
        positions="rotary", tie_output=True,
    )  # fmt: skip
    train_config = TrainConfig(precision="bfloat16", optimizer="muon", batch_size=BATCH, max_len=LENGTH + 1)
    model = build_model(config).train()
    objective = Objective(model, train_config, TokenizerConfig())
    optimizers = make_optimizers(model, train_config)
    rows = Rows(
        torch.randint(3, config.vocab_size, (BATCH, LENGTH + 1)),
        torch.randn(BATCH, TEXT_LEN, config.text_embedding_dim),
        torch.ones(BATCH, TEXT_LEN, dtype=torch.bool),
        torch.ones(BATCH, dtype=torch.bool),
    )

    def step():
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss, _ = objective(rows, BATCH * LENGTH, BATCH)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        return loss.item()

    return step


@pytest.mark.parametrize("nhead", [4, pytest.param(2, marks=pytest.mark.long)])
def test_kernels(benchmark, compare, rounds, nhead, monkeypatch):
    if not native_attention.is_fast():
        pytest.skip("no fast kernels here")
    kernel_set = native_attention.chosen_kernel_set()  # before a setting changes it
    step = make_training_step(nhead)
    settings = {"kernels": ("", "auto"), "torch's attention": ("", "sdpa"), "no kernels": ("generic", "auto")}
    seconds = {name: [] for name in settings}

    def all_of_them():
        for name, (isa, backend) in settings.items():
            monkeypatch.setitem(os.environ, "AMT_CPU_ISA", isa)
            with attention_backend(backend):
                start = time.process_time()
                assert 0 < step() < 20
                seconds[name].append(time.process_time() - start)

    benchmark.group = f"training step, kernels, {torch.get_num_threads()} threads"
    benchmark.pedantic(all_of_them, rounds=rounds(2, 5), warmup_rounds=1)
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    benchmark.extra_info.update(kernel_set=kernel_set, cpu_seconds=medians)
    compare(
        benchmark.group, f"{nhead} heads, {BATCH} x {LENGTH} tokens, CPU time",
        *(
            Measured(name, name == "kernels", median, f"{BATCH * LENGTH / median:.4g} tokens/s")
            for name, median in medians.items()
        ),
    )  # fmt: skip
