"""The decode engine's ops over plain tensors: pack a decoder once, start a generation, run it in parts, read it.

What the engine computes is `amt.decoding.generate` over `MusicTransformer`; float32 weights give the same tokens.
Settings cross to C++ by name (`amt.named_values`): those of a search are the fields of `SearchOptions` and
`GenerationPlan` in csrc/engine, which have the names of `amt.GenerationConfig`.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping, Sequence
from typing import Literal

import torch

from amt.named_values import named_values
from amt.ops.native import chosen_kernel_set, ops, translated, translated_errors

EngineDtype = Literal["float32", "bfloat16", "int8"]
ENGINE_DTYPES: tuple[EngineDtype, ...] = ("float32", "bfloat16", "int8")
STAGES = ("matmul", "attention", "rows", "choice")
MAX_ROWS = 64  # of one prompt
FINISH_REASONS = ("running", "eos", "length", "stopped")  # FinishReason of csrc/engine/search_options.h
ALIGNMENT = 64


@dataclasses.dataclass(frozen=True)
class DecoderShape:
    """The sizes of a decoder; `hidden_size` is what the second linear layer of its feed-forward networks reads.

    `num_feature_columns`: of the table of state features; 0: it has none. The last two are those of `ModelConfig`.
    """

    vocab_size: int
    d_model: int
    num_heads: int
    num_layers: int
    hidden_size: int
    max_sequence_length: int
    norm_first: bool
    activation: str
    positions: str
    num_feature_columns: int = 0
    rotary_time: bool = False
    qk_norm: bool = False
    attention_window: int = 0
    cross_attention_layers: int = 0


@dataclasses.dataclass(frozen=True)
class PromptRows:
    """The rows of one prompt: greedy, its beams, or some of its samples.

    Attributes:
        memory: the number of its text.
        prefix: the tokens it begins with.
        max_new_tokens: how many may follow.
        seed: for sampling.
        first_sequence: the number of its first row among the samples of the prompt, for the random numbers.
        negative_memory: the number of the text that guidance leads away from; all prompts have one, or none has.
        num_bars: how many bars the music is to have, for state features; 0: unknown.
        grammar: the number of its constraints.
        history: the whole piece up to the first new token, where the prefix is only its end; empty: the prefix is it.
        num_before: how many of its tokens were written in windows before.
        tokens_left: how many may follow in the whole piece; 0: max_new_tokens.
        room: for how many tokens behind the prefix there is room, see `Generation.restart`; 0: max_new_tokens.
    """

    memory: int
    prefix: Sequence[int]
    max_new_tokens: int
    seed: int = 0
    first_sequence: int = 0
    negative_memory: int | None = None
    num_bars: int = 0
    grammar: int = 0
    history: Sequence[int] = ()
    num_before: int = 0
    tokens_left: int = 0
    room: int = 0


@dataclasses.dataclass(frozen=True)
class RowResult:
    """What a row has come to: `token_ids` with its prefix, one log-probability for each new token."""

    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    score: float
    finish_reason: str


@dataclasses.dataclass(frozen=True)
class PromptStatus:
    """Where the first row of a prompt stands; `failure` says what ended it, if something did."""

    num_new_tokens: int
    is_done: bool
    finish_reason: str
    failure: str


def empty_block(num_bytes: int) -> torch.Tensor:
    """Bytes that begin at a multiple of 64; not written to."""
    block = torch.empty(num_bytes + ALIGNMENT, dtype=torch.uint8, device="cpu")
    skip = -block.data_ptr() % ALIGNMENT
    return block[skip : skip + num_bytes]


def pack_decoder(shape: DecoderShape, tensors: Sequence[torch.Tensor], dtype: EngineDtype) -> torch.Tensor:
    """The weights of a decoder in the order in which they are read, as bytes.

    Args:
        shape: the sizes.
        tensors: float32, in the order of `PackedDecoder::pack` in csrc/engine/decoder.h; see
            `MusicTransformer.decoder_weights`.
        dtype: "float32" is exact; "bfloat16" rounds the weights and the cache; "int8" does so to 8 bits, activations
            too, with a scale for each output feature, row, and key or value of a head.

    Raises:
        ValueError: tensors that do not fit the shape, or NaN among them. BackendUnavailableError: no library.
    """
    text = named_values({**dataclasses.asdict(shape), "dtype": dtype})
    with translated_errors():
        packed = empty_block(ops().packed_decoder_bytes(text))
        ops().pack_decoder_(packed, text, [tensor.detach().float().contiguous() for tensor in tensors])
    return packed


def prompt_lists(prompts: Sequence[PromptRows], *, has_grammar: bool) -> dict[str, object]:
    """The prompts as lists by name: `PromptLists` of csrc/engine/generation_plan.h."""
    return {
        "memory": [prompt.memory for prompt in prompts],
        "prefix_len": [len(prompt.prefix) for prompt in prompts],
        "max_new_tokens": [prompt.max_new_tokens for prompt in prompts],
        "seed": [prompt.seed for prompt in prompts],
        "first_sequence": [prompt.first_sequence for prompt in prompts],
        "num_bars": [prompt.num_bars for prompt in prompts],
        "grammar": [prompt.grammar if has_grammar else -1 for prompt in prompts],
        "history_len": [len(prompt.history) for prompt in prompts],
        "num_before": [prompt.num_before for prompt in prompts],
        "tokens_left": [prompt.tokens_left for prompt in prompts],
        "room": [prompt.room for prompt in prompts],
        "negative_memory": [-1 if p.negative_memory is None else p.negative_memory for p in prompts],
    }


class Generation:
    """A batch of prompts on its way. Grammar, buffers and threads live as long as it does.

    Args:
        packed: from `pack_decoder`.
        options: of all prompts, by name: `mode` ("greedy", "sample" or "beams"), `num_rows` (beams, or samples of one
            prompt), `eos_token_id`, and those of `amt.GenerationConfig` that the engine reads. With
            `has_search=False` the caller chooses the tokens, with `append`.
        prompts: the prompts.
        memories: for each text keys and values (num_cross_layers, 2, num_heads, len, head_dim), float32.
        masks: for each text bool (len), True = may attend; or None.
        grammars: the text of a vocabulary, and the texts of constraints that prompts name by number; None: none.
        features: the text of the model's state features, see `amt.midi.features.layout_text`; empty: it has none.
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
        options: Mapping[str, object],
        prompts: Sequence[PromptRows],
        memories: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor | None],
        *,
        grammars: tuple[str, Sequence[str]] | None = None,
        features: str = "",
        isa: str | None = None,
        num_threads: int | None = None,
    ):
        self.packed = packed
        self.isa = chosen_kernel_set(isa)
        self.num_threads = num_threads or torch.get_num_threads()
        self.num_rows = int(str(options.get("num_rows", 1)))
        self.num_prompts = len(prompts)
        self.max_len = max(len(each.prefix) + max(each.max_new_tokens, each.room) for each in prompts)
        self.stage_seconds = dict.fromkeys(STAGES, 0.0)
        self._progress = torch.zeros(3 + len(STAGES), dtype=torch.int64, device="cpu")
        self._status = torch.zeros(3, dtype=torch.int64, device="cpu")
        self._run = ops().generation_run_.default
        self._new_ids, self._new_log_probs = (
            torch.zeros(MAX_ROWS, dtype=torch.int32, device="cpu"),
            torch.zeros(MAX_ROWS, dtype=torch.float32, device="cpu"),
        )
        self._new = self._new_ids.numpy(), self._new_log_probs.numpy()  # the same memory
        with translated_errors():
            self._number: int = ops().generation_start(
                packed,
                named_values(options),
                named_values(prompt_lists(prompts, has_grammar=grammars is not None)),
                "" if grammars is None else grammars[0],
                [] if grammars is None else list(grammars[1]),
                features,
                [memory.float().contiguous() for memory in memories],
                [
                    torch.empty(0, dtype=torch.uint8, device="cpu") if mask is None else mask.to(torch.uint8)
                    for mask in masks
                ],
                torch.tensor([token for prompt in prompts for token in prompt.prefix], dtype=torch.int32, device="cpu"),
                torch.tensor(
                    [token for prompt in prompts for token in prompt.history], dtype=torch.int32, device="cpu"
                ),
            )
        weakref.finalize(self, ops().generation_end, self._number)

    def run(self, max_steps: int = 1 << 40, max_ms: int = 1 << 40, *, is_last: bool = False) -> tuple[int, bool]:
        """At most `max_steps` passes, none that begins later than `max_ms` after the first.

        With `is_last` every sequence takes one more token, and what has not ended is stopped by it: beams that still
        run compete for a place among the results.

        Returns:
            how many new tokens the longest rows of all prompts have together, and whether all is done.

        Raises:
            DecodingError: NaN logits or no legal token; what came before can still be read.
        """
        try:
            self._run(self._number, self._progress, self.num_threads, max_steps, max_ms, is_last, self.isa)
        except RuntimeError as error:
            raise translated(error) from None
        _, num_tokens, is_done, *times_ns = self._progress.tolist()
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
            parents = torch.arange(num_rows, device="cpu")
        with translated_errors():
            vocab_size: int = ops().packed_vocab_size(self.packed)
            logits = torch.empty(num_rows, num_tokens, vocab_size, dtype=torch.float32, device="cpu")
            ops().generation_append_(
                self._number,
                parents.to(torch.int32),
                token_ids.to(torch.int32).contiguous(),
                logits,
                self.num_threads,
                self.isa,
            )
        return logits

    def read(self) -> list[list[RowResult]]:
        """For each prompt what there is of its results, the best first."""
        shape = (self.num_prompts, self.num_rows)
        lengths = torch.zeros(*shape, 3, dtype=torch.int64, device="cpu")
        token_ids = torch.zeros(*shape, self.max_len, dtype=torch.int32, device="cpu")
        log_probs = torch.zeros(*shape, self.max_len, dtype=torch.float32, device="cpu")
        scores = torch.zeros(shape, dtype=torch.float64, device="cpu")
        with translated_errors():
            ops().generation_read_(self._number, lengths, token_ids, log_probs, scores)
            finish_reasons = str(ops().finish_reasons()).split(",")
        return [
            [
                RowResult(
                    tuple(token_ids[prompt, row, :length].tolist()),
                    tuple(log_probs[prompt, row, :num_new].tolist()),
                    float(scores[prompt, row]),
                    finish_reasons[reason],
                )
                for row, (length, num_new, reason) in enumerate(lengths[prompt].tolist())
                if length
            ]
            for prompt in range(self.num_prompts)
        ]

    def join(self, other: Generation) -> None:
        """Take over all prompts of another generation of the same weights, mode and rows; it ends.

        They stand behind those that are here, and come to what they would have come to. What goes wrong with one of
        them from now on is its own: see `status`.

        Raises:
            ValueError: the two do not go together.
        """
        with translated_errors():
            self.num_prompts = ops().generation_join(self._number, other._number)
        self.max_len = max(self.max_len, other.max_len)

    def leave(self, prompt: int) -> None:
        """Forget a prompt and its memory, done or not; those behind it move up."""
        with translated_errors():
            ops().generation_leave(self._number, prompt)
        self.num_prompts -= 1

    def restart(
        self,
        prompt: int,
        prefix: Sequence[int],
        max_new_tokens: int,
        *,
        first_sequence: int = 0,
        history: Sequence[int] = (),
        num_before: int = 0,
        tokens_left: int = 0,
    ) -> None:
        """Let a prompt that is done begin anew with this prefix: see `PromptRows`. Not with beams.

        The model does not read again what the prefix has in common with one of the rows so far.

        Raises:
            ValueError: something does not fit.
        """
        with translated_errors():
            ops().generation_restart(
                self._number,
                prompt,
                torch.tensor(prefix, dtype=torch.int32, device="cpu"),
                max_new_tokens,
                first_sequence,
                torch.tensor(history, dtype=torch.int32, device="cpu"),
                num_before,
                tokens_left,
            )

    def status(self, prompt: int) -> PromptStatus:
        """Where a prompt stands."""
        with translated_errors():
            failure = str(ops().generation_status_(self._number, prompt, self._status))
            num_new_tokens, is_done, reason = self._status.tolist()
            return PromptStatus(num_new_tokens, bool(is_done), str(ops().finish_reasons()).split(",")[reason], failure)

    def new_tokens(self, first: int, group: int = 0) -> list[tuple[int, float]]:
        """Of the first row of a prompt: its new tokens from number `first` on, with their log-probabilities."""
        token_ids, log_probs = self._new
        read = ops().generation_new_tokens_.default
        found: list[tuple[int, float]] = []
        while True:
            try:
                num: int = read(self._number, group, first + len(found), self._new_ids, self._new_log_probs)
            except RuntimeError as error:
                raise translated(error) from None
            found += zip(token_ids[:num].tolist(), log_probs[:num].tolist(), strict=True)
            if num < MAX_ROWS:
                return found
