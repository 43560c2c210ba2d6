"""Decoding by the compiled engine: whole batches at once, or as the model under the plain loops.

`Engine.decode` is the fast path: model, grammar, rules and search run in C++. An `Engine` is a `DecoderModel`, too:
where a call has parts that only Python knows (the user's processors or criteria, a grammar of their own), the loops of
`amt.decoding.plain.strategies` run over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch

from amt import stages
from amt.decoding.deadline import Deadline
from amt.decoding.hypothesis import FinishReason, Hypothesis, NewToken, NewTokens
from amt.decoding.prompts import Prompt
from amt.midi.grammar import Grammar
from amt.ops.decode import MAX_ROWS, WEIGHT_TYPES, Generation, Group, RowResult, SearchOptions, WeightType, pack_decoder
from amt.ops.native import chosen_kernel_set
from amt.request.options import GenerationConfig

CHUNK_MS = 50  # how long Python may wait for a Ctrl-C
MAX_BATCH_ROWS = 256  # rows that are run together; more come in turns
MAX_BATCH_BYTES = 1 << 30  # of their caches
_REASONS: dict[str, FinishReason] = {"eos": "eos", "length": "length", "stopped": "stopped", "running": "stopped"}


class EngineCache:
    """The rows of a generation that Python chooses the tokens of; see `amt.decoding.protocols.DecoderCache`."""

    def __init__(self, engine: Engine, memory_kv: torch.Tensor, memory_mask: torch.Tensor | None, num_rows: int = 1):
        self._engine, self._memory_kv, self._memory_mask = engine, memory_kv, memory_mask
        self._token_ids: list[list[int]] = [[] for _ in range(num_rows)]
        self._parents = torch.arange(num_rows)
        self._generation: Generation | None = None

    def append(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Logits of the tokens after these, (num_rows, num_tokens, vocab_size)."""
        if self._generation is None:
            self._generation = self._start(token_ids.shape[0])
        logits = self._generation.append(token_ids, self._parents)
        self._parents = torch.arange(token_ids.shape[0])
        rows = zip(self._token_ids, token_ids.tolist(), strict=True)
        self._token_ids = [[*before, *new] for before, new in rows]
        return logits

    def _start(self, num_rows: int) -> Generation:
        generation = self._engine.start_rows(self._memory_kv, self._memory_mask, num_rows)
        if self._token_ids[0]:  # what the rows have in common or not, they have read already
            generation.append(torch.tensor(self._token_ids))
        return generation

    def select(self, index: torch.Tensor) -> EngineCache:
        """The rows `index` of this cache. Where their number stays, the new cache takes the old one's place."""
        selected = EngineCache(self._engine, self._memory_kv, self._memory_mask, len(index))
        selected._token_ids = [self._token_ids[row] for row in index.tolist()]
        if self._generation is not None and len(index) == len(self._token_ids) > 1:
            selected._generation, self._generation = self._generation, None
            selected._parents = self._parents[index]
        return selected


class Engine:
    """A model's decoder, packed for the compiled engine.

    Args:
        model: a `MusicTransformer` on the CPU; its encoder goes on running in PyTorch.
        weights: "float32" gives the tokens of plain PyTorch; "bfloat16" and "int8" are faster and nearly as good.
        isa: an instruction set, for comparisons; default: that of AMT_CPU_ISA, else the fastest.
        num_threads: default: torch's, whenever something is decoded.

    Raises:
        BackendUnavailableError: the compiled library is missing, or has no such instruction set.
        ValueError: weights of no known type, or NaN among them.
    """

    def __init__(
        self, model: Any, weights: WeightType = "float32", *, isa: str | None = None, num_threads: int | None = None
    ):
        if weights not in WEIGHT_TYPES:
            raise ValueError(f"weights must be one of {', '.join(WEIGHT_TYPES)}; got {weights!r}")
        self.model, self.weights, self.config = model, weights, model.config
        self.isa, self.num_threads = chosen_kernel_set(isa), num_threads
        self.shape, tensors = model.decoder_weights()
        self.packed = pack_decoder(self.shape, tensors, weights)

    @property
    def backend(self) -> str:
        """What runs, in words."""
        return f"engine {self.weights} {self.isa}"

    def encode(self, text_embeddings: torch.Tensor, text_mask: torch.Tensor | None) -> torch.Tensor:
        """See `MusicTransformer.encode`."""
        return self.model.encode(text_embeddings, text_mask)  # type: ignore[no-any-return]

    def memory_kv(self, memory: torch.Tensor) -> torch.Tensor:
        """Keys and values of one text, (num_layers, 2, num_heads, len, head_dim)."""
        return torch.stack(self.model.decoder.project_memory(memory))[:, :, 0]

    def start_cache(self, memory: torch.Tensor, memory_mask: torch.Tensor | None) -> EngineCache:
        """See `MusicTransformer.start_cache`; for one text."""
        return EngineCache(self, self.memory_kv(memory), memory_mask)

    def decode_step(self, token_ids: torch.Tensor, cache: EngineCache) -> torch.Tensor:
        """See `MusicTransformer.decode_step`."""
        return cache.append(token_ids)

    def start_rows(self, memory_kv: torch.Tensor, memory_mask: torch.Tensor | None, num_rows: int) -> Generation:
        """A generation of which the caller chooses the tokens."""
        return Generation(
            self.packed,
            SearchOptions(num_rows=num_rows),
            [Group(0, [], self.shape.max_sequence_length)],
            [memory_kv],
            [None if memory_mask is None else memory_mask[0]],
            isa=self.isa,
            num_threads=self.num_threads,
        )

    def generate(
        self,
        text_embeddings: torch.Tensor,
        text_mask: torch.Tensor | None,
        config: GenerationConfig,
        **options: Any,
    ) -> list[list[Hypothesis]]:
        """`amt.decoding.generate` with this engine."""
        from amt.decoding.generate import generate

        return generate(self, text_embeddings, text_mask, config, **options)

    def decode(
        self,
        memories: Sequence[tuple[torch.Tensor, torch.Tensor | None]],
        prompts: Sequence[Prompt],
        config: GenerationConfig,
        *,
        eos_token_id: int,
        deadline: Deadline,
        grammar: Grammar | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> list[list[Hypothesis]]:
        """Decode checked prompts, all at once as far as memory allows.

        Args:
            memories: for each prompt `memory_kv` and the mask (len), or None; with guidance one more, of the negative
                text.
            prompts: the prompts.
            config: the options.
            eos_token_id: the token that ends a sequence.
            deadline: when it is over, the next token of each sequence is its last.
            grammar: the compiled one, or None.
            progress: called with the number of new tokens so far, over all prompts and sequences.

        Raises:
            DecodingError: NaN logits, or no legal token.
        """
        parts = _parts(config, len(prompts))
        finished: list[list[Hypothesis]] = [[] for _ in prompts]
        done = 0
        for mode, num_rows, batch in self._batches(parts, prompts, config):
            batch_memories = [*(memories[index] for index, _ in batch), *memories[len(prompts) :]]
            negative = _negative(batch_memories, len(batch))
            generation = Generation(
                self.packed,
                _options(config, mode, num_rows, eos_token_id),
                [
                    Group(place, prompt.prefix, prompt.max_new_tokens, prompt.seed or 0, first, negative)
                    for place, (prompt, first) in enumerate((prompts[index], first) for index, first in batch)
                ],
                [memory for memory, _ in batch_memories],
                [mask for _, mask in batch_memories],
                grammar=grammar_numbers(grammar),
                isa=self.isa,
                num_threads=self.num_threads,
            )
            is_done = False
            while not is_done:
                left_ms = min(CHUNK_MS, deadline.left_ms())
                num_tokens, is_done = generation.run(max_ms=left_ms, is_last=deadline.is_over())
                if progress:
                    progress(done + num_tokens * (num_rows if mode == "sample" else 1))
            for stage, seconds in generation.stage_seconds.items():
                stages.add(f"decode/{stage}", seconds)
            done += sum(prompts[index].max_new_tokens for index, _ in batch) * (num_rows if mode == "sample" else 1)
            for (index, _), rows in zip(batch, generation.read(), strict=True):
                seed = prompts[index].seed
                finished[index] += [_hypothesis(row, seed) for row in rows[: config.num_return_sequences]]
        return finished

    def stream(
        self,
        memories: Sequence[tuple[torch.Tensor, torch.Tensor | None]],
        prompt: Prompt,
        config: GenerationConfig,
        *,
        sequence: int,
        eos_token_id: int,
        deadline: Deadline,
        grammar: Grammar | None = None,
    ) -> NewTokens:
        """One greedy or sampled sequence, a step whenever a token is asked for; see `decode`."""
        generation = Generation(
            self.packed,
            _options(config, "sample" if config.do_sample else "greedy", 1, eos_token_id),
            [Group(0, prompt.prefix, prompt.max_new_tokens, prompt.seed or 0, sequence, _negative(memories, 1))],
            [memory for memory, _ in memories],
            [mask for _, mask in memories],
            grammar=grammar_numbers(grammar),
            isa=self.isa,
            num_threads=self.num_threads,
        )
        is_done = False
        num_given = 0
        while not is_done:
            _, is_done = generation.run(max_steps=1)
            for token_id, log_prob in generation.read_new(num_given):
                num_given += 1
                yield NewToken(token_id, log_prob)
            is_done = is_done or (deadline.is_over() and num_given > 0)
        return _hypothesis(generation.read()[0][0], prompt.seed)

    def _batches(
        self, parts: list[tuple[int, int, int]], prompts: Sequence[Prompt], config: GenerationConfig
    ) -> Iterator[tuple[Literal["greedy", "sample", "beams"], int, list[tuple[int, int]]]]:
        """Groups that are run together: mode, rows of each, and (prompt, first sequence) of each."""
        mode: Literal["greedy", "sample", "beams"] = "greedy"
        if config.num_beams > 1:
            mode = "beams"
        elif config.do_sample:
            mode = "sample"
        num_texts = 1 if config.guidance_scale == 1.0 else 2
        row_bytes = num_texts * 2 * self.shape.num_layers * self.shape.d_model * (4 if self.weights == "float32" else 2)
        batch: list[tuple[int, int]] = []
        batch_rows, batch_bytes, num_rows = 0, 0, 0
        for index, first, rows in parts:
            num_bytes = rows * row_bytes * (len(prompts[index].prefix) + prompts[index].max_new_tokens)
            is_full = num_texts * (batch_rows + rows) > MAX_BATCH_ROWS or batch_bytes + num_bytes > MAX_BATCH_BYTES
            if batch and (is_full or rows != num_rows):
                yield mode, num_rows, batch
                batch, batch_rows, batch_bytes = [], 0, 0
            batch.append((index, first))
            num_rows, batch_rows, batch_bytes = rows, batch_rows + rows, batch_bytes + num_bytes
        if batch:
            yield mode, num_rows, batch


def _parts(config: GenerationConfig, num_prompts: int) -> list[tuple[int, int, int]]:
    """(prompt, first sequence, rows) of each group: a prompt's samples may need several."""
    if config.num_beams > 1 or not config.do_sample:
        return [(index, 0, config.num_beams) for index in range(num_prompts)]
    total = config.num_return_sequences
    return [
        (index, first, min(MAX_ROWS, total - first))
        for index in range(num_prompts)
        for first in range(0, total, MAX_ROWS)
    ]


def _options(
    config: GenerationConfig, mode: Literal["greedy", "sample", "beams"], num_rows: int, eos_token_id: int
) -> SearchOptions:
    return SearchOptions(
        mode=mode,
        num_rows=num_rows,
        eos_token_id=eos_token_id,
        min_new_tokens=config.min_new_tokens,
        no_repeat_ngram_size=config.no_repeat_ngram_size,
        top_k=config.top_k,
        early_stopping=config.early_stopping,
        temperature=config.temperature,
        top_p=config.top_p,
        min_p=config.min_p,
        repetition_penalty=config.repetition_penalty,
        length_penalty=config.length_penalty,
        guidance_scale=config.guidance_scale,
        forced_bos_token_id=config.forced_bos_token_id,
        forced_eos_token_id=config.forced_eos_token_id,
        suppress_tokens=config.suppress_tokens,
        begin_suppress_tokens=config.begin_suppress_tokens,
        prompt_lookup_num_tokens=config.prompt_lookup_num_tokens,
        max_matching_ngram_size=config.max_matching_ngram_size,
    )


def _negative(memories: Sequence[object], num_prompts: int) -> int | None:
    """The place of the negative text, which stands behind those of the prompts."""
    return num_prompts if len(memories) > num_prompts else None


def _hypothesis(row: RowResult, seed: int | None) -> Hypothesis:
    return Hypothesis(row.token_ids, row.score, row.log_probs, _REASONS[row.finish_reason], seed)


def grammar_numbers(grammar: Grammar | None) -> list[int]:
    """A grammar as the engine takes it: the order of `make_grammar` in csrc/engine/generation.h."""
    if grammar is None:
        return []
    config, constraints = grammar.config, grammar.constraints
    unlimited = 1 << 40

    def given(value: int | None, default: int) -> int:
        return default if value is None else value

    programs = range(129) if constraints.programs is None else constraints.programs
    pitch_classes = range(12) if constraints.pitch_classes is None else constraints.pitch_classes
    return [
        int(config.preset == "score"),
        config.step_ms,
        config.steps_per_beat,
        config.max_time_shift,
        config.num_velocities,
        config.max_gap_steps,
        given(constraints.max_polyphony, unlimited),
        given(constraints.max_steps, unlimited),
        given(constraints.tempo_index, -1),
        given(constraints.time_signature_index, -1),
        len(config.tempos_bpm),
        *config.tempos_bpm,
        len(programs),
        *programs,
        len(pitch_classes),
        *pitch_classes,
    ]
