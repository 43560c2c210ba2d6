"""Fused attention in Triton, forward and backward: `amt/ops/reference/attention.py` without its score matrix.

Tensors are (batch, num_heads, seq_len, head_dim) with any strides but a last one of 1. A tile is BLOCK_Q queries by
BLOCK_K keys. Scores are kept in units of log2(e), so that softmax is a power of two. Tiles that need no mask take a
loop of their own. Nothing is added by atomics: two runs give the same bits.

Four kernels: forward; the product of each output with its gradient (`delta`); gradients of keys and values, one program
for a tile of keys; gradients of queries and of the relative bias, one program for a tile of queries. The last two
compute the weights again from `lse`.

All programs lie on one axis of the grid, tile by tile of a head, head by head: the other axes end at 65,535. Numbers
that change from call to call, such as lengths, are not compiled in.

Source: Dao 2023, arXiv:2307.08691; the loops' order and the tile sizes are ours.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)
DROPOUT = tl.constexpr(1)  # amt.ops.reference.philox.DROPOUT
FAR = tl.constexpr(1 << 30)  # how far a query sees that is not causal
GROUP = tl.constexpr(16)  # columns that share a draw: 8 bits each
# What is not compiled in: a new value needs no new kernel.
NUMBERS = (
    "num_tiles", "num_heads", "query_len", "key_len", "lengths_step", "is_causal", "max_distance", "diagonals_len",
    "threshold",
)  # fmt: skip
kernel = triton.jit(do_not_specialize=NUMBERS)


@triton.jit
def _locate(
    tiles, cu_query, cu_key, query_len, key_len, num_heads, tile, head, BLOCK: tl.constexpr, IS_PACKED: tl.constexpr
):  # fmt: skip
    """Where a program works: (batch, head, sequence, first row of the tile, then start and length of the sequence
    among the queries and among the keys). Rows count from the start. A packed tile without a sequence has -1.

    Args:
        head: the number of the head, counted over all batches.
    """
    if IS_PACKED:
        sequence = tl.load(tiles + 2 * tile)
        first = tl.load(tiles + 2 * tile + 1)
        known = tl.maximum(sequence, 0)
        query_start = tl.load(cu_query + known)
        key_start = tl.load(cu_key + known)
        sequence_query_len = tl.load(cu_query + known + 1) - query_start
        sequence_key_len = tl.load(cu_key + known + 1) - key_start
        return head * 0, head, sequence, first, query_start, sequence_query_len, key_start, sequence_key_len
    else:
        batch = head // num_heads
        start = batch * 0
        return batch, head % num_heads, batch, tile * BLOCK, start, query_len, start, key_len


@triton.jit
def _keys_of_tile(
    key_lengths, lengths_step, key_prefixes, sequence, sequence_key_len, first, reach,
    BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, HAS_MASK: tl.constexpr,
):  # fmt: skip
    """Of the queries from `first` on: where real keys end, where tiles that need no mask end, where all tiles end.

    Before key_prefixes no key is hidden by a mask, behind key_lengths every one is.
    """
    key_end = tl.minimum(sequence_key_len, tl.load(key_lengths + sequence * lengths_step))
    last = key_end
    unmasked = key_end // BLOCK_K * BLOCK_K
    if HAS_MASK:
        unmasked = tl.load(key_prefixes + sequence) // BLOCK_K * BLOCK_K
    last = tl.maximum(tl.minimum(last, first + BLOCK_Q + reach), 0)
    unmasked = tl.minimum(unmasked, tl.maximum(first + reach + 1, 0) // BLOCK_K * BLOCK_K)
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
def _may_attend(i, j, reach, key_end, key_mask, HAS_MASK: tl.constexpr):
    """Whether each query may attend to each key; i and j broadcast to the tile, whichever comes first."""
    may_attend = (j < key_end) & (j <= i + reach)
    if HAS_MASK:
        may_attend = may_attend & (tl.load(key_mask + j, mask=j < key_end, other=0) != 0)
    return may_attend


@triton.jit
def _bias(bias, i, j, offset, max_distance):
    """The bias of each query and key, times log2(e); i and j broadcast to the tile."""
    distance = tl.minimum(tl.maximum(j - (i + offset), -max_distance), max_distance)
    return tl.load(bias + distance + max_distance) * LOG2_E


@triton.jit
def _draws(seed, row, group, batch_head):
    """The 16 draws of each row and group: (..., word, half, byte); see `amt.ops.reference.attention.kept_weights`."""
    row, group = tl.broadcast(row.to(tl.uint32), group.to(tl.uint32))
    nothing = row * 0
    w0, w1, w2, w3 = tl.philox(seed, row, group, nothing + batch_head.to(tl.uint32), nothing + DROPOUT)
    words = tl.join(tl.join(w0, w2), tl.join(w1, w3))
    words = tl.reshape(words, (words.shape[0], words.shape[1], 4))
    halves = tl.join(words & 0xFFFF, words >> 16)
    return tl.join(halves & 0xFF, halves >> 8)


@triton.jit
def _kept(seed, i, first_column, batch_head, threshold, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr):
    """Which weights of a tile dropout keeps, queries by keys.

    Draws lie as the matrix instructions' results do: a thread that holds columns 2n, 2n + 1, 8 + 2n, 9 + 2n of 16 needs
    word n alone.
    """
    group = first_column // GROUP + tl.arange(0, BLOCK_K // GROUP)
    draws = _draws(seed, i[:, None], group[None, :], batch_head)  # (queries, groups, words, halves, bytes)
    return tl.reshape(tl.permute(draws, (0, 1, 3, 2, 4)), (BLOCK_Q, BLOCK_K)) >= threshold


@triton.jit
def _kept_turned(seed, i, first_column, batch_head, threshold, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr):
    """As `_kept`, keys by queries."""
    group = first_column // GROUP + tl.arange(0, BLOCK_K // GROUP)
    draws = _draws(seed, i[None, :], group[:, None], batch_head)  # (groups, queries, words, halves, bytes)
    return tl.reshape(tl.permute(draws, (0, 3, 2, 4, 1)), (BLOCK_K, BLOCK_Q)) >= threshold


@triton.jit
def _attend(
    total, row_max, row_sum, q, key, value, i, first, last, k_t, v_t, scale, offset, reach, key_end, sequence_key_len,
    key_mask, bias, max_distance, seed, batch_head, threshold,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr, IS_MASKED: tl.constexpr,
):  # fmt: skip
    """Take the keys first .. last into the weighted sum of values, with the running maximum and sum of each row."""
    for start in tl.range(first, last, BLOCK_K):
        j = start + tl.arange(0, BLOCK_K)
        k = _load_rows(key, j, sequence_key_len, k_t, HEAD_DIM)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee")
        factor = scale * LOG2_E
        if HAS_BIAS:
            scores = scores * factor + _bias(bias, i[:, None], j[None, :], offset, max_distance)
            factor = 1.0
        if IS_MASKED:
            may = _may_attend(i[:, None], j[None, :], reach, key_end, key_mask, HAS_MASK)
            scores = tl.where(may, scores, float("-inf"))
        # The largest is found before the scale, which is positive: so each number takes one multiply-add.
        new_max = tl.maximum(row_max, tl.max(scores, 1) * factor)
        shift = tl.where(new_max == float("-inf"), 0.0, new_max)  # of a row that has seen no key yet
        weights = tl.exp2(scores * factor - shift[:, None])
        faded = tl.exp2(row_max - shift)
        row_sum = row_sum * faded + tl.sum(weights, 1)
        if HAS_DROPOUT:
            weights = tl.where(_kept(seed, i, start, batch_head, threshold, BLOCK_Q, BLOCK_K), weights, 0.0)
        v = _load_rows(value, j, sequence_key_len, v_t, HEAD_DIM)
        total = tl.dot(weights.to(v.dtype), v, total * faded[:, None], input_precision="ieee")
        row_max = new_max
    return total, row_max, row_sum


@kernel
def forward_kernel(
    query, key, value, output, lse, key_mask, key_lengths, key_prefixes, bias, seed, tiles, cu_query, cu_key,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, o_b, o_h, o_t,
    num_tiles, num_heads, query_len, key_len, lengths_step, is_causal, max_distance, scale,
    threshold, keep_scale, HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr,
    IS_PACKED: tl.constexpr,
):  # fmt: skip
    """A tile of queries: output and lse."""
    tile = num_tiles - 1 - tl.program_id(0) % num_tiles  # the late tiles of a causal product have most to do
    batch, head, sequence, first, query_start, query_end, key_start, sequence_key_len = _locate(
        tiles, cu_query, cu_key, query_len, key_len, num_heads, tile, tl.program_id(0) // num_tiles, BLOCK_Q, IS_PACKED
    )
    if sequence < 0:
        return
    batch = tl.cast(batch, tl.int64)
    batch_head = sequence * num_heads + head
    i = first + tl.arange(0, BLOCK_Q)
    offset = sequence_key_len - query_end
    reach = tl.where(is_causal != 0, offset, FAR)
    key_end, unmasked, last = _keys_of_tile(
        key_lengths, lengths_step, key_prefixes, sequence, sequence_key_len, first, reach,
        BLOCK_Q, BLOCK_K, HAS_MASK,
    )  # fmt: skip
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
    total, row_max, row_sum = _attend(
        total, row_max, row_sum, q, key, value, i, 0, unmasked, k_t, v_t, scale, offset, reach, key_end,
        sequence_key_len, key_mask, bias, max_distance, seed, batch_head, threshold,
        HEAD_DIM, BLOCK_Q, BLOCK_K, HAS_MASK, HAS_BIAS, HAS_DROPOUT, False,
    )  # fmt: skip
    total, row_max, row_sum = _attend(
        total, row_max, row_sum, q, key, value, i, unmasked, last, k_t, v_t, scale, offset, reach, key_end,
        sequence_key_len, key_mask, bias, max_distance, seed, batch_head, threshold,
        HEAD_DIM, BLOCK_Q, BLOCK_K, HAS_MASK, HAS_BIAS, HAS_DROPOUT, True,
    )  # fmt: skip
    is_empty = row_sum == 0.0
    factor = tl.where(is_empty, 0.0, keep_scale / tl.where(is_empty, 1.0, row_sum))
    _store_rows(output, i, query_end, o_t, total * factor[:, None], HEAD_DIM)
    row_lse = (row_max + tl.log2(tl.where(is_empty, 1.0, row_sum))) * LN_2
    tl.store(lse + i, row_lse, mask=i < query_end)


@triton.jit
def _load_lse(lse, i, query_end):
    """Behind the end, and for rows without keys, inf: their weights become 0."""
    row_lse = tl.load(lse + i, mask=i < query_end, other=float("inf"))
    return tl.where(row_lse == float("-inf"), float("inf"), row_lse)


@triton.jit
def _add_key_gradients(
    grad_k, grad_v, k, v, query, grad_output, lse, delta, j, first_key, first, last, query_end, q_t, g_t, scale,
    offset, reach, key_end, key_mask, bias, max_distance, seed, batch_head, threshold, keep_scale,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr, IS_MASKED: tl.constexpr,
):  # fmt: skip
    """Add what the queries first .. last have to say about a tile of keys."""
    for start in tl.range(first, last, BLOCK_Q):
        i = start + tl.arange(0, BLOCK_Q)
        q = _load_rows(query, i, query_end, q_t, HEAD_DIM)
        grad = _load_rows(grad_output, i, query_end, g_t, HEAD_DIM)
        row_delta = tl.load(delta + i, mask=i < query_end, other=0.0)
        row_lse = _load_lse(lse, i, query_end) * LOG2_E
        # Keys by queries: weights and gradients then lie as the products need them, and no tile is turned.
        scores = tl.dot(k, tl.trans(q), input_precision="ieee")
        if HAS_BIAS:
            scores = scores * (scale * LOG2_E) + _bias(bias, i[None, :], j[:, None], offset, max_distance)
            weights = tl.exp2(scores - row_lse[None, :])
        else:
            weights = tl.exp2(scores * (scale * LOG2_E) - row_lse[None, :])
        if IS_MASKED:
            may = _may_attend(i[None, :], j[:, None], reach, key_end, key_mask, HAS_MASK)
            weights = tl.where(may, weights, 0.0)
        grad_weights = tl.dot(v, tl.trans(grad), input_precision="ieee")
        kept_weights = weights
        if HAS_DROPOUT:
            kept = _kept_turned(seed, i, first_key, batch_head, threshold, BLOCK_Q, BLOCK_K)
            kept_weights = tl.where(kept, weights * keep_scale, 0.0)
            grad_weights = tl.where(kept, grad_weights * keep_scale, 0.0)
        grad_scores = weights * (grad_weights - row_delta[None, :])
        grad_v = tl.dot(kept_weights.to(grad.dtype), grad, grad_v, input_precision="ieee")
        grad_k = tl.dot(grad_scores.to(q.dtype), q, grad_k, input_precision="ieee")
    return grad_k, grad_v


@kernel
def key_value_gradient_kernel(
    query, key, value, grad_output, lse, delta, grad_key, grad_value,
    key_mask, key_lengths, key_prefixes, bias, seed, tiles, cu_query, cu_key,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, g_b, g_h, g_t, dk_b, dk_h, dk_t, dv_b, dv_h, dv_t,
    num_tiles, num_heads, query_len, key_len, lengths_step, is_causal, max_distance, scale,
    threshold, keep_scale, HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr,
    IS_PACKED: tl.constexpr,
):  # fmt: skip
    """A tile of keys: the gradients of the keys and their values."""
    batch, head, sequence, first, query_start, query_end, key_start, sequence_key_len = _locate(
        tiles,
        cu_query,
        cu_key,
        query_len,
        key_len,
        num_heads,
        tl.program_id(0) % num_tiles,
        tl.program_id(0) // num_tiles,
        BLOCK_K,
        IS_PACKED,
    )
    if sequence < 0:
        return
    batch = tl.cast(batch, tl.int64)
    batch_head = sequence * num_heads + head
    j = first + tl.arange(0, BLOCK_K)
    offset = sequence_key_len - query_end
    reach = tl.where(is_causal != 0, offset, FAR)
    key_end = tl.minimum(sequence_key_len, tl.load(key_lengths + sequence * lengths_step))
    # The first query that may attend to one of these keys, and the first of those that may attend to all of them.
    begin = tl.maximum(first - reach, 0) // BLOCK_Q * BLOCK_Q
    unmasked = tl.cdiv(tl.maximum(first + BLOCK_K - 1 - reach, 0), BLOCK_Q) * BLOCK_Q
    key_prefix = key_end
    if HAS_MASK:
        key_prefix = tl.load(key_prefixes + sequence)
        key_mask += batch * key_len
    if first + BLOCK_K > key_prefix:
        unmasked = query_end
    if first >= key_end:  # nobody attends to them
        begin = query_end
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
        grad_k, grad_v, k, v, query, grad_output, lse, delta, j, first, begin, tl.minimum(unmasked, query_end),
        query_end, q_t, g_t, scale, offset, reach, key_end, key_mask, bias, max_distance, seed, batch_head, threshold,
        keep_scale, HEAD_DIM, BLOCK_Q, BLOCK_K, HAS_MASK, HAS_BIAS, HAS_DROPOUT, True,
    )  # fmt: skip
    grad_k, grad_v = _add_key_gradients(
        grad_k, grad_v, k, v, query, grad_output, lse, delta, j, first, unmasked, query_end,
        query_end, q_t, g_t, scale, offset, reach, key_end, key_mask, bias, max_distance, seed, batch_head, threshold,
        keep_scale, HEAD_DIM, BLOCK_Q, BLOCK_K, HAS_MASK, HAS_BIAS, HAS_DROPOUT, False,
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
    grad_q, last_sums, diagonals, q, grad, row_lse, delta, key, value, i, first, last, k_t, v_t, scale, offset, reach,
    key_end, sequence_key_len, key_mask, bias, max_distance, seed, batch_head, threshold, keep_scale,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr, NEEDS_BIAS: tl.constexpr,
    IS_MASKED: tl.constexpr,
):  # fmt: skip
    """Add what the keys first .. last have to say about a tile of queries, and store sums of finished diagonals."""
    for start in tl.range(first, last, BLOCK_K):
        j = start + tl.arange(0, BLOCK_K)
        k = _load_rows(key, j, sequence_key_len, k_t, HEAD_DIM)
        v = _load_rows(value, j, sequence_key_len, v_t, HEAD_DIM)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee")
        if HAS_BIAS:
            scores = scores * (scale * LOG2_E) + _bias(bias, i[:, None], j[None, :], offset, max_distance)
            weights = tl.exp2(scores - row_lse[:, None])
        else:
            weights = tl.exp2(scores * (scale * LOG2_E) - row_lse[:, None])
        if IS_MASKED:
            may = _may_attend(i[:, None], j[None, :], reach, key_end, key_mask, HAS_MASK)
            weights = tl.where(may, weights, 0.0)
        grad_weights = tl.dot(grad, tl.trans(v), input_precision="ieee")
        if HAS_DROPOUT:
            kept = _kept(seed, i, start, batch_head, threshold, BLOCK_Q, BLOCK_K)
            grad_weights = tl.where(kept, grad_weights * keep_scale, 0.0)
        grad_scores = weights * (grad_weights - delta[:, None])
        grad_q = tl.dot(grad_scores.to(k.dtype), k, grad_q, input_precision="ieee")
        if NEEDS_BIAS:
            above, below = _diagonal_sums(grad_scores, BLOCK_Q, BLOCK_K)
            tl.store(diagonals + j, last_sums + below)
            last_sums = above
    return grad_q, last_sums


@kernel
def query_gradient_kernel(
    query, key, value, grad_output, lse, delta, grad_query, diagonals,
    key_mask, key_lengths, key_prefixes, bias, seed, tiles, cu_query, cu_key,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, g_b, g_h, g_t, dq_b, dq_h, dq_t,
    diagonals_len, num_tiles, num_heads, query_len, key_len, lengths_step, is_causal, max_distance, scale,
    threshold, keep_scale, HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_MASK: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_DROPOUT: tl.constexpr,
    IS_PACKED: tl.constexpr, NEEDS_BIAS: tl.constexpr,
):  # fmt: skip
    """A tile of queries: their gradient, and the sums of the scores' gradients along each diagonal of the tile's rows.

    diagonals (batch * num_heads, tiles, diagonals_len): place p holds the diagonal key - first row = p - BLOCK_K.
    """
    tile = num_tiles - 1 - tl.program_id(0) % num_tiles
    batch, head, sequence, first, query_start, query_end, key_start, sequence_key_len = _locate(
        tiles, cu_query, cu_key, query_len, key_len, num_heads, tile, tl.program_id(0) // num_tiles, BLOCK_Q, IS_PACKED
    )
    if sequence < 0:
        return
    batch = tl.cast(batch, tl.int64)
    batch_head = sequence * num_heads + head
    i = first + tl.arange(0, BLOCK_Q)
    offset = sequence_key_len - query_end
    reach = tl.where(is_causal != 0, offset, FAR)
    key_end, unmasked, last = _keys_of_tile(
        key_lengths, lengths_step, key_prefixes, sequence, sequence_key_len, first, reach,
        BLOCK_Q, BLOCK_K, HAS_MASK,
    )  # fmt: skip
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
        diagonals += ((tl.program_id(0) // num_tiles).to(tl.int64) * num_tiles + tile) * diagonals_len

    q = _load_rows(query, i, query_end, q_t, HEAD_DIM)
    grad = _load_rows(grad_output, i, query_end, g_t, HEAD_DIM)
    row_lse = _load_lse(lse, i, query_end) * LOG2_E
    row_delta = tl.load(delta + i, mask=i < query_end, other=0.0)
    grad_q = tl.zeros((BLOCK_Q, HEAD_DIM), tl.float32)
    sums = tl.zeros((BLOCK_K,), tl.float32)
    grad_q, sums = _add_query_gradients(
        grad_q, sums, diagonals, q, grad, row_lse, row_delta, key, value, i, 0, unmasked, k_t, v_t, scale, offset,
        reach, key_end, sequence_key_len, key_mask, bias, max_distance, seed, batch_head, threshold, keep_scale,
        HEAD_DIM, BLOCK_Q, BLOCK_K, HAS_MASK, HAS_BIAS, HAS_DROPOUT, NEEDS_BIAS, False,
    )  # fmt: skip
    grad_q, sums = _add_query_gradients(
        grad_q, sums, diagonals, q, grad, row_lse, row_delta, key, value, i, unmasked, last, k_t, v_t, scale, offset,
        reach, key_end, sequence_key_len, key_mask, bias, max_distance, seed, batch_head, threshold, keep_scale,
        HEAD_DIM, BLOCK_Q, BLOCK_K, HAS_MASK, HAS_BIAS, HAS_DROPOUT, NEEDS_BIAS, True,
    )  # fmt: skip
    if NEEDS_BIAS:
        tl.store(diagonals + tl.cdiv(last, BLOCK_K) * BLOCK_K + tl.arange(0, BLOCK_K), sums)
    _store_rows(grad_query, i, query_end, dq_t, grad_q * scale, HEAD_DIM)


@kernel
def delta_kernel(
    output, grad_output, delta, o_b, o_h, o_t, g_b, g_h, g_t, num_tiles, num_heads, query_len,
    HEAD_DIM: tl.constexpr, BLOCK_Q: tl.constexpr,
):  # fmt: skip
    """delta (batch, num_heads, query_len): the product of each output with its gradient."""
    row = tl.program_id(0) // num_tiles
    batch = (row // num_heads).to(tl.int64)
    head = (row % num_heads).to(tl.int64)
    i = tl.program_id(0) % num_tiles * BLOCK_Q + tl.arange(0, BLOCK_Q)
    o = _load_rows(output + batch * o_b + head * o_h, i, query_len, o_t, HEAD_DIM).to(tl.float32)
    g = _load_rows(grad_output + batch * g_b + head * g_h, i, query_len, g_t, HEAD_DIM).to(tl.float32)
    tl.store(delta + row.to(tl.int64) * query_len + i, tl.sum(o * g, 1), mask=i < query_len)
