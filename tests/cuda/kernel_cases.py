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
    has_residual: bool = False, is_bfloat: bool,
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
        run(library, "norm_linear", call, arrays, is_bfloat=is_bfloat, order=order)
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
