"""The decode engine's ops over plain tensors: pack a decoder once, start a generation, run it in parts, read it.

A generation is one block of bytes: it may be cloned, and the clone goes on by itself. What the engine computes is
`amt.decoding.generate` over `MusicTransformer`; float32 weights give the same tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import torch

from amt.ops.native import chosen_kernel_set, ops, translated_errors

WeightType = Literal["float32", "bfloat16", "int8"]
WEIGHT_TYPES: tuple[WeightType, ...] = ("float32", "bfloat16", "int8")
ACTIVATIONS = ("relu", "gelu", "swiglu")
POSITIONS = ("sinusoidal", "rotary", "relative")
MODES = ("greedy", "sample", "beams")
FINISH_REASONS = ("running", "eos", "length", "stopped")
STAGES = ("matmul", "attention", "rows", "choice")
MAX_ROWS = 64  # of one group
ALIGNMENT = 64


@dataclasses.dataclass(frozen=True)
class DecoderShape:
    """The sizes of a decoder; `hidden_size` is what the second linear layer of its feed-forward networks reads."""

    vocab_size: int
    d_model: int
    num_heads: int
    num_layers: int
    hidden_size: int
    max_sequence_length: int
    norm_first: bool
    activation: str
    positions: str

    def numbers(self, weights: WeightType) -> list[int]:
        """As the ops take it."""
        return [
            self.vocab_size,
            self.d_model,
            self.num_heads,
            self.num_layers,
            self.hidden_size,
            self.max_sequence_length,
            int(self.norm_first),
            ACTIVATIONS.index(self.activation),
            POSITIONS.index(self.positions),
            WEIGHT_TYPES.index(weights),
        ]


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """How a group chooses its tokens; the other fields are those of `amt.GenerationConfig`.

    `mode` None: it does not, the caller does, with `append`. `num_rows`: beams, or samples of one prompt. With
    `prompt_lookup_num_tokens` a pass may give several tokens.
    """

    mode: Literal["greedy", "sample", "beams"] | None = None
    num_rows: int = 1
    eos_token_id: int = 2
    min_new_tokens: int = 0
    no_repeat_ngram_size: int = 0
    top_k: int = 0
    early_stopping: bool | str = False
    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    length_penalty: float = 1.0
    guidance_scale: float = 1.0
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | None = None
    suppress_tokens: Sequence[int] = ()
    begin_suppress_tokens: Sequence[int] = ()
    prompt_lookup_num_tokens: int = 0
    max_matching_ngram_size: int = 8


@dataclasses.dataclass(frozen=True)
class Group:
    """One prompt: the number of its memory, the tokens it begins with, how many may follow.

    `first_sequence` is the number of its first row among the samples of the prompt, for the random numbers.
    `negative_memory`: the memory that guidance leads away from; all groups of a generation have one, or none has.
    """

    memory: int
    prefix: Sequence[int]
    max_new_tokens: int
    seed: int = 0
    first_sequence: int = 0
    negative_memory: int | None = None


@dataclasses.dataclass(frozen=True)
class RowResult:
    """What a row has come to: `token_ids` with its prefix, one log-probability for each new token."""

    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    score: float
    finish_reason: str


def empty_block(num_bytes: int) -> torch.Tensor:
    """Bytes that begin at a multiple of 64; not written to."""
    block = torch.empty(num_bytes + ALIGNMENT, dtype=torch.uint8)
    skip = -block.data_ptr() % ALIGNMENT
    return block[skip : skip + num_bytes]


def pack_decoder(shape: DecoderShape, tensors: Sequence[torch.Tensor], weights: WeightType) -> torch.Tensor:
    """The weights of a decoder in the order in which they are read, as bytes.

    Args:
        shape: the sizes.
        tensors: float32, in the order of `PackedDecoder::pack` in csrc/engine/decoder.h; see
            `MusicTransformer.decoder_weights`.
        weights: "float32" is exact; "bfloat16" rounds the weights and the cache; "int8" does so to 8 bits, activations
            too, with a scale for each output feature, row, and key or value of a head.

    Raises:
        ValueError: tensors that do not fit the shape, or NaN among them. BackendUnavailableError: no library.
    """
    numbers = shape.numbers(weights)
    with translated_errors():
        packed = empty_block(ops().packed_decoder_bytes(numbers))
        ops().pack_decoder_(packed, numbers, [tensor.detach().float().contiguous() for tensor in tensors])
    return packed


class Generation:
    """A batch of groups on its way.

    Args:
        packed: from `pack_decoder`.
        options: of all groups.
        groups: the prompts.
        memories: for each text keys and values (num_layers, 2, num_heads, len, head_dim), float32.
        masks: for each text bool (len), True = may attend; or None.
        grammar: the numbers of `make_grammar` in csrc/engine/generation.h; empty: none.
        isa: an instruction set; see `amt.ops.native.chosen_kernel_set`.
        num_threads: default: torch's.

    Attributes:
        stage_seconds: how long `run` has spent in matrix products, attention, other work on rows and choosing tokens.

    Raises:
        ValueError: something does not fit, with the number of the prompt.
    """

    def __init__(
        self,
        packed: torch.Tensor,
        options: SearchOptions,
        groups: Sequence[Group],
        memories: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor | None],
        *,
        grammar: Sequence[int] = (),
        isa: str | None = None,
        num_threads: int | None = None,
    ):
        self.packed = packed
        self.options = options
        self.isa = chosen_kernel_set(isa)
        self.num_threads = num_threads or torch.get_num_threads()
        self.max_len = max(len(group.prefix) + group.max_new_tokens for group in groups)
        self.num_groups = len(groups)
        self.stage_seconds = dict.fromkeys(STAGES, 0.0)
        early_stopping = ("false", "true", "never").index(str(options.early_stopping).lower())
        rows = [
            # A seed is an unsigned number in a signed tensor.
            [
                g.memory,
                len(g.prefix),
                g.max_new_tokens,
                g.seed - (1 << 64) * (g.seed >> 63),
                g.first_sequence,
                -1 if g.negative_memory is None else g.negative_memory,
            ]
            for g in groups
        ]
        arguments = (
            [
                int(options.mode is not None),
                MODES.index(options.mode or "greedy"),
                options.num_rows,
                options.eos_token_id,
                options.min_new_tokens,
                options.no_repeat_ngram_size,
                options.top_k,
                early_stopping,
                *(
                    -1 if token is None else token
                    for token in (options.forced_bos_token_id, options.forced_eos_token_id)
                ),
                options.prompt_lookup_num_tokens,
                options.max_matching_ngram_size,
                len(options.suppress_tokens),
                *options.suppress_tokens,
                *options.begin_suppress_tokens,
            ],
            [
                options.temperature,
                options.top_p,
                options.min_p,
                options.repetition_penalty,
                options.length_penalty,
                options.guidance_scale,
            ],
            list(grammar),
            [memory.float().contiguous() for memory in memories],
            [torch.empty(0, dtype=torch.uint8) if mask is None else mask.to(torch.uint8) for mask in masks],
            torch.tensor(rows, dtype=torch.int64),
            torch.tensor([token for group in groups for token in group.prefix], dtype=torch.int32),
        )
        with translated_errors():
            self.state = empty_block(ops().generation_bytes(packed, *arguments))
            ops().generation_start_(self.state, packed, *arguments)

    def run(self, max_steps: int = 1 << 40, max_ms: int = 1 << 40, *, is_last: bool = False) -> tuple[int, bool]:
        """At most `max_steps` passes, none that begins later than `max_ms` after the first.

        With `is_last` every sequence takes one more token, and what has not ended is stopped by it: beams that still
        run compete for a place among the results.

        Returns:
            how many new tokens the longest rows of all groups have together, and whether all is done.

        Raises:
            DecodingError: NaN logits or no legal token; what came before can still be read.
        """
        progress = torch.zeros(3 + len(STAGES), dtype=torch.int64)
        with translated_errors():
            ops().generation_run_(
                self.state, self.packed, progress, self.num_threads, max_steps, max_ms, is_last, self.isa
            )
        _, num_tokens, is_done, *times_ns = progress.tolist()
        for stage, time_ns in zip(STAGES, times_ns, strict=True):
            self.stage_seconds[stage] += time_ns * 1e-9
        return num_tokens, bool(is_done)

    def append(self, token_ids: torch.Tensor, parents: torch.Tensor | None = None) -> torch.Tensor:
        """Without a search: row r becomes a copy of row parents[r], then takes token_ids (num_rows, num_tokens).

        Returns:
            the logits of the token after each, (num_rows, num_tokens, vocab_size), float32.
        """
        num_rows, num_tokens = token_ids.shape
        if parents is None:
            parents = torch.arange(num_rows)
        logits = torch.empty(num_rows, num_tokens, self.vocab_size)
        with translated_errors():
            ops().generation_append_(
                self.state,
                self.packed,
                parents.to(torch.int32),
                token_ids.to(torch.int32).contiguous(),
                logits,
                self.num_threads,
                self.isa,
            )
        return logits

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""
        return int(ops().packed_decoder_shape(self.packed)[0])

    def read(self) -> list[list[RowResult]]:
        """For each group what there is of its results, the best first."""
        lengths, token_ids, log_probs, scores = self._read()
        return [
            [
                RowResult(
                    tuple(token_ids[group, row, :length].tolist()),
                    tuple(log_probs[group, row, :num_new].tolist()),
                    float(scores[group, row]),
                    FINISH_REASONS[reason],
                )
                for row, (length, num_new, reason) in enumerate(lengths[group].tolist())
                if length
            ]
            for group in range(self.num_groups)
        ]

    def read_new(self, first: int) -> list[tuple[int, float]]:
        """Of the first row of the first group: its new tokens from number `first` on, with their log-probabilities."""
        lengths, token_ids, log_probs, _ = self._read()
        length, num_new, _ = lengths[0, 0].tolist()
        ids = token_ids[0, 0, length - num_new + first : length].tolist()
        return list(zip(ids, log_probs[0, 0, first:num_new].tolist(), strict=True))

    def _read(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        shape = (self.num_groups, self.options.num_rows)
        lengths = torch.zeros(*shape, 3, dtype=torch.int64)
        token_ids = torch.zeros(*shape, self.max_len, dtype=torch.int32)
        log_probs = torch.zeros(*shape, self.max_len)
        scores = torch.zeros(shape, dtype=torch.float64)
        with translated_errors():
            ops().generation_read_(self.state, self.packed, lengths, token_ids, log_probs, scores)
        return lengths, token_ids, log_probs, scores
