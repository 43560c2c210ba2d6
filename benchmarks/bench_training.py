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

`next`: the same step of a model to train now (text stack of 1 layer, 4 decoder layers, all state features, musical
time, normed keys, all attributes, vocabulary version 2, music of the arranger), 8 x 1,024 and 4 x 2,048 tokens: with
windows of 256 and cross-attention in 2 layers, without these two, and a model like the packaged one (text stack of 4
layers) without kernels, as version 0.1 trained it. In turns, one thread, CPU time, features of the rows included; the
ratio is that of medians. Wall times are in the JSON.
"""

import dataclasses
import itertools
import os
import statistics
import time

import numpy as np
import pytest
import torch
from comparisons import Measured, in_turns
from torch import nn

from amt.arranger.compose import compose
from amt.arranger.library import find_style
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout, features_of
from amt.midi.tokenizer import EventTokenizer
from amt.models import build_model
from amt.models.feature_inputs import collate
from amt.nn.config import ModelConfig
from amt.nn.positions import sinusoidal_table
from amt.ops import attention_backend, native_attention
from amt.request.attributes import ATTRIBUTES, attributes_of
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


PACKAGED = ModelConfig(
    vocab_size=659, d_model=256, nhead=4, num_encoder_layers=4, num_decoder_layers=4, dim_feedforward=1024,
    dropout=0.0, max_sequence_length=LENGTH, text_embedding_dim=384, norm_first=True, activation="swiglu",
    positions="rotary", tie_output=True,
)  # fmt: skip
NEXT_TOKENIZER = TokenizerConfig(version=2)
NEXT = dataclasses.replace(
    PACKAGED, vocab_size=EventTokenizer(NEXT_TOKENIZER).vocab_size, num_encoder_layers=1, rotary_time=True,
    qk_norm=True, state_features=FeatureLayout.NAMES, attributes=tuple(ATTRIBUTES),
)  # fmt: skip
WINDOWS = {"attention_window": 256, "cross_attention_layers": 2}


def make_training_step(config, tokenizer_config, batch_size, make_rows):
    """A step as `amt train` takes it; make_rows(model) gives its rows."""
    torch.manual_seed(0)
    config = dataclasses.replace(config, max_sequence_length=BATCH * LENGTH // batch_size)
    length = config.max_sequence_length
    train_config = TrainConfig(precision="bfloat16", optimizer="muon", batch_size=batch_size, max_len=length + 1)
    model = build_model(config, tokenizer_config).train()
    objective = Objective(model, train_config, tokenizer_config)
    optimizers = make_optimizers(model, train_config)

    def step():
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss, _ = objective(make_rows(model), batch_size * length, batch_size)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        return loss.item()

    return step


def random_rows(batch_size):
    """Any tokens of any text."""
    length = BATCH * LENGTH // batch_size
    rows = Rows(
        torch.randint(3, PACKAGED.vocab_size, (batch_size, length + 1)),
        torch.randn(batch_size, TEXT_LEN, PACKAGED.text_embedding_dim),
        torch.ones(batch_size, TEXT_LEN, dtype=torch.bool),
        torch.ones(batch_size, dtype=torch.bool),
    )
    return lambda _: rows


def rows_of_music(batch_size):
    """Beginnings of composed pieces, with features and attributes."""
    length, tokenizer = BATCH * LENGTH // batch_size, EventTokenizer(NEXT_TOKENIZER)
    token_ids, told = [], []
    for seed in itertools.count():
        piece = compose(find_style("pop"), seed)
        ids = tokenizer.encode(piece.to_bytes()).ids
        if len(ids) > length:
            token_ids.append(ids[: length + 1])
            told.append([number for kind in attributes_of(piece.facts, NEXT.attributes).values() for number in kind])
        if len(token_ids) == batch_size:
            break
    rows = dataclasses.replace(
        random_rows(batch_size)(None),
        token_ids=torch.from_numpy(np.stack(token_ids)).long(),
        attribute_ids=torch.nn.utils.rnn.pad_sequence([torch.tensor(each) for each in told], batch_first=True),
    )

    def with_features(model):
        layout = model.feature_layout
        features = [features_of(layout, [row]) for row in rows.token_ids[:, :-1].numpy()]
        return dataclasses.replace(rows, features=collate(layout, features, length))

    return with_features


@pytest.mark.parametrize("nhead", [4, pytest.param(2, marks=pytest.mark.long)])
def test_kernels(benchmark, compare, rounds, nhead, monkeypatch):
    if not native_attention.is_fast():
        pytest.skip("no fast kernels here")
    kernel_set = native_attention.chosen_kernel_set()  # before a setting changes it
    config = dataclasses.replace(PACKAGED, nhead=nhead)
    step = make_training_step(config, TokenizerConfig(), BATCH, random_rows(BATCH))
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


@pytest.mark.parametrize("batch_size", [8, pytest.param(4, marks=pytest.mark.long)])
def test_next(benchmark, compare, rounds, batch_size, monkeypatch):
    if not native_attention.is_fast():
        pytest.skip("no fast kernels here")
    num_threads, kernel_set = torch.get_num_threads(), native_attention.chosen_kernel_set()
    music, plain = rows_of_music(batch_size), random_rows(batch_size)
    whole = make_training_step(NEXT, NEXT_TOKENIZER, batch_size, music)
    windows = make_training_step(dataclasses.replace(NEXT, **WINDOWS), NEXT_TOKENIZER, batch_size, music)
    packaged = make_training_step(PACKAGED, TokenizerConfig(), batch_size, plain)
    steps = {"windows": ("", windows), "no windows": ("", whole), "version 0.1": ("generic", packaged)}
    seconds = {name: ([], []) for name in steps}

    def all_of_them():
        for name, (isa, step) in steps.items():
            monkeypatch.setitem(os.environ, "AMT_CPU_ISA", isa)
            began = time.process_time(), time.perf_counter()
            assert 0 < step() < 30
            for times, clock, start in zip(seconds[name], (time.process_time, time.perf_counter), began, strict=True):
                times.append(clock() - start)

    torch.set_num_threads(1)
    benchmark.group = "training step, next model, 1 thread"
    benchmark.pedantic(all_of_them, rounds=rounds(2, 9), warmup_rounds=1)
    torch.set_num_threads(num_threads)
    cpu, wall = ({name: statistics.median(times[i][1:]) for name, times in seconds.items()} for i in (0, 1))
    ratios = {name: cpu[name] / cpu["windows"] for name in cpu}
    benchmark.extra_info.update(kernel_set=kernel_set, cpu_seconds=cpu, wall_seconds=wall, ratios=ratios)
    num_tokens = BATCH * LENGTH
    compare(
        benchmark.group, f"{batch_size} x {num_tokens // batch_size} tokens, CPU time",
        *(
            Measured(name, name != "version 0.1", median, f"{num_tokens / median:.4g} tokens/s")
            for name, median in cpu.items()
        ),
        ratio=ratios["version 0.1"], note=f"without windows {num_tokens / cpu['no windows']:.4g} tokens/s",
    )  # fmt: skip
