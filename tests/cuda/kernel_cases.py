"""Calls of the kernels, each with what PyTorch says of it: the truth in float64, and what rounds as the kernel does.

A case gives (run, truth, own): run(library, order) starts the kernel and returns its result.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from cuda_library import (
    ACTIVATIONS,
    CHUNK,
    Arrays,
    DecodeAttention,
    Embed,
    KernelError,
    NormLinear,
    PrefixAttention,
    run,
)
from torch.nn import functional as F

from amt.nn.features import FeatureInputs, StateFeatures
from amt.ops.reference import attention as reference
from amt.ops.reference.swiglu import swiglu

Case = tuple[Callable[..., torch.Tensor], torch.Tensor, torch.Tensor]
ACTIVATE = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu, "swiglu": swiglu}


def draw(*shape: int, seed: int) -> torch.Tensor:
    """Normal numbers, float32."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def in_dtype(tensor: torch.Tensor, is_bfloat: bool) -> torch.Tensor:
    """What a kernel gets."""
    return tensor.bfloat16() if is_bfloat else tensor


def nothing(*shape: int) -> np.ndarray:
    """Room for a result: NaN."""
    return np.full(shape, np.nan, np.float32)


def embed_case(num_rows: int, d_model: int, *, has_features: bool, has_positions: bool, is_bfloat: bool) -> Case:
    """Tokens, features (the second row has none) and positions."""
    rng = np.random.default_rng(num_rows)
    embedding, weight = (in_dtype(draw(size, d_model, seed=size), is_bfloat) for size in (23, 29))
    tokens = rng.integers(0, 23, num_rows).astype(np.int32)
    counts = rng.integers(0, 4, num_rows) * (np.arange(num_rows) != 1)
    ends = counts.cumsum().astype(np.int32)
    columns = rng.integers(0, 29, counts.sum()).astype(np.int32)
    values = draw(len(columns), seed=5)
    places = rng.integers(0, 17, num_rows).astype(np.int32)
    table = draw(17, d_model, seed=6) if has_positions else None
    positions = None if table is None else table[torch.from_numpy(places).long()]
    most = 5
    padded_columns, padded_values = np.full((num_rows, most), 10**9, np.int32), np.full((num_rows, most), np.nan)
    for row, (count, end) in enumerate(zip(counts, ends, strict=True)):
        padded_columns[row, :count], padded_values[row, :count] = columns[end - count : end], values[end - count : end]

    def said(dtype: torch.dtype) -> torch.Tensor:
        x = embedding.to(dtype)[torch.from_numpy(tokens).long()] * 1.5
        if positions is not None:
            x = x + positions.to(dtype)
        if has_features:
            features = StateFeatures(29, d_model).to(dtype)
            features.weight.data = weight.to(dtype)
            starts = torch.from_numpy(np.concatenate([[0], ends[:-1]])).long()
            inputs = FeatureInputs(
                starts, torch.from_numpy(columns).long(), values.to(dtype), torch.zeros(num_rows, 1).long()
            )
            x = x + features(inputs)[:, 0]
        return x.detach()

    def start(library: object, order: int) -> torch.Tensor:
        arrays = Arrays()
        x = arrays.view(nothing(num_rows, d_model))
        call = Embed(
            arrays.put(tokens), arrays.put(embedding), arrays.put(weight) if has_features else None,
            arrays.put(counts.astype(np.int32)), arrays.put(padded_columns),
            arrays.put(padded_values.astype(np.float32)), arrays.put(table), arrays.put(places), x.ctypes.data,
            num_rows, d_model, most, 1.5,
        )  # fmt: skip
        run(library, "embed", call, arrays, is_bfloat=is_bfloat, order=order)
        return torch.from_numpy(x.copy())

    return start, said(torch.float64), said(torch.float32)


def _product(
    x: torch.Tensor, norm: tuple[torch.Tensor, torch.Tensor] | None, weight: torch.Tensor, bias: torch.Tensor,
    dtype: torch.dtype, *, is_bfloat: bool,
) -> torch.Tensor:  # fmt: skip
    """In float64 exactly; in float32 the inputs of a product in bfloat16 are rounded, as the kernel rounds them."""
    x = x.to(dtype)
    if norm is not None:
        x = F.layer_norm(x, x.shape[1:], *(each.to(dtype) for each in norm))
    if is_bfloat and dtype == torch.float32:
        x = x.bfloat16().float()
    return F.linear(x, weight.to(dtype), bias.to(dtype))


def linear_case(
    num_rows: int, in_features: int, out_features: int, activation: str = "none", *, has_norm: bool = True,
    has_residual: bool = False, is_bfloat: bool, kernel: str = "norm_linear",
) -> Case:  # fmt: skip
    """A product; the residual is where the result goes."""
    num_weights = out_features * (2 if activation == "swiglu" else 1)
    x = draw(num_rows, in_features, seed=1) * 3 + 2
    norm = (draw(in_features, seed=2), draw(in_features, seed=3)) if has_norm else None
    weight = in_dtype(draw(num_weights, in_features, seed=4) * in_features**-0.5, is_bfloat)
    bias, residual = draw(num_weights, seed=5), draw(num_rows, out_features, seed=6) if has_residual else None

    def said(dtype: torch.dtype) -> torch.Tensor:
        y = ACTIVATE[activation](_product(x, norm, weight, bias, dtype, is_bfloat=is_bfloat))
        return y if residual is None else y + residual.to(dtype)

    def start(library: object, order: int) -> torch.Tensor:
        arrays = Arrays()
        y = arrays.view(nothing(num_rows, out_features) if residual is None else residual)
        call = NormLinear(
            arrays.put(x), *(arrays.put(each) for each in norm or (None, None)), arrays.put(weight), arrays.put(bias),
            None if residual is None else y.ctypes.data, y.ctypes.data, num_rows, in_features, out_features,
            in_features, out_features, ACTIVATIONS.index(activation),
        )  # fmt: skip
        run(library, kernel, call, arrays, is_bfloat=is_bfloat, order=order)
        return torch.from_numpy(y.copy())

    return start, said(torch.float64), said(torch.float32)


def attention_case(
    num_beams: int, capacity: int, *, window: int = 0, num_heads: int = 2, head_dim: int = 64, is_bfloat: bool,
    lengths: tuple[int, ...] | None = None,
) -> Case:  # fmt: skip
    """Three prompts of other lengths and trunks; what must not be read is NaN."""
    rng = np.random.default_rng(capacity + 1000 * num_beams + window)
    sizes = np.array((capacity, (capacity + 1) // 2, 1) if lengths is None else lengths, np.int32)
    num_prompts = len(sizes)
    trunks = np.array([rng.integers(0, size + 1) for size in sizes], np.int32)
    ancestry = rng.integers(0, num_beams, (num_prompts, num_beams, capacity)).astype(np.uint8)
    for prompt, trunk in enumerate(trunks):
        ancestry[prompt, :, :trunk] = ancestry[prompt, :1, :trunk]
    stride = (num_heads + 1) * head_dim
    query = draw(num_prompts, num_beams, stride, seed=1)
    keys, values = (draw(num_prompts, num_heads, capacity, num_beams, head_dim, seed=seed) for seed in (2, 3))
    firsts = np.maximum(0, sizes - window) if window else np.zeros_like(sizes)
    for prompt, (first, size) in enumerate(zip(firsts, sizes, strict=True)):
        for tensor in (keys, values):
            tensor[prompt, :, :first], tensor[prompt, :, size:] = torch.nan, torch.nan
    keys, values = in_dtype(keys, is_bfloat), in_dtype(values, is_bfloat)
    scale = head_dim**-0.5

    def said(dtype: torch.dtype) -> torch.Tensor:
        out = torch.zeros(num_prompts, num_beams, num_heads * head_dim, dtype=dtype)
        for prompt, (first, size) in enumerate(zip(firsts, sizes, strict=True)):
            places = torch.arange(first, size)
            for beam in range(num_beams if size > 0 else 0):
                slots = torch.from_numpy(ancestry[prompt, beam, first:size]).long()
                q = query[prompt, beam, : num_heads * head_dim].view(1, num_heads, 1, head_dim).to(dtype)
                k, v = (tensor[prompt][:, places, slots].to(dtype)[None] for tensor in (keys, values))
                out[prompt, beam] = reference.attention(q, k, v, reference.Call(scale=scale))[0].reshape(-1)
        return out

    def start(library: object, order: int) -> torch.Tensor:
        arrays = Arrays()
        out = arrays.view(nothing(num_prompts, num_beams, num_heads * head_dim))
        partial = arrays.view(nothing(num_prompts, num_heads, -(-capacity // CHUNK), num_beams, head_dim + 2))
        arrivals = arrays.view(np.zeros((num_prompts, -(-num_beams // 8), num_heads), np.uint32))
        call = DecodeAttention(
            arrays.put(query), arrays.put(keys), arrays.put(values), None, arrays.put(ancestry), arrays.put(sizes),
            arrays.put(trunks), None, None, partial.ctypes.data, arrivals.ctypes.data, out.ctypes.data, num_prompts,
            num_heads, num_beams, num_beams, head_dim, capacity, stride, 0, num_prompts, window, scale,
        )  # fmt: skip
        run(library, "decode_attention", call, arrays, is_bfloat=is_bfloat, order=order)
        if arrivals.any():
            raise KernelError("a counter is not 0 behind the kernel")
        return torch.from_numpy(out.copy())

    return start, said(torch.float64), said(torch.float32)


class PrefixCase:
    """Queries of two prompts over a cache; what must not be read is NaN.

    The second prompt's prefix is read in two passes, of which this is the second. With `len_of_text` the queries are
    over texts of that length and one less, with a mask; else over themselves.
    """

    def __init__(
        self, num_queries: int, *, window: int = 0, num_heads: int = 2, head_dim: int = 32, has_bias: bool = False,
        len_of_text: int = 0, is_bfloat: bool,
    ):  # fmt: skip
        self.num_queries, self.window, self.num_heads, self.head_dim = num_queries, window, num_heads, head_dim
        self.is_bfloat, self.is_causal, self.num_slots = is_bfloat, len_of_text == 0, 2
        # Prompt, first position, number of positions, first row.
        self.segments = np.array(
            [(1, 5, max(1, num_queries // 2), 0), (0, 0, num_queries, max(1, num_queries // 2))], np.int32
        )
        self.num_rows = int(self.segments[:, 2].sum())
        self.capacity = len_of_text + 2 if len_of_text else 5 + num_queries + 3
        self.stride = (num_heads + 1) * head_dim
        self.query = draw(self.num_rows, self.stride, seed=1)
        shape = (2, num_heads, self.capacity, self.num_slots, head_dim)
        keys, values = draw(*shape, seed=2), draw(*shape, seed=3)
        self.bias_len = self.capacity + 4
        self.bias = draw(num_heads, self.bias_len, seed=4) if has_bias else None
        self.lengths = None if self.is_causal else np.array([len_of_text, len_of_text - 1], np.int32)
        self.mask = None if self.is_causal else np.arange(2 * self.capacity).reshape(2, -1) % 3 != 1
        for prompt, first, num, _ in self.segments.tolist():
            for tensor in (keys, values):
                if self.is_causal:
                    tensor[prompt, :, first + num :] = torch.nan
                    tensor[prompt, :, : max(0, first + 1 - window) if window else 0] = torch.nan
                else:
                    tensor[prompt, :, int(self.lengths[prompt]) :] = torch.nan
                    tensor[prompt][:, ~torch.from_numpy(self.mask[prompt])] = torch.nan
                tensor[prompt, :, :, 1:] = torch.nan  # of other rows
        self.keys, self.values = in_dtype(keys, is_bfloat), in_dtype(values, is_bfloat)
        self.scale = head_dim**-0.5

    def said(self, dtype: torch.dtype, *, rounds: bool = False) -> torch.Tensor:
        """rounds: what goes into a product of matrices is rounded to bfloat16, as the kernel rounds it."""
        out = torch.zeros(self.num_rows, self.num_heads * self.head_dim, dtype=dtype)
        distances = None if self.bias is None else F.pad(self.bias.to(dtype), (0, self.bias_len - 1))
        for prompt, first, num, first_row in self.segments.tolist():
            end = first + num if self.is_causal else int(self.lengths[prompt])
            rows = slice(first_row, first_row + num)
            query = self.query[rows, : self.num_heads * self.head_dim].to(dtype).unflatten(1, (self.num_heads, -1))
            q = query.transpose(0, 1)[None] * self.scale
            k, v = (torch.nan_to_num(each[prompt, None, :, :end, 0].to(dtype)) for each in (self.keys, self.values))
            call = reference.Call(
                is_causal=self.is_causal, window=self.window or None, scale=1.0, relative_bias=distances,
                key_padding_mask=None if self.is_causal else torch.from_numpy(self.mask[prompt, None, :end]),
            )  # fmt: skip
            if rounds:
                q = q.bfloat16().to(dtype)
                each_key = torch.eye(end, dtype=dtype).expand(*k.shape[:3], end)
                result = reference.attention(q, k, each_key, call)[0].bfloat16().to(dtype) @ v
            else:
                result = reference.attention(q, k, v, call)[0]
            out[rows] = result[0].transpose(0, 1).flatten(1)
        return out

    def start(self, library: object, order: int) -> torch.Tensor:
        arrays = Arrays()
        out = arrays.view(nothing(self.num_rows, self.num_heads * self.head_dim))
        mask = None if self.mask is None else self.mask.astype(np.uint8)
        call = PrefixAttention(
            arrays.put(self.query), arrays.put(self.keys), arrays.put(self.values), arrays.put(self.segments),
            None if self.is_causal else arrays.put(np.arange(2, dtype=np.int32)), arrays.put(self.lengths),
            arrays.put(mask), arrays.put(self.bias), out.ctypes.data, len(self.segments),
            int(self.segments[:, 2].max()), self.num_heads, self.num_slots, self.head_dim, self.capacity, self.stride,
            self.bias_len, self.window, self.scale,
        )  # fmt: skip
        run(library, "prefix_attention", call, arrays, is_bfloat=self.is_bfloat, order=order)
        return torch.from_numpy(out.copy())

    def case(self) -> Case:
        return self.start, self.said(torch.float64), self.said(torch.float32, rounds=self.is_bfloat)


def prefix_case(num_queries: int, *, is_bfloat: bool, **options: int) -> Case:
    """See PrefixCase."""
    return PrefixCase(num_queries, is_bfloat=is_bfloat, **options).case()
