"""Attention by every backend that takes a call, in turns, forward alone or with its gradients."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from amt.bench.rows import Row, with_ratios, with_times
from amt.ops import attention, fused, native
from amt.ops.attention import Backend
from amt.ops.reference.attention import Call, lengths_mask, may_attend

DROPOUT_P = 0.1
WINDOW = 256
CHUNK = 256  # queries at a time, in plain PyTorch
MAX_DISTANCE = 128
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
OPTIONS = ("causal", "padding", "dropout", "bias", "window")

_NAME = re.compile(
    rf"(?P<dtype>{'|'.join(DTYPES)})-b(?P<batch>[1-9]\d{{0,3}})-q(?P<query>[1-9]\d{{0,4}})-k(?P<key>[1-9]\d{{0,4}})"
    r"(?:-h(?P<heads>[1-9]\d{0,2})x(?P<dim>[1-9]\d{0,3}))?"
    rf"-(?P<options>plain|(?:{'|'.join(OPTIONS)})(?:\+(?:{'|'.join(OPTIONS)}))*)-(?P<passes>forward|both)"
)


@dataclasses.dataclass(frozen=True)
class AttentionCase:
    """One call: float32-b4-q512-k512-causal+padding-both, or bfloat16-b8-q1024-k1024-h4x64-causal-both.

    Attributes:
        dtype: of query, key and value.
        batch, query_len, key_len, num_heads, head_dim: the sizes; a name without h is for 8 heads of 64.
        options: some of OPTIONS; padding hides the last quarter of every second key, dropout is 0.1, a window has 256
            keys and is causal.
        is_both: with the gradients, in one measurement.
    """

    dtype: str
    batch: int
    query_len: int
    key_len: int
    options: frozenset[str]
    is_both: bool
    num_heads: int = 8
    head_dim: int = 64

    @property
    def name(self) -> str:
        """The case in one word; `parse` reads it."""
        options = "+".join(name for name in OPTIONS if name in self.options) or "plain"
        passes = "both" if self.is_both else "forward"
        heads = "" if (self.num_heads, self.head_dim) == (8, 64) else f"-h{self.num_heads}x{self.head_dim}"
        return f"{self.dtype}-b{self.batch}-q{self.query_len}-k{self.key_len}{heads}-{options}-{passes}"

    @property
    def pairs(self) -> float:
        """Pairs of a query and a key that it sees, in one head of one row; padding is not taken off."""
        last = self.key_len - self.query_len  # what the first query sees last
        seen = [self.key_len] * self.query_len
        if "causal" in self.options or "window" in self.options:
            seen = [max(0, last + query + 1) for query in range(self.query_len)]
        if "window" in self.options:
            seen = [min(number, WINDOW) for number in seen]
        return float(sum(seen))

    @property
    def flops(self) -> float:
        """Multiplications and additions of the matrix products: two forward, and five more for the gradients."""
        return 2.0 * self.batch * self.num_heads * self.head_dim * self.pairs * (7 if self.is_both else 2)

    @classmethod
    def parse(cls, name: str) -> AttentionCase:
        """The case of a name.

        Raises:
            ValueError: this is no name of a case.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(
                f"there is no case {name!r}; a case is DTYPE-bBATCH-qLENGTH-kLENGTH-OPTIONS-PASSES, as in "
                f"float32-b4-q512-k512-causal+padding-both, or with -hHEADSxSIZE before OPTIONS; DTYPE "
                f"{', '.join(DTYPES)}; OPTIONS plain or some of {', '.join(OPTIONS)} with + between; PASSES forward or "
                f"both; or a pattern of listed ones"
            )
        options = frozenset(match["options"].split("+")) - {"plain"}
        batch, query_len, key_len = (int(match[key]) for key in ("batch", "query", "key"))
        heads = (int(match["heads"]), int(match["dim"])) if match["heads"] else (8, 64)
        return cls(match["dtype"], batch, query_len, key_len, options, match["passes"] == "both", *heads)


CASES = tuple(
    AttentionCase.parse(f"{shape}-{options}-{passes}")
    for shape, choices in (
        ("float32-b4-q512-k512", ("plain", "causal", "causal+padding", "causal+dropout", "causal+bias")),
        ("float32-b4-q512-k32", ("padding",)),
        ("bfloat16-b4-q512-k512", ("causal",)),
        # What a training step has: 8,192 tokens of width 256 or 512.
        ("bfloat16-b8-q1024-k1024-h4x64", ("causal", "causal+dropout", "causal+window")),
        ("float32-b8-q1024-k1024-h4x64", ("causal",)),
        ("bfloat16-b8-q1024-k32-h4x64", ("padding",)),
        ("bfloat16-b8-q512-k512", ("causal",)),
        ("float32-b8-q512-k512", ("causal",)),
        ("bfloat16-b16-q512-k512-h4x64", ("causal",)),
        ("float32-b16-q512-k512-h4x64", ("causal",)),
        ("bfloat16-b8-q1024-k1024-h2x128", ("causal",)),
        ("float32-b8-q1024-k1024-h2x128", ("causal",)),
    )
    for options in choices
    for passes in ("forward", "both")
)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The tensors of a case; `leaves` are those with gradients."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    grad: torch.Tensor
    options: dict[str, Any]

    @property
    def leaves(self) -> list[torch.Tensor]:
        """Query, key, value, and the bias if there is one."""
        bias = self.options.get("relative_bias")
        return [self.query, self.key, self.value, *([] if bias is None else [bias])]


def make_inputs(case: AttentionCase, device: str = "cpu") -> Inputs:
    """Random ones, in the layout that a model's projections leave: heads side by side in memory."""
    generator = torch.Generator().manual_seed(0)
    dtype = DTYPES[case.dtype]

    def draw(length: int) -> torch.Tensor:
        tensor = torch.randn(case.batch, length, case.num_heads, case.head_dim, generator=generator)
        return tensor.to(dtype).to(device).transpose(1, 2).requires_grad_(case.is_both)

    options: dict[str, Any] = {"is_causal": "causal" in case.options or "window" in case.options}
    if "window" in case.options:
        options["window"] = WINDOW
    if "padding" in case.options:
        lengths = torch.full((case.batch,), case.key_len)
        lengths[::2] = max(1, case.key_len * 3 // 4)
        options["key_padding_mask"] = lengths_mask(lengths, case.key_len).to(device)
    if "dropout" in case.options:
        options["dropout_p"] = DROPOUT_P
    if "bias" in case.options:
        bias = torch.randn(case.num_heads, 2 * MAX_DISTANCE + 1, generator=generator)
        options["relative_bias"] = bias.to(device).requires_grad_(case.is_both)
    query, key, value = draw(case.query_len), draw(case.key_len), draw(case.key_len)
    return Inputs(query, key, value, torch.randn_like(query), options)


Attend = Callable[[Inputs], torch.Tensor]


def by_backend(name: Backend) -> Attend:
    """`amt.ops.attention` with that backend."""
    return lambda inputs: attention(inputs.query, inputs.key, inputs.value, backend=name, **inputs.options)


def by_op(inputs: Inputs) -> torch.Tensor:
    """The op of the fused kernels itself; on a CPU it is plain formulas with gradients by hand."""
    options = inputs.options
    seed = torch.randint(1 << 62, (), device=inputs.query.device) if "dropout_p" in options else None
    return fused.attention(inputs.query, inputs.key, inputs.value, Call(seed=seed, **options))


def by_chunks(inputs: Inputs) -> torch.Tensor:
    """Products and a softmax in plain PyTorch, for 256 queries at a time and the keys that one of them sees."""
    query, key, value, options = inputs.query, inputs.key, inputs.value, inputs.options
    query_len, key_len = query.shape[2], key.shape[2]
    outputs = []
    for start in range(0, query_len, CHUNK):
        part = query[:, :, start : start + CHUNK]
        end = min(key_len, start + part.shape[2] + key_len - query_len) if options["is_causal"] else key_len
        padding = options.get("key_padding_mask")
        mask = may_attend(
            part.shape[2],
            end,
            options["is_causal"],
            None if padding is None else padding[:, :end],
            query.device,
            window=options.get("window"),
        )
        scores = part @ key[:, :, :end].transpose(-2, -1) * query.shape[3] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        outputs.append(scores.softmax(-1) @ value[:, :, :end])
    return torch.cat(outputs, 2)


IMPLEMENTATIONS: dict[str, Attend] = {
    "reference": by_backend("reference"),
    "sdpa": by_backend("sdpa"),
    "chunks": by_chunks,
    "fused-op": by_op,
    "native": by_backend("native"),
}
PEERS = ("sdpa", "chunks")
# What they do not offer.
MISSING = {"chunks": {"dropout", "bias"}, "native": {"bias"}}
# Formulas that make the whole matrix of weights are left out where it has more numbers than this.
FORMULAS, MOST_WEIGHTS = ("reference", "fused-op"), 1 << 24


def implementations_for(case: AttentionCase) -> dict[str, Attend]:
    """Those that offer the case here."""
    num_weights = case.batch * case.num_heads * case.query_len * case.key_len
    return {
        name: attend
        for name, attend in IMPLEMENTATIONS.items()
        if not MISSING.get(name, set()) & case.options
        and not (name in FORMULAS and num_weights > MOST_WEIGHTS)
        and not (name == "native" and not native.is_available())
    }


def call_once(case: AttentionCase, inputs: Inputs, attend: Attend) -> None:
    """What is timed."""
    output = attend(inputs)
    if case.is_both:
        torch.autograd.grad(output, inputs.leaves, inputs.grad)


def measure_attention(
    cases: Sequence[AttentionCase],
    *,
    threads: Sequence[int] = (1,),
    num_rounds: int = 5,
    progress: Callable[[str], object] = lambda _: None,
) -> Iterator[Row]:
    """The rows of every case on the CPU, as they come. A step is one call; tokens are queries."""
    before = torch.get_num_threads()
    try:
        for num_threads in threads:
            torch.set_num_threads(num_threads)
            peak = _matrix_rate()
            for case in cases:
                yield from _measure_case(case, num_threads, num_rounds, 1000 * case.flops / peak, progress)
    finally:
        torch.set_num_threads(before)


def _measure_case(
    case: AttentionCase, threads: int, num_rounds: int, limit_ms: float, progress: Callable[[str], object]
) -> list[Row]:
    inputs = make_inputs(case)
    implementations = implementations_for(case)
    seconds: dict[str, list[float]] = {name: [] for name in implementations}
    for turn in range(-1, num_rounds):  # the first is not measured
        for name, attend in implementations.items():
            progress(f"{case.name}: {name}")
            start = time.perf_counter()
            call_once(case, inputs, attend)
            if turn >= 0:
                seconds[name].append(time.perf_counter() - start)
    rows = [
        with_times(
            Row("attention", case.name, name, torch.__version__, threads, case.dtype),
            times,
            num_steps=1,
            num_tokens=case.batch * case.query_len,
        )
        for name, times in seconds.items()
    ]
    return with_ratios(rows, PEERS, limit_ms if case.dtype == "float32" else None)


def _matrix_rate() -> float:
    """FLOP/s of a large product in float32, the fastest of 5."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * 1024**3 / best
