"""Fused attention in Triton, forward and backward: `amt/ops/reference/attention.py` without its score matrix.

Tensors are (batch, num_heads, seq_len, head_dim) with any strides but a last one of 1. A tile is BLOCK_Q queries by
BLOCK_K keys. Scores are kept in units of log2(e), so that softmax is a power of two. Tiles that need no mask take a
loop of their own. Nothing is added by atomics: two runs give the same bits.

Four kernels: forward; the product of each output with its gradient (`delta`); gradients of keys and values, one program
for a tile of keys; gradients of queries and of the relative bias, one program for a tile of queries. The last two
compute the weights again from `lse`.

Source: Dao 2023, arXiv:2307.08691; the loops' order and the tile sizes are ours.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)
DROPOUT = tl.constexpr(1)  # amt.ops.reference.philox.DROPOUT
GROUP = tl.constexpr(8)  # columns that share a draw: 16 bits each


@triton.jit
def _locate(tiles, cu_query, cu_key, query_len, key_len, num_heads, tile, BLOCK: tl.constexpr, IS_PACKED: tl.constexpr):
    """Where this program works: (batch, head, sequence, first row of the tile, then start and length of the sequence
    among the queries and among the keys). Rows count from the start. A packed tile without a sequence has -1."""
    if IS_PACKED:
        sequence = tl.load(tiles + 2 * tile)
        first = tl.load(tiles + 2 * tile + 1)
        known = tl.maximum(sequence, 0)
        query_start = tl.load(cu_query + known)
        key_start = tl.load(cu_key + known)
        sequence_query_len = tl.load(cu_query + known + 1) - query_start
        sequence_key_len = tl.load(cu_key + known + 1) - key_start
        batch = tl.program_id(1) * 0
        return batch, tl.program_id(1), sequence, first, query_start, sequence_query_len, key_start, sequence_key_len
    else:
        batch = tl.program_id(1) // num_heads
        start = batch * 0
        return batch, tl.program_id(1) % num_heads, batch, tile * BLOCK, start, query_len, start, key_len


@triton.jit
def _keys_of_tile(
    key_lengths, sequence, sequence_key_len, first, offset,
    BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, IS_CAUSAL: tl.constexpr, HAS_MASK: tl.constexpr,
    HAS_LENGTHS: tl.constexpr,
):  # fmt: skip
    """Of the queries from `first` on: where real keys end, where tiles that need no mask end, where all tiles end."""
    key_end = sequence_key_len
    if HAS_LENGTHS:
        key_end = tl.minimum(key_end, tl.load(key_lengths + sequence))
    last = key_end
    unmasked = key_end // BLOCK_K * BLOCK_K
    if IS_CAUSAL:
        last = tl.maximum(tl.minimum(last, first + BLOCK_Q + offset), 0)
        unmasked = tl.minimum(unmasked, tl.maximum(first + offset + 1, 0) // BLOCK_K * BLOCK_K)
    if HAS_MASK:
        unmasked = unmasked * 0
    return key_end, unmasked, last


@triton.jit
def _load_rows(start, rows, end, stride, HEAD_DIM: tl.constexpr):
    """(rows, HEAD_DIM); zeros behind the end."""
    places = start + rows[:, None].to(tl.int64) * stride + tl.arange(0, HEAD_DIM)[None, :]
    return tl.load(places, mask=rows[:, None] < end, other=0.0)


@triton.jit
def _store_rows(start, rows, end, stride, values, HEAD_DIM: tl.constexpr):
    places = start + rows[:, None].to(tl.int64) * stride + tl.arange(0, HEAD_DIM)[None, :]
    tl.store(places, values.to(start.dtype.element_ty), mask=rows[:, None] < end)


@triton.jit
def _scores(
    q, k, i, j, scale, offset, key_end, key_mask, bias, max_distance,
    IS_CAUSAL: tl.constexpr, HAS_MASK: tl.constexpr, HAS_BIAS: tl.constexpr, IS_MASKED: tl.constexpr,
):  # fmt: skip
    """Scores of a tile, times log2(e); -inf where a query may not attend. key_mask, bias: of this batch and head."""
    scores = tl.dot(q, tl.trans(k), input_precision="ieee") * (scale * LOG2_E)
    if HAS_BIAS:
        distance = j[None, :] - (i[:, None] + offset)
        distance = tl.minimum(tl.maximum(distance, -max_distance), max_distance)
        scores += tl.load(bias + distance + max_distance) * LOG2_E
    if IS_MASKED:
        may_attend = (j < key_end)[None, :]
        if HAS_MASK:
            may_attend = may_attend & (tl.load(key_mask + j, mask=j < key_end, other=0) != 0)[None, :]
        if IS_CAUSAL:
            may_attend = may_attend & (j[None, :] <= i[:, None] + offset)
        scores = tl.where(may_attend, scores, float("-inf"))
    return scores


@triton.jit
def _kept(seed, i, first_column, batch_head, threshold, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr):
    """Which weights of a tile dropout keeps; see `amt.ops.reference.attention.kept_weights`."""
    group = first_column // GROUP + tl.arange(0, BLOCK_K // GROUP)
    row, column = tl.broadcast(i[:, None].to(tl.uint32), group[None, :].to(tl.uint32))
    nothing = row * 0
    w0, w1, w2, w3 = tl.philox(seed, row, column, nothing + batch_head.to(tl.uint32), nothing + DROPOUT)
    words = tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), (BLOCK_Q, BLOCK_K // 2))
    return tl.reshape(tl.join(words & 0xFFFF, words >> 16), (BLOCK_Q, BLOCK_K)) >= threshold


@triton.jit
def _attend(
    total, row_max, row_sum, q, key, value, i, first, last, k_t, v_t, scale, offset, key_end, sequence_key_len,
    key_mask, bias, max_distance, seed, batch_head, threshold,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, IS_CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr, IS_MASKED: tl.constexpr,
):  # fmt: skip
    """Take the keys first .. last into the weighted sum of values, with the running maximum and sum of each row."""
    for start in tl.range(first, last, BLOCK_K):
        j = start + tl.arange(0, BLOCK_K)
        k = _load_rows(key, j, sequence_key_len, k_t, HEAD_DIM)
        scores = _scores(
            q, k, i, j, scale, offset, key_end, key_mask, bias, max_distance, IS_CAUSAL, HAS_MASK, HAS_BIAS, IS_MASKED
        )
        new_max = tl.maximum(row_max, tl.max(scores, 1))
        shift = tl.where(new_max == float("-inf"), 0.0, new_max)  # of a row that has seen no key yet
        weights = tl.exp2(scores - shift[:, None])
        faded = tl.exp2(row_max - shift)
        row_sum = row_sum * faded + tl.sum(weights, 1)
        if HAS_DROPOUT:
            weights = tl.where(_kept(seed, i, start, batch_head, threshold, BLOCK_Q, BLOCK_K), weights, 0.0)
        v = _load_rows(value, j, sequence_key_len, v_t, HEAD_DIM)
        total = tl.dot(weights.to(v.dtype), v, total * faded[:, None], input_precision="ieee")
        row_max = new_max
    return total, row_max, row_sum


@triton.jit
def forward_kernel(
    query, key, value, output, lse, key_mask, key_lengths, bias, seed, tiles, cu_query, cu_key,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, o_b, o_h, o_t,
    num_heads, query_len, key_len, max_distance, scale, threshold, keep_scale,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, IS_CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_LENGTHS: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr,
    IS_PACKED: tl.constexpr,
):  # fmt: skip
    """A tile of queries: output and lse."""
    tile = tl.num_programs(0) - 1 - tl.program_id(0)  # the late tiles of a causal product have most to do
    batch, head, sequence, first, query_start, query_end, key_start, sequence_key_len = _locate(
        tiles, cu_query, cu_key, query_len, key_len, num_heads, tile, BLOCK_Q, IS_PACKED
    )
    if sequence < 0:
        return
    batch = tl.cast(batch, tl.int64)
    batch_head = sequence * num_heads + head
    i = first + tl.arange(0, BLOCK_Q)
    offset = sequence_key_len - query_end
    key_end, unmasked, last = _keys_of_tile(
        key_lengths, sequence, sequence_key_len, first, offset, BLOCK_Q, BLOCK_K, IS_CAUSAL, HAS_MASK, HAS_LENGTHS
    )
    if HAS_MASK:
        key_mask += batch * key_len
    if HAS_BIAS:
        bias += head * (2 * max_distance + 1)
    if HAS_DROPOUT:
        seed = tl.load(seed).to(tl.uint64)

    query += batch * q_b + head.to(tl.int64) * q_h + query_start.to(tl.int64) * q_t
    key += batch * k_b + head.to(tl.int64) * k_h + key_start.to(tl.int64) * k_t
    value += batch * v_b + head.to(tl.int64) * v_h + key_start.to(tl.int64) * v_t
    output += batch * o_b + head.to(tl.int64) * o_h + query_start.to(tl.int64) * o_t
    lse += (batch * num_heads + head) * query_len + query_start

    q = _load_rows(query, i, query_end, q_t, HEAD_DIM)
    total = tl.zeros((BLOCK_Q, HEAD_DIM), tl.float32)
    row_max = tl.full((BLOCK_Q,), float("-inf"), tl.float32)
    row_sum = tl.zeros((BLOCK_Q,), tl.float32)
    if not HAS_MASK:
        total, row_max, row_sum = _attend(
            total, row_max, row_sum, q, key, value, i, 0, unmasked, k_t, v_t, scale, offset, key_end, sequence_key_len,
            key_mask, bias, max_distance, seed, batch_head, threshold,
            HEAD_DIM, BLOCK_Q, BLOCK_K, IS_CAUSAL, HAS_MASK, HAS_BIAS, HAS_DROPOUT, False,
        )  # fmt: skip
    total, row_max, row_sum = _attend(
        total, row_max, row_sum, q, key, value, i, unmasked, last, k_t, v_t, scale, offset, key_end, sequence_key_len,
        key_mask, bias, max_distance, seed, batch_head, threshold,
        HEAD_DIM, BLOCK_Q, BLOCK_K, IS_CAUSAL, HAS_MASK, HAS_BIAS, HAS_DROPOUT, True,
    )  # fmt: skip
    is_empty = row_sum == 0.0
    factor = tl.where(is_empty, 0.0, keep_scale / tl.where(is_empty, 1.0, row_sum))
    _store_rows(output, i, query_end, o_t, total * factor[:, None], HEAD_DIM)
    row_lse = (row_max + tl.log2(tl.where(is_empty, 1.0, row_sum))) * LN_2
    tl.store(lse + i, row_lse, mask=i < query_end)


@triton.jit
def _weights_and_gradients(
    q, k, v, grad, row_lse, delta, i, j, scale, offset, key_end, key_mask, bias, max_distance, seed, batch_head,
    threshold, keep_scale,
    BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, IS_CAUSAL: tl.constexpr, HAS_MASK: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr, IS_MASKED: tl.constexpr,
):  # fmt: skip
    """Of a tile: the weights that met the values, and the gradient of the scores (before the scale)."""
    scores = _scores(
        q, k, i, j, scale, offset, key_end, key_mask, bias, max_distance, IS_CAUSAL, HAS_MASK, HAS_BIAS, IS_MASKED
    )
    weights = tl.exp2(scores - (row_lse * LOG2_E)[:, None])  # lse is inf for rows that have no keys or do not exist
    grad_weights = tl.dot(grad, tl.trans(v), input_precision="ieee")
    kept_weights = weights
    if HAS_DROPOUT:
        kept = _kept(seed, i, tl.min(j, 0), batch_head, threshold, BLOCK_Q, BLOCK_K)
        kept_weights = tl.where(kept, weights * keep_scale, 0.0)
        grad_weights = tl.where(kept, grad_weights * keep_scale, 0.0)
    return kept_weights, weights * (grad_weights - delta[:, None])


@triton.jit
def _load_lse(lse, i, query_end):
    """Behind the end, and for rows without keys, inf: their weights become 0."""
    row_lse = tl.load(lse + i, mask=i < query_end, other=float("inf"))
    return tl.where(row_lse == float("-inf"), float("inf"), row_lse)


@triton.jit
def _add_key_gradients(
    grad_k, grad_v, k, v, query, grad_output, lse, delta, j, first, last, query_end, q_t, g_t, scale, offset, key_end,
    key_mask, bias, max_distance, seed, batch_head, threshold, keep_scale,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, IS_CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr, IS_MASKED: tl.constexpr,
):  # fmt: skip
    """Add what the queries first .. last have to say about a tile of keys."""
    for start in tl.range(first, last, BLOCK_Q):
        i = start + tl.arange(0, BLOCK_Q)
        q = _load_rows(query, i, query_end, q_t, HEAD_DIM)
        grad = _load_rows(grad_output, i, query_end, g_t, HEAD_DIM)
        row_delta = tl.load(delta + i, mask=i < query_end, other=0.0)
        weights, grad_scores = _weights_and_gradients(
            q, k, v, grad, _load_lse(lse, i, query_end), row_delta, i, j, scale, offset, key_end, key_mask, bias,
            max_distance, seed, batch_head, threshold, keep_scale,
            BLOCK_Q, BLOCK_K, IS_CAUSAL, HAS_MASK, HAS_BIAS, HAS_DROPOUT, IS_MASKED,
        )  # fmt: skip
        grad_v = tl.dot(tl.trans(weights.to(grad.dtype)), grad, grad_v, input_precision="ieee")
        grad_k = tl.dot(tl.trans(grad_scores.to(q.dtype)), q, grad_k, input_precision="ieee")
    return grad_k, grad_v


@triton.jit
def key_value_gradient_kernel(
    query, key, value, grad_output, lse, delta, grad_key, grad_value,
    key_mask, key_lengths, bias, seed, tiles, cu_query, cu_key,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, g_b, g_h, g_t, dk_b, dk_h, dk_t, dv_b, dv_h, dv_t,
    num_heads, query_len, key_len, max_distance, scale, threshold, keep_scale,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, IS_CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_LENGTHS: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr,
    IS_PACKED: tl.constexpr,
):  # fmt: skip
    """A tile of keys: the gradients of the keys and their values."""
    batch, head, sequence, first, query_start, query_end, key_start, sequence_key_len = _locate(
        tiles, cu_query, cu_key, query_len, key_len, num_heads, tl.program_id(0), BLOCK_K, IS_PACKED
    )
    if sequence < 0:
        return
    batch = tl.cast(batch, tl.int64)
    batch_head = sequence * num_heads + head
    j = first + tl.arange(0, BLOCK_K)
    offset = sequence_key_len - query_end
    key_end = sequence_key_len
    if HAS_LENGTHS:
        key_end = tl.minimum(key_end, tl.load(key_lengths + sequence))
    begin = 0  # the first query that may attend to one of these keys
    unmasked = 0  # the first of the queries that may attend to all of them
    if IS_CAUSAL:
        begin = tl.maximum(first - offset, 0) // BLOCK_Q * BLOCK_Q
        unmasked = tl.cdiv(tl.maximum(first + BLOCK_K - 1 - offset, 0), BLOCK_Q) * BLOCK_Q
    if first + BLOCK_K > key_end:
        unmasked = query_end
    if HAS_MASK:
        unmasked = query_end
        key_mask += batch * key_len
    unmasked = tl.maximum(tl.minimum(unmasked, tl.cdiv(query_end, BLOCK_Q) * BLOCK_Q), begin)
    if HAS_BIAS:
        bias += head * (2 * max_distance + 1)
    if HAS_DROPOUT:
        seed = tl.load(seed).to(tl.uint64)

    query += batch * q_b + head.to(tl.int64) * q_h + query_start.to(tl.int64) * q_t
    key += batch * k_b + head.to(tl.int64) * k_h + key_start.to(tl.int64) * k_t
    value += batch * v_b + head.to(tl.int64) * v_h + key_start.to(tl.int64) * v_t
    grad_output += batch * g_b + head.to(tl.int64) * g_h + query_start.to(tl.int64) * g_t
    grad_key += batch * dk_b + head.to(tl.int64) * dk_h + key_start.to(tl.int64) * dk_t
    grad_value += batch * dv_b + head.to(tl.int64) * dv_h + key_start.to(tl.int64) * dv_t
    lse += (batch * num_heads + head) * query_len + query_start
    delta += (batch * num_heads + head) * query_len + query_start

    k = _load_rows(key, j, sequence_key_len, k_t, HEAD_DIM)
    v = _load_rows(value, j, sequence_key_len, v_t, HEAD_DIM)
    grad_k = tl.zeros((BLOCK_K, HEAD_DIM), tl.float32)
    grad_v = tl.zeros((BLOCK_K, HEAD_DIM), tl.float32)
    grad_k, grad_v = _add_key_gradients(
        grad_k, grad_v, k, v, query, grad_output, lse, delta, j, begin, tl.minimum(unmasked, query_end), query_end,
        q_t, g_t, scale, offset, key_end, key_mask, bias, max_distance, seed, batch_head, threshold, keep_scale,
        HEAD_DIM, BLOCK_Q, BLOCK_K, IS_CAUSAL, HAS_MASK, HAS_BIAS, HAS_DROPOUT, True,
    )  # fmt: skip
    if not HAS_MASK:
        grad_k, grad_v = _add_key_gradients(
            grad_k, grad_v, k, v, query, grad_output, lse, delta, j, unmasked, query_end, query_end,
            q_t, g_t, scale, offset, key_end, key_mask, bias, max_distance, seed, batch_head, threshold, keep_scale,
            HEAD_DIM, BLOCK_Q, BLOCK_K, IS_CAUSAL, HAS_MASK, HAS_BIAS, HAS_DROPOUT, False,
        )  # fmt: skip
    _store_rows(grad_key, j, sequence_key_len, dk_t, grad_k * scale, HEAD_DIM)
    _store_rows(grad_value, j, sequence_key_len, dv_t, grad_v, HEAD_DIM)


@triton.jit
def _diagonal_sums(tile, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr):
    """Sums along the diagonals column - row = 0 .. BLOCK_K - 1, and along -BLOCK_K .. -1. BLOCK_Q <= BLOCK_K."""
    row, column = tl.arange(0, BLOCK_Q)[:, None], tl.arange(0, BLOCK_K)[None, :]
    is_below = row + column >= BLOCK_K
    turned = tl.gather(tile, tl.where(is_below, row + column - BLOCK_K, row + column), 1)
    return tl.sum(tl.where(is_below, 0.0, turned), 0), tl.sum(tl.where(is_below, turned, 0.0), 0)


@triton.jit
def _add_query_gradients(
    grad_q, last_sums, diagonals, q, grad, row_lse, delta, key, value, i, first, last, k_t, v_t, scale, offset, key_end,
    sequence_key_len, key_mask, bias, max_distance, seed, batch_head, threshold, keep_scale,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, IS_CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr, NEEDS_BIAS: tl.constexpr,
    IS_MASKED: tl.constexpr,
):  # fmt: skip
    """Add what the keys first .. last have to say about a tile of queries, and store sums of finished diagonals."""
    for start in tl.range(first, last, BLOCK_K):
        j = start + tl.arange(0, BLOCK_K)
        k = _load_rows(key, j, sequence_key_len, k_t, HEAD_DIM)
        v = _load_rows(value, j, sequence_key_len, v_t, HEAD_DIM)
        _, grad_scores = _weights_and_gradients(
            q, k, v, grad, row_lse, delta, i, j, scale, offset, key_end, key_mask, bias, max_distance, seed,
            batch_head, threshold, keep_scale,
            BLOCK_Q, BLOCK_K, IS_CAUSAL, HAS_MASK, HAS_BIAS, HAS_DROPOUT, IS_MASKED,
        )  # fmt: skip
        grad_q = tl.dot(grad_scores.to(k.dtype), k, grad_q, input_precision="ieee")
        if NEEDS_BIAS:
            above, below = _diagonal_sums(grad_scores, BLOCK_Q, BLOCK_K)
            tl.store(diagonals + j, last_sums + below)
            last_sums = above
    return grad_q, last_sums


@triton.jit
def query_gradient_kernel(
    query, key, value, grad_output, lse, delta, grad_query, diagonals,
    key_mask, key_lengths, bias, seed, tiles, cu_query, cu_key,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, g_b, g_h, g_t, dq_b, dq_h, dq_t,
    diagonals_len, num_heads, query_len, key_len, max_distance, scale, threshold, keep_scale,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, IS_CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_LENGTHS: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr,
    IS_PACKED: tl.constexpr, NEEDS_BIAS: tl.constexpr,
):  # fmt: skip
    """A tile of queries: their gradient, and the sums of the scores' gradients along each diagonal of the tile's rows.

    diagonals (batch * num_heads, tiles, diagonals_len): place p holds the diagonal key - first row = p - BLOCK_K.
    """
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    batch, head, sequence, first, query_start, query_end, key_start, sequence_key_len = _locate(
        tiles, cu_query, cu_key, query_len, key_len, num_heads, tile, BLOCK_Q, IS_PACKED
    )
    if sequence < 0:
        return
    batch = tl.cast(batch, tl.int64)
    batch_head = sequence * num_heads + head
    i = first + tl.arange(0, BLOCK_Q)
    offset = sequence_key_len - query_end
    key_end, unmasked, last = _keys_of_tile(
        key_lengths, sequence, sequence_key_len, first, offset, BLOCK_Q, BLOCK_K, IS_CAUSAL, HAS_MASK, HAS_LENGTHS
    )
    if HAS_MASK:
        key_mask += batch * key_len
    if HAS_BIAS:
        bias += head * (2 * max_distance + 1)
    if HAS_DROPOUT:
        seed = tl.load(seed).to(tl.uint64)

    query += batch * q_b + head.to(tl.int64) * q_h + query_start.to(tl.int64) * q_t
    key += batch * k_b + head.to(tl.int64) * k_h + key_start.to(tl.int64) * k_t
    value += batch * v_b + head.to(tl.int64) * v_h + key_start.to(tl.int64) * v_t
    grad_output += batch * g_b + head.to(tl.int64) * g_h + query_start.to(tl.int64) * g_t
    grad_query += batch * dq_b + head.to(tl.int64) * dq_h + query_start.to(tl.int64) * dq_t
    lse += (batch * num_heads + head) * query_len + query_start
    delta += (batch * num_heads + head) * query_len + query_start
    if NEEDS_BIAS:
        diagonals += (tl.program_id(1).to(tl.int64) * tl.num_programs(0) + tile) * diagonals_len

    q = _load_rows(query, i, query_end, q_t, HEAD_DIM)
    grad = _load_rows(grad_output, i, query_end, g_t, HEAD_DIM)
    row_lse = _load_lse(lse, i, query_end)
    row_delta = tl.load(delta + i, mask=i < query_end, other=0.0)
    grad_q = tl.zeros((BLOCK_Q, HEAD_DIM), tl.float32)
    sums = tl.zeros((BLOCK_K,), tl.float32)
    if not HAS_MASK:
        grad_q, sums = _add_query_gradients(
            grad_q, sums, diagonals, q, grad, row_lse, row_delta, key, value, i, 0, unmasked, k_t, v_t, scale, offset,
            key_end, sequence_key_len, key_mask, bias, max_distance, seed, batch_head, threshold, keep_scale,
            HEAD_DIM, BLOCK_Q, BLOCK_K, IS_CAUSAL, HAS_MASK, HAS_BIAS, HAS_DROPOUT, NEEDS_BIAS, False,
        )  # fmt: skip
    grad_q, sums = _add_query_gradients(
        grad_q, sums, diagonals, q, grad, row_lse, row_delta, key, value, i, unmasked, last, k_t, v_t, scale, offset,
        key_end, sequence_key_len, key_mask, bias, max_distance, seed, batch_head, threshold, keep_scale,
        HEAD_DIM, BLOCK_Q, BLOCK_K, IS_CAUSAL, HAS_MASK, HAS_BIAS, HAS_DROPOUT, NEEDS_BIAS, True,
    )  # fmt: skip
    if NEEDS_BIAS:
        tl.store(diagonals + tl.cdiv(last, BLOCK_K) * BLOCK_K + tl.arange(0, BLOCK_K), sums)
    _store_rows(grad_query, i, query_end, dq_t, grad_q * scale, HEAD_DIM)


@triton.jit
def delta_kernel(
    output, grad_output, delta, o_b, o_h, o_t, g_b, g_h, g_t, num_heads, query_len,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr,
):  # fmt: skip
    """delta (batch, num_heads, query_len): the product of each output with its gradient."""
    batch = (tl.program_id(1) // num_heads).to(tl.int64)
    head = (tl.program_id(1) % num_heads).to(tl.int64)
    i = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    o = _load_rows(output + batch * o_b + head * o_h, i, query_len, o_t, HEAD_DIM).to(tl.float32)
    g = _load_rows(grad_output + batch * g_b + head * g_h, i, query_len, g_t, HEAD_DIM).to(tl.float32)
    tl.store(delta + (batch * num_heads + head) * query_len + i, tl.sum(o * g, 1), mask=i < query_len)
