"""Starts the kernels of attention.py: tile sizes, grids, strides, and the sum that ends the bias' gradient."""

from __future__ import annotations

import functools
import os
from typing import Any, NamedTuple

import torch

import triton
from amt._triton import attention as kernels
from amt.ops.reference.attention import Call, dropout_threshold, keep_scale

HEAD_DIMS = (32, 64, 128)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# Triton reads the variable when it is imported; tensors then stay on the CPU.
IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


class Config(NamedTuple):
    """A tile and how many warps work on it, with how many stages of loads ahead."""

    block_q: int
    block_k: int
    num_warps: int
    num_stages: int


# For sm_90 and later, and for older ones; by kernel, (head_dim, bytes of a number): without and with a bias or dropout,
# which need registers. The largest tiles that do not spill (docs/kernels.md); not timed yet.
CONFIGS: dict[int, dict[str, dict[tuple[int, int], tuple[Config, Config]]]] = {
    90: {
        "forward": {
            (32, 2): (Config(128, 64, 8, 3), Config(64, 64, 4, 3)),
            (64, 2): (Config(128, 64, 8, 3), Config(64, 64, 4, 3)),
            (128, 2): (Config(128, 64, 8, 3), Config(64, 32, 4, 3)),
            (32, 4): (Config(64, 32, 8, 2), Config(64, 32, 8, 2)),
            (64, 4): (Config(64, 32, 8, 2), Config(32, 32, 8, 1)),
            (128, 4): (Config(32, 32, 8, 1), Config(16, 32, 8, 1)),
        },
        "key_value_gradient": {
            (32, 2): (Config(64, 64, 4, 3), Config(64, 64, 4, 3)),
            (64, 2): (Config(64, 64, 4, 3), Config(64, 64, 8, 2)),
            (128, 2): (Config(64, 64, 8, 2), Config(32, 64, 8, 2)),
            (32, 4): (Config(32, 32, 8, 2), Config(32, 32, 8, 2)),
            (64, 4): (Config(32, 32, 8, 2), Config(32, 32, 8, 2)),
            (128, 4): (Config(16, 32, 4, 1), Config(16, 32, 4, 1)),
        },
        "query_gradient": {
            (32, 2): (Config(64, 64, 4, 3), Config(64, 64, 8, 2)),
            (64, 2): (Config(64, 64, 4, 3), Config(64, 64, 8, 2)),
            (128, 2): (Config(64, 64, 4, 3), Config(32, 64, 8, 1)),
            (32, 4): (Config(32, 32, 8, 2), Config(32, 32, 4, 2)),
            (64, 4): (Config(32, 32, 8, 2), Config(32, 32, 4, 2)),
            (128, 4): (Config(16, 32, 4, 1), Config(16, 16, 4, 1)),
        },
    },
    80: {
        "forward": {
            (32, 2): (Config(128, 64, 8, 3), Config(64, 64, 4, 3)),
            (64, 2): (Config(128, 64, 8, 3), Config(64, 64, 4, 3)),
            (128, 2): (Config(64, 64, 8, 2), Config(64, 64, 8, 2)),
            (32, 4): (Config(64, 32, 8, 2), Config(64, 32, 8, 2)),
            (64, 4): (Config(64, 32, 8, 2), Config(64, 32, 8, 2)),
            (128, 4): (Config(32, 32, 8, 2), Config(32, 32, 8, 2)),
        },
        "key_value_gradient": {
            (32, 2): (Config(64, 64, 4, 3), Config(64, 64, 4, 3)),
            (64, 2): (Config(32, 64, 4, 2), Config(64, 32, 4, 2)),
            (128, 2): (Config(64, 64, 8, 2), Config(64, 64, 8, 2)),
            (32, 4): (Config(32, 32, 8, 2), Config(32, 32, 8, 2)),
            (64, 4): (Config(32, 32, 8, 1), Config(32, 32, 8, 1)),
            (128, 4): (Config(32, 32, 8, 1), Config(32, 32, 8, 1)),
        },
        "query_gradient": {
            (32, 2): (Config(64, 64, 4, 3), Config(64, 64, 8, 2)),
            (64, 2): (Config(64, 64, 4, 3), Config(32, 64, 8, 1)),
            (128, 2): (Config(64, 64, 8, 2), Config(32, 64, 8, 1)),
            (32, 4): (Config(32, 32, 8, 2), Config(32, 32, 8, 2)),
            (64, 4): (Config(32, 32, 8, 2), Config(32, 32, 8, 2)),
            (128, 4): (Config(32, 32, 8, 2), Config(32, 32, 8, 2)),
        },
    },
}
# Where shared memory ends at 99 KiB, wide heads take smaller tiles, or fewer loads ahead.
CONFIGS[86] = {
    "forward": CONFIGS[80]["forward"] | {(128, 2): (Config(64, 64, 4, 2), Config(64, 32, 8, 2))},
    "key_value_gradient": CONFIGS[80]["key_value_gradient"] | {(128, 2): (Config(32, 64, 8, 2), Config(64, 32, 8, 2))},
    "query_gradient": CONFIGS[80]["query_gradient"]
    | {
        (128, 2): (Config(32, 64, 8, 2), Config(32, 64, 8, 1)),
        (128, 4): (Config(32, 32, 8, 1), Config(32, 32, 8, 1)),
    },
}
# For a bias and dropout at once, where they need more registers still.
CONFIGS_FOR_BOTH: dict[int, dict[str, dict[tuple[int, int], Config]]] = {
    90: {"query_gradient": {(32, 2): Config(32, 32, 4, 2), (64, 2): Config(32, 64, 8, 1)}},
    80: {"forward": {(64, 2): Config(64, 64, 8, 2)}},
    86: {"forward": {(64, 2): Config(64, 64, 8, 2)}},
}
# What a program may use of shared memory, in bytes (CUDA C++ Programming Guide, technical specifications by compute
# capability). 86 stands for all GPUs of consumers: sm_86, 89, 120.
SHARED_LIMITS = {86: 99 << 10, 80: 163 << 10, 90: 227 << 10}
DELTA_BLOCK = 64
MAX_PROGRAMS = (1 << 31) - 1
SMALLEST_SCALE = 1e-30  # with it all weights are equal, as with 0; see forward_kernel


def family_of(arch: int, shared_limit: int) -> int:
    """Which tiles a GPU takes: those of its matrix instructions, as far as its shared memory has room for them.

    Args:
        arch: 90 for sm_90.
        shared_limit: bytes that a program may use.
    """
    fits = [family for family, limit in SHARED_LIMITS.items() if limit <= shared_limit and family <= arch]
    if not fits:
        raise ValueError(
            f"sm_{arch} with {shared_limit >> 10} KiB of shared memory is too small for these kernels: they need"
            f" compute capability 8.0 and {SHARED_LIMITS[86] >> 10} KiB; use backend='sdpa'"
        )
    return max(fits, key=lambda family: SHARED_LIMITS[family])


def config_for(kernel: str, head_dim: int, itemsize: int, has_bias: bool, has_dropout: bool, family: int) -> Config:
    """The tile for numbers of so many bytes."""
    config = CONFIGS[family][kernel][head_dim, itemsize][has_bias or has_dropout]
    if has_bias and has_dropout:
        return CONFIGS_FOR_BOTH[family].get(kernel, {}).get((head_dim, itemsize), config)
    return config


@functools.lru_cache(maxsize=16)
def family_of_device(index: int) -> int:
    """The family of a GPU that is here."""
    major, minor = torch.cuda.get_device_capability(index)
    properties = triton.runtime.driver.active.utils.get_device_properties(index)
    return family_of(10 * major + minor, properties["max_shared_mem"])


def forward(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, call: Call
) -> tuple[torch.Tensor, torch.Tensor]:
    """output, (batch, seq_len, num_heads, head_dim) in memory, and lse (batch, num_heads, query_len)."""
    query, key, value = (_with_unit_stride(tensor) for tensor in (query, key, value))
    query, call = _with_positive_scale(query, call)
    output = _room_for(query, call)
    lse = query.new_full(query.shape[:3], float("-inf"), dtype=torch.float32)
    config = _config("forward", query, call)
    grid, num_tiles, tiles = _grid(query, call, 0, config.block_q)
    call, prefixes = _with_ends(call)
    if output.numel() > 0:
        kernels.forward_kernel[grid](
            query, key, value, output, lse, *_options(query.device, call, prefixes, tiles),
            *_strides(query, key, value, output), num_tiles, *_numbers(query, key, call),
            **_flags(query, call, config),
        )  # fmt: skip
    return output, lse


def backward(
    grad: torch.Tensor,
    grad_lse: torch.Tensor | None,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    output: torch.Tensor,
    lse: torch.Tensor,
    call: Call,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """The gradients of query, key, value and relative_bias (float32; None without one).

    Args:
        grad, grad_lse: of what `forward` returned.
    """
    grad, query, key, value, output = (_with_unit_stride(t) for t in (grad, query, key, value, output))
    is_negative = call.factor(query.shape[3]) < 0
    query, call = _with_positive_scale(query, call)
    lse = lse.contiguous()
    grad_query, grad_key, grad_value = (_room_for(tensor, call) for tensor in (query, key, value))
    delta = torch.empty_like(lse)
    batch, num_heads, query_len, head_dim = query.shape
    if query.numel() > 0:
        num_tiles = triton.cdiv(query_len, DELTA_BLOCK)
        kernels.delta_kernel[(num_tiles * batch * num_heads,)](
            output, grad, delta, *_strides(output, grad), num_tiles, num_heads, query_len,
            HEAD_DIM=head_dim, BLOCK_Q=DELTA_BLOCK,
        )  # fmt: skip
    if grad_lse is not None:
        delta -= grad_lse
    inputs = query, key, value, grad, lse, delta
    config = _config("key_value_gradient", query, call)
    grid, num_tiles, tiles = _grid(key, call, 1, config.block_k)
    call, prefixes = _with_ends(call)
    if key.numel() > 0:
        kernels.key_value_gradient_kernel[grid](
            *inputs, grad_key, grad_value, *_options(query.device, call, prefixes, tiles),
            *_strides(query, key, value, grad, grad_key, grad_value), num_tiles, *_numbers(query, key, call),
            **_flags(query, call, config),
        )  # fmt: skip
    config = _config("query_gradient", query, call)
    grid, num_tiles, tiles = _grid(query, call, 0, config.block_q)
    diagonals = query.new_zeros(0, dtype=torch.float32)
    if call.relative_bias is not None:
        diagonals_len = (triton.cdiv(key.shape[2], config.block_k) + 1) * config.block_k
        diagonals = diagonals.new_zeros(grid[0] // num_tiles if num_tiles else 0, num_tiles, diagonals_len)
    if query.numel() > 0:
        kernels.query_gradient_kernel[grid](
            *inputs, grad_query, diagonals, *_options(query.device, call, prefixes, tiles),
            *_strides(query, key, value, grad, grad_query), diagonals.shape[-1], num_tiles,
            *_numbers(query, key, call), NEEDS_BIAS=call.relative_bias is not None, **_flags(query, call, config),
        )  # fmt: skip
    if is_negative:
        grad_query.neg_()
    grad_bias = None
    if call.relative_bias is not None:
        shifts = _diagonal_shifts(query, key, call, tiles, num_tiles, config.block_q)
        grad_bias = _bias_gradient(
            diagonals.view(batch, num_heads, *diagonals.shape[1:]),
            shifts,
            config.block_k,
            call.relative_bias.shape[1] // 2,
        )
    return grad_query, grad_key, grad_value, grad_bias


def tile_table(cu_seqlens: torch.Tensor, total_len: int, block: int) -> torch.Tensor:
    """(tiles, 2): the sequence of each tile (-1: none) and its first row in it; as many as any lengths can need.

    Made on the tensor's device, without waiting for it.
    """
    num_sequences = cu_seqlens.shape[0] - 1
    ends = torch.div(cu_seqlens.diff() + (block - 1), block, rounding_mode="floor").cumsum(0)
    tile = torch.arange(triton.cdiv(total_len, block) + num_sequences, device=cu_seqlens.device)
    sequence = torch.searchsorted(ends, tile, right=True)
    known = sequence.clamp(max=num_sequences - 1)
    before = torch.where(known > 0, ends[known - 1], 0)
    first = (tile - before) * block
    return torch.stack((torch.where(sequence < num_sequences, sequence, -1), first), 1).to(torch.int32)


def _config(kernel: str, query: torch.Tensor, call: Call) -> Config:
    has_bias, has_dropout = call.relative_bias is not None, dropout_threshold(call.dropout_p) > 0
    family = 90 if IS_INTERPRETED else family_of_device(query.device.index)
    return config_for(kernel, query.shape[3], query.element_size(), has_bias, has_dropout, family)


def _grid(rows: torch.Tensor, call: Call, which: int, block: int) -> tuple[tuple[int, ...], int, torch.Tensor | None]:
    """How many programs, tiles of these rows in each head, and the table of packed tiles."""
    batch, num_heads, total_len, _ = rows.shape
    tiles = None if call.cu_seqlens is None else tile_table(call.cu_seqlens[which], total_len, block)
    num_tiles = triton.cdiv(total_len, block) if tiles is None else tiles.shape[0]
    num_programs = num_tiles * num_heads * (batch if tiles is None else 1)
    if num_programs > MAX_PROGRAMS:
        raise ValueError(f"{num_programs} tiles are more than a GPU can start at once; use a smaller batch")
    return (num_programs,), num_tiles, tiles


def prefixes_and_ends(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each row of a padding mask: how many True stand in front, and where the last one is, plus 1; int32 (batch)."""
    numbers = torch.arange(1, mask.shape[1] + 1, device=mask.device, dtype=torch.int32)
    in_front = mask.to(torch.int32).cumprod(1).sum(1, dtype=torch.int32)
    if mask.shape[1] == 0:
        return in_front, in_front
    return in_front, torch.where(mask, numbers, 0).amax(1)


def _with_ends(call: Call) -> tuple[Call, torch.Tensor | None]:
    """A call with a mask gets lengths, too: behind its last key nothing is read. And how long its prefix of keys is.

    So a mask that is a prefix costs no more than lengths do, and nobody waits to find out.
    """
    if call.key_padding_mask is None:
        return call, None
    in_front, ends = prefixes_and_ends(call.key_padding_mask)
    return call._replace(key_lengths=ends), in_front


@functools.lru_cache(maxsize=16)
def no_lengths(device: torch.device) -> torch.Tensor:
    """The length of every row where none is given: read with a step of 0, so that the kernels are the same."""
    return torch.tensor([MAX_PROGRAMS], dtype=torch.int32, device=device)


def _options(
    device: torch.device, call: Call, prefixes: torch.Tensor | None, tiles: torch.Tensor | None
) -> tuple[torch.Tensor | None, ...]:
    mask = None if call.key_padding_mask is None else call.key_padding_mask.contiguous().view(torch.uint8)
    bias = None if call.relative_bias is None else call.relative_bias.contiguous()
    lengths = no_lengths(device) if call.key_lengths is None else call.key_lengths
    return mask, lengths, prefixes, bias, call.seed, tiles, *(call.cu_seqlens or (None, None))


def _numbers(query: torch.Tensor, key: torch.Tensor, call: Call) -> tuple[float, ...]:
    max_distance = 0 if call.relative_bias is None else call.relative_bias.shape[1] // 2
    dropout = dropout_threshold(call.dropout_p), keep_scale(call.dropout_p)
    scale = max(call.factor(query.shape[3]), SMALLEST_SCALE)
    lengths_step = int(call.key_lengths is not None)
    return *query.shape[1:3], key.shape[2], lengths_step, int(call.is_causal), max_distance, scale, *dropout


def _flags(query: torch.Tensor, call: Call, config: Config) -> dict[str, Any]:
    return {
        "HEAD_DIM": query.shape[3],
        "BLOCK_Q": config.block_q,
        "BLOCK_K": config.block_k,
        "HAS_MASK": call.key_padding_mask is not None,
        "HAS_BIAS": call.relative_bias is not None,
        "HAS_DROPOUT": dropout_threshold(call.dropout_p) > 0,
        "IS_PACKED": call.cu_seqlens is not None,
        "num_warps": config.num_warps,
        "num_stages": config.num_stages,
    }


def _strides(*tensors: torch.Tensor) -> tuple[int, ...]:
    return tuple(stride for tensor in tensors for stride in tensor.stride()[:3])


def _with_unit_stride(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.stride(3) == 1 else tensor.contiguous()


def _with_positive_scale(query: torch.Tensor, call: Call) -> tuple[torch.Tensor, Call]:
    """The same scores; the kernels find the largest before the scale."""
    factor = call.factor(query.shape[3])
    return (query, call) if factor >= 0 else (-query, call._replace(scale=-factor))


def _room_for(tensor: torch.Tensor, call: Call) -> torch.Tensor:
    """Heads of a position side by side, as the projection that follows reads them; zeros if some are in no sequence."""
    batch, num_heads, seq_len, head_dim = tensor.shape
    make = tensor.new_empty if call.cu_seqlens is None else tensor.new_zeros
    return make(batch, seq_len, num_heads, head_dim).transpose(1, 2)


def _diagonal_shifts(
    query: torch.Tensor, key: torch.Tensor, call: Call, tiles: torch.Tensor | None, num_tiles: int, block_q: int
) -> torch.Tensor:
    """(num_tiles): the key that stands at distance 0 from the first query of each tile."""
    if call.cu_seqlens is None or tiles is None:
        return torch.arange(num_tiles, device=query.device) * block_q + (key.shape[2] - query.shape[2])
    sequence = tiles[:, 0].clamp(min=0).long()
    query_lens, key_lens = (cu_seqlens.diff() for cu_seqlens in call.cu_seqlens)
    return (tiles[:, 1] + (key_lens - query_lens)[sequence]).long()


def _bias_gradient(diagonals: torch.Tensor, shifts: torch.Tensor, block_k: int, max_distance: int) -> torch.Tensor:
    """(num_heads, 2 * max_distance + 1) from diagonals (batch, num_heads, tiles, places)."""
    sums = diagonals.sum(0)
    num_heads, num_tiles, num_places = sums.shape
    distance = torch.arange(num_places, device=sums.device) - block_k - shifts[:, None]  # (tiles, places)
    inner = torch.arange(1 - max_distance, max_distance, device=sums.device) + block_k + shifts[:, None]
    is_there = (inner >= 0) & (inner < num_places)
    place = inner.clamp(0, num_places - 1).expand(num_heads, num_tiles, -1)
    middle = torch.where(is_there, sums.gather(2, place), 0.0).sum(1)
    first = torch.where(distance <= -max_distance, sums, 0.0).sum((1, 2))
    last = torch.where(distance >= max_distance, sums, 0.0).sum((1, 2))
    return torch.cat((first[:, None], middle, last[:, None]), 1)
