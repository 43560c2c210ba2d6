"""Attention: signature, checks and choice of backend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch.nn import functional as F

from amt.errors import BackendUnavailableError
from amt.ops import fused, native_attention
from amt.ops.reference import attention as reference
from amt.ops.reference.attention import Call

Backend = Literal["auto", "reference", "sdpa", "triton", "native"]
BACKENDS = ("auto", "reference", "sdpa", "triton", "native")
HEAD_DIMS = (32, 64, 128)
TRITON_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
MAX_SEED = (1 << 63) - 1
# With dropout torch's attention on a CPU makes the whole matrix of weights. A part with so many queries stays in the
# cache, and a causal one leaves out the keys that none of them sees.
QUERIES_AT_ONCE = 256

# With fewer queries torch's attention is faster than the C++ kernels, of whose tiles most is then padding. Found with
# forward and backward passes of 1 to 96 queries and as many keys.
MIN_QUERIES = {torch.float32: 64, torch.bfloat16: 16}

_auto_backend = "auto"  # what "auto" means within `attention_backend`


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    is_causal: bool = False,
    key_padding_mask: torch.Tensor | None = None,
    key_lengths: torch.Tensor | None = None,
    query_lengths: torch.Tensor | None = None,
    cu_seqlens: torch.Tensor | tuple[torch.Tensor, torch.Tensor] | None = None,
    window: int | None = None,
    relative_bias: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    seed: int | torch.Tensor | None = None,
    scale: float | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """softmax(scale * query @ key^T + relative_bias) @ value over the keys that a query may attend to.

    Causal is aligned bottom-right: the last query sees the last key. A query that may attend to nothing gives zeros.
    Of key_padding_mask, key_lengths and cu_seqlens at most one is given. All backends have gradients.

    Args:
        query: (batch, num_heads, query_len, head_dim), any strides, on one device with all others.
        key: (batch, num_heads, key_len, head_dim).
        value: (batch, num_heads, key_len, value_dim).
        is_causal: whether later keys are hidden.
        key_padding_mask: (batch, key_len), bool, True = may attend.
        key_lengths: (batch), integers: keys from there on are hidden.
        query_lengths: (batch), integers: queries from there on attend to nothing.
        cu_seqlens: (num_sequences + 1), int32, ascending from 0: sequences of different lengths lie one behind the
            other in a batch of 1, number s from cu_seqlens[s] to cu_seqlens[s + 1], and attend to themselves only;
            positions behind the last give zeros. For cross-attention a pair: of the queries and of the keys.
        window: local attention, with is_causal: a query sees its own position and window - 1 before it.
        relative_bias: (num_heads, 2 * max_distance + 1), added to the score of key - query = -max_distance ..
            max_distance; further ones are clipped. Positions are aligned bottom-right.
        dropout_p: the share of attention weights set to zero, in steps of 2**-8.
        seed: for dropout, up to 2**63 - 1: the same weights are dropped by "reference", "triton" and "native" on any
            device, each as a function of (seed, batch and head, row, column), in a packed batch too; "sdpa" takes no
            seed. None: drawn from torch's generator.
        scale: factor of the scores; head_dim ** -0.5 if None.
        backend: "reference" (plain PyTorch), "sdpa" (torch's own), "triton" (kernels of this package: head_dim and
            value_dim 32, 64 or 128, float32, float16 or bfloat16, on a GPU), "native" (kernels of this package in C++:
            head_dim = value_dim a multiple of 8 up to 128, float32 or bfloat16, on a CPU), or "auto"; see `explain`.

    Returns:
        (batch, num_heads, query_len, value_dim).

    Raises:
        ValueError: shapes, dtypes or options disagree, or the backend is unknown or does not offer this.
        BackendUnavailableError: "triton" or "native" was asked for by name and cannot run here.
    """
    call = check_call(
        query,
        key,
        value,
        is_causal=is_causal,
        key_padding_mask=key_padding_mask,
        key_lengths=key_lengths,
        query_lengths=query_lengths,
        cu_seqlens=cu_seqlens,
        window=window,
        relative_bias=relative_bias,
        dropout_p=dropout_p,
        seed=seed,
        scale=scale,
    )
    chosen, _ = _choose(query, key, value, call, backend)
    if chosen == "sdpa":
        return _sdpa(query, key, value, call)
    call = call._replace(seed=seed_or_drawn(call, query.device))
    if chosen in ("triton", "native"):
        return fused.attention(query, key, value, call, chosen)
    return reference.attention(query, key, value, call)[0]


def explain(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, backend: Backend = "auto", **options: Any
) -> str:
    """Which backend `attention` takes for such a call, and why; takes its arguments and raises its errors.

    >>> explain(query, key, value, is_causal=True)
    'native: C++ kernels (avx512_bf16) for training'
    """
    return ": ".join(_choose(query, key, value, check_call(query, key, value, **options), backend))


def explain_attention() -> str:
    """What `attention` runs in the models on this machine's best device."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    no_triton = fused.why_no_triton(device)
    try:
        on_cpu = f"C++ kernels ({native_attention.chosen_kernel_set()}) for training on the CPU"
    except BackendUnavailableError as error:
        on_cpu = f"torch's attention on the CPU ({error})"
    if device.type == "cuda":
        return f"{'Triton kernels' if no_triton is None else no_triton} on the GPU, {on_cpu}"
    return f"{on_cpu}, else torch's attention"


@contextlib.contextmanager
def attention_backend(backend: Backend) -> Iterator[None]:
    """Within it "auto" means this backend, in the models of this package too. Not to be used from several threads."""
    global _auto_backend
    _check_backend(backend)
    before, _auto_backend = _auto_backend, backend
    try:
        yield
    finally:
        _auto_backend = before


def backend_for(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, call: Call, backend: Backend = "auto"
) -> str:
    """The name of the backend that `attention` takes for this call."""
    return _choose(query, key, value, call, backend)[0]


def seed_or_drawn(call: Call, device: torch.device) -> torch.Tensor | None:
    """The seed of dropout: the call's, else one drawn from torch's generator; None without dropout."""
    if call.seed is not None or call.dropout_p == 0.0:
        return call.seed
    return torch.randint(MAX_SEED, (), device=device)


def _choose(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, call: Call, backend: str) -> tuple[str, str]:
    """The backend and the reason."""
    _check_backend(backend)
    if backend == "auto":
        backend = _auto_backend
    no_sdpa = _why_no_sdpa(call)
    if backend == "reference":
        return backend, "asked for"
    if backend == "sdpa":
        if no_sdpa:
            raise ValueError(f"torch's attention does not offer this: {no_sdpa}; use backend='auto'")
        return backend, "asked for"
    if backend == "native":
        no_native = native_attention.why_not(query, value, call)
        if no_native:
            raise ValueError(f"the C++ kernels do not offer this: {no_native}; use backend='auto'")
        return backend, f"asked for ({native_attention.chosen_kernel_set()})"
    no_kernel = _why_no_kernel(query, value, call)
    if backend == "triton":
        if no_kernel:
            raise ValueError(f"the Triton kernels do not offer this: {no_kernel}; use backend='auto'")
        no_triton = fused.why_no_triton(query.device)
        if no_triton:
            raise BackendUnavailableError(f"{no_triton}; use backend='auto'")
        return backend, "asked for"
    if query.is_cuda:
        why = no_kernel or fused.why_no_triton(query.device)
        if why is None:
            return "triton", "on a GPU, and the kernels take it"
    else:
        why = _why_slower(query, key, value, call)
        if why is None:
            return "native", f"C++ kernels ({native_attention.chosen_kernel_set()}), faster here"
    return ("reference", f"{why}; not sdpa: {no_sdpa}") if no_sdpa else ("sdpa", why)


def _why_slower(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, call: Call) -> str | None:
    """Why torch's attention is a better choice on a CPU than the C++ kernels; None if they are."""
    no_native = native_attention.why_not(query, value, call) or native_attention.why_unavailable()
    if no_native:
        return f"no C++ kernels: {no_native}"
    if not native_attention.is_fast():
        return "the C++ kernels have nothing faster than generic here"
    if query.shape[2] < MIN_QUERIES[query.dtype]:
        return f"with less than {MIN_QUERIES[query.dtype]} queries torch's attention is faster than the C++ kernels"
    return None


def _why_no_kernel(query: torch.Tensor, value: torch.Tensor, call: Call) -> str | None:
    if query.shape[3] not in HEAD_DIMS or value.shape[3] != query.shape[3]:
        return f"head_dim and value_dim must be the same, 32, 64 or 128; got {query.shape[3]} and {value.shape[3]}"
    if query.dtype not in TRITON_DTYPES:
        return f"numbers must be float32, float16 or bfloat16; got {query.dtype}"
    if call.window is not None or call.query_lengths is not None:
        return "a window, or lengths of queries"
    return None


def _why_no_sdpa(call: Call) -> str | None:
    if call.cu_seqlens is not None:
        return "packed sequences"
    if call.dropout_p > 0.0 and call.seed is not None:
        return "dropout from a seed"
    return None


def _sdpa(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, call: Call) -> torch.Tensor:
    query_len, key_len = query.shape[2], key.shape[2]
    makes_weights = call.dropout_p > 0.0 and query.device.type == "cpu"
    if not makes_weights or query_len <= QUERIES_AT_ONCE or (call.relative_bias is not None and not call.is_causal):
        return _sdpa_at_once(query, key, value, call)
    outputs = []
    for start in range(0, query_len, QUERIES_AT_ONCE):
        part = query[:, :, start : start + QUERIES_AT_ONCE]
        query_lengths = None if call.query_lengths is None else call.query_lengths - start
        # Aligned bottom-right, the part is causal, and its distances are right, with the keys up to its last query's.
        last = max(0, start + part.shape[2] + key_len - query_len) if call.is_causal else key_len
        padding = None if call.key_padding_mask is None else call.key_padding_mask[:, :last]
        outputs.append(
            _sdpa_at_once(
                part,
                key[:, :, :last],
                value[:, :, :last],
                call._replace(key_padding_mask=padding, query_lengths=query_lengths),
            )
        )
    return torch.cat(outputs, 2)


def _sdpa_at_once(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, call: Call) -> torch.Tensor:
    query_len, key_len = query.shape[2], key.shape[2]
    dropout_p, scale, padding = call.dropout_p, call.scale, call.key_padding_mask
    # torch's is_causal is aligned top-left: the same thing only where the lengths are equal.
    is_plain = all(
        given is None for given in (padding, call.key_lengths, call.relative_bias, call.query_lengths, call.window)
    )
    if call.is_causal and query_len == key_len and is_plain:
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout_p, is_causal=True, scale=scale)
    if call.key_lengths is not None:
        padding = reference.lengths_mask(call.key_lengths, key_len)
    mask = reference.may_attend(
        query_len,
        key_len,
        call.is_causal,
        padding,
        query.device,
        window=call.window,
        query_padding_mask=None
        if call.query_lengths is None
        else reference.lengths_mask(call.query_lengths, query_len),
    )
    if call.relative_bias is not None:
        bias = reference.dense_bias(call.relative_bias, query_len, key_len).to(query.dtype)
        mask = bias if mask is None else bias.masked_fill(~mask, float("-inf"))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout_p, scale=scale)


def _check_backend(backend: str) -> None:
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}; got {backend!r}")


def check_call(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    is_causal: bool = False,
    key_padding_mask: torch.Tensor | None = None,
    key_lengths: torch.Tensor | None = None,
    query_lengths: torch.Tensor | None = None,
    cu_seqlens: torch.Tensor | tuple[torch.Tensor, torch.Tensor] | None = None,
    window: int | None = None,
    relative_bias: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    seed: int | torch.Tensor | None = None,
    scale: float | None = None,
) -> Call:
    """The call that these arguments of `attention` are; raises its errors."""
    if query.dim() != 4 or key.dim() != 4 or value.dim() != 4:
        raise ValueError("query, key and value must be (batch, num_heads, seq_len, head_dim)")
    if query.shape[:2] != key.shape[:2] or query.shape[3] != key.shape[3] or key.shape[:3] != value.shape[:3]:
        raise ValueError(
            "query, key and value must agree in batch, num_heads and head_dim, key and value in length; "
            f"got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
        )
    if not query.dtype == key.dtype == value.dtype or not query.dtype.is_floating_point:
        raise ValueError(
            f"query, key and value must have one floating dtype, got {query.dtype}, {key.dtype} and {value.dtype}"
        )
    batch, key_len = key.shape[0], key.shape[2]
    if sum(given is not None for given in (key_padding_mask, key_lengths, cu_seqlens)) > 1:
        raise ValueError("give only one of key_padding_mask, key_lengths and cu_seqlens")
    if key_padding_mask is not None:
        if key_padding_mask.dtype != torch.bool:
            raise ValueError(f"key_padding_mask must be bool (True = may attend), got {key_padding_mask.dtype}")
        if key_padding_mask.shape != (batch, key_len):
            raise ValueError(
                f"key_padding_mask must be (batch, key_len) = {(batch, key_len)}, got {tuple(key_padding_mask.shape)}"
            )
    key_lengths = _check_lengths("key_lengths", key_lengths, batch)
    query_lengths = _check_lengths("query_lengths", query_lengths, batch)
    if query_lengths is not None and cu_seqlens is not None:
        raise ValueError("cu_seqlens says where the queries end, too: leave query_lengths out")
    if window is not None and (window < 1 or not is_causal):
        raise ValueError(f"window must be at least 1, and needs is_causal=True; got window={window!r}")
    pair = None
    if cu_seqlens is not None:
        pair = (cu_seqlens, cu_seqlens) if isinstance(cu_seqlens, torch.Tensor) else cu_seqlens
        pair = _check_packed(query, key, pair)
    if relative_bias is not None:
        shape = tuple(relative_bias.shape)
        if len(shape) != 2 or shape[0] != query.shape[1] or shape[1] < 3 or shape[1] % 2 == 0:
            raise ValueError(
                f"relative_bias must be (num_heads, 2 * max_distance + 1) with num_heads = {query.shape[1]} and "
                f"max_distance >= 1, got {shape}"
            )
    if not 0.0 <= dropout_p <= 1.0:
        raise ValueError(f"dropout_p must be between 0 and 1, got {dropout_p}")
    if isinstance(seed, int):
        if not 0 <= seed <= MAX_SEED:
            raise ValueError(f"seed must be between 0 and 2**63 - 1, got {seed}")
        seed = torch.tensor(seed, device=query.device)
    if seed is not None and (seed.dtype != torch.int64 or seed.numel() != 1):
        raise ValueError(f"seed must be one int64 number, got {seed.dtype} {tuple(seed.shape)}")
    return Call(
        is_causal, key_padding_mask, key_lengths, pair, relative_bias, dropout_p, seed, scale, query_lengths, window
    )


def _check_lengths(name: str, lengths: torch.Tensor | None, batch: int) -> torch.Tensor | None:
    if lengths is None:
        return None
    if lengths.shape != (batch,) or lengths.dtype.is_floating_point or lengths.dtype == torch.bool:
        raise ValueError(f"{name} must be integers (batch,) = {(batch,)}, got {lengths.dtype} {tuple(lengths.shape)}")
    return lengths.to(torch.int32).contiguous()


def _check_packed(
    query: torch.Tensor, key: torch.Tensor, pair: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    if query.shape[0] != 1:
        raise ValueError(f"packed sequences lie in a batch of 1, got {query.shape[0]}")
    for cu_seqlens in pair:
        if cu_seqlens.dtype != torch.int32 or cu_seqlens.dim() != 1 or cu_seqlens.shape != pair[0].shape:
            raise ValueError(
                "cu_seqlens must be int32 (num_sequences + 1), for queries and keys alike; "
                f"got {cu_seqlens.dtype} {tuple(cu_seqlens.shape)}"
            )
    if len(pair[0]) < 2:
        raise ValueError("cu_seqlens must hold at least one sequence: (num_sequences + 1)")
    for cu_seqlens, total_len in zip(pair, (query.shape[2], key.shape[2]), strict=True):
        is_right = (cu_seqlens[0] == 0) & (cu_seqlens.diff() >= 0).all() & (cu_seqlens[-1] <= total_len)
        # On a GPU nobody waits for the answer: a wrong one stops the program at its next step.
        torch._assert_async(is_right, f"cu_seqlens must ascend from 0 to at most {total_len}")
    return pair[0].contiguous(), pair[1].contiguous()
