"""Attention by every backend that takes a call, in turns, forward alone or with its gradients."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from amt.bench.rows import Row, with_ratios, with_times
from amt.ops import attention, fused
from amt.ops.attention import Backend
from amt.ops.reference.attention import Call, lengths_mask

NUM_HEADS, HEAD_DIM = 8, 64
DROPOUT_P = 0.1
MAX_DISTANCE = 128
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
OPTIONS = ("causal", "padding", "dropout", "bias")

_NAME = re.compile(
    rf"(?P<dtype>{'|'.join(DTYPES)})-b(?P<batch>[1-9]\d{{0,3}})-q(?P<query>[1-9]\d{{0,4}})-k(?P<key>[1-9]\d{{0,4}})"
    rf"-(?P<options>plain|(?:{'|'.join(OPTIONS)})(?:\+(?:{'|'.join(OPTIONS)}))*)-(?P<passes>forward|both)"
)


@dataclasses.dataclass(frozen=True)
class AttentionCase:
    """One call: float32-b4-q512-k512-causal+padding-both, for 8 heads of 64.

    Attributes:
        dtype: of query, key and value.
        batch, query_len, key_len: the sizes.
        options: some of OPTIONS; padding hides the last quarter of every second key, dropout is 0.1.
        is_both: with the gradients, in one measurement.
    """

    dtype: str
    batch: int
    query_len: int
    key_len: int
    options: frozenset[str]
    is_both: bool

    @property
    def name(self) -> str:
        """The case in one word; `parse` reads it."""
        options = "+".join(name for name in OPTIONS if name in self.options) or "plain"
        passes = "both" if self.is_both else "forward"
        return f"{self.dtype}-b{self.batch}-q{self.query_len}-k{self.key_len}-{options}-{passes}"

    @property
    def flops(self) -> float:
        """Multiplications and additions of the matrix products: two forward, and five more for the gradients."""
        share = (self.key_len - (self.query_len - 1) / 2) / self.key_len if "causal" in self.options else 1.0
        pair = 2.0 * self.batch * NUM_HEADS * self.query_len * self.key_len * HEAD_DIM * share
        return pair * (7 if self.is_both else 2)

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
                f"float32-b4-q512-k512-causal+padding-both, with DTYPE {', '.join(DTYPES)}, OPTIONS plain or some of "
                f"{', '.join(OPTIONS)} with + between, PASSES forward or both; or a pattern of listed ones"
            )
        options = frozenset(match["options"].split("+")) - {"plain"}
        batch, query_len, key_len = (int(match[key]) for key in ("batch", "query", "key"))
        return cls(match["dtype"], batch, query_len, key_len, options, match["passes"] == "both")


CASES = tuple(
    AttentionCase.parse(f"{shape}-{options}-{passes}")
    for shape, choices in (
        ("float32-b4-q512-k512", ("plain", "causal", "causal+padding", "causal+dropout", "causal+bias")),
        ("float32-b4-q512-k32", ("padding",)),
        ("bfloat16-b4-q512-k512", ("causal",)),
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
        tensor = torch.randn(case.batch, length, NUM_HEADS, HEAD_DIM, generator=generator)
        return tensor.to(dtype).to(device).transpose(1, 2).requires_grad_(case.is_both)

    options: dict[str, Any] = {"is_causal": "causal" in case.options}
    if "padding" in case.options:
        lengths = torch.full((case.batch,), case.key_len)
        lengths[::2] = max(1, case.key_len * 3 // 4)
        options["key_padding_mask"] = lengths_mask(lengths, case.key_len).to(device)
    if "dropout" in case.options:
        options["dropout_p"] = DROPOUT_P
    if "bias" in case.options:
        bias = torch.randn(NUM_HEADS, 2 * MAX_DISTANCE + 1, generator=generator)
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


IMPLEMENTATIONS: dict[str, Attend] = {
    "reference": by_backend("reference"),
    "sdpa": by_backend("sdpa"),
    "fused-op": by_op,
}
PEERS = ("sdpa",)


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
    seconds: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
    for turn in range(-1, num_rounds):  # the first is not measured
        for name, attend in IMPLEMENTATIONS.items():
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
