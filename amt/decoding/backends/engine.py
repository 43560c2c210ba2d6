"""The backend of the compiled engine: model, grammar, rules and search run in C++, whole batches at once.

An `Engine` is a `DecoderModel`, too: where a request has parts that only Python knows (the user's processors or
criteria, a grammar of their own), the plain loops run over it.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch

from amt import stages
from amt.config import check_choice
from amt.decoding.deadline import Deadline
from amt.decoding.hypothesis import FinishReason, Hypothesis, NewToken
from amt.decoding.plain.start import encode, exactly
from amt.decoding.protocols import DecoderModel
from amt.midi.features import layout_text
from amt.midi.grammar import Grammar
from amt.ops.decode import ENGINE_DTYPES, MAX_ROWS, EngineDtype, Generation, PromptRows, RowResult, pack_decoder
from amt.ops.native import chosen_kernel_set
from amt.request.options import GenerationConfig
from amt.request.request import Prompt, Request
from amt.side_by_side import side_by_side

if TYPE_CHECKING:
    from amt.request.request import Text

MAX_BATCH_ROWS = 256  # rows that are run together; more come in turns
MAX_BATCH_BYTES = 1 << 30  # of their caches
REASONS: dict[str, FinishReason] = {"eos": "eos", "length": "length", "stopped": "stopped", "running": "stopped"}


class Running(Protocol):
    """A batch of prompts on its way: see `amt.ops.decode.Generation`, whose methods these are."""

    stage_seconds: dict[str, float]

    def run(self, max_steps: int = ..., max_ms: int = ..., *, is_last: bool = ...) -> tuple[int, bool]:
        """Go on; how many new tokens there are, and whether all is done."""
        ...

    def new_tokens(self, first: int, group: int = ...) -> list[tuple[int, float]]:
        """Those of the first row of a prompt, with their log-probabilities."""
        ...

    def read(self) -> list[list[RowResult]]:
        """For each prompt what there is of its results."""
        ...


class EngineCache:
    """The rows of a generation that Python chooses the tokens of; see `amt.decoding.protocols.DecoderCache`."""

    def __init__(
        self,
        engine: Engine,
        memory_kv: torch.Tensor,
        memory_mask: torch.Tensor | None,
        num_rows: int = 1,
        num_bars: int = 0,
    ):
        self._engine, self._memory_kv, self._memory_mask = engine, memory_kv, memory_mask
        self._num_bars = num_bars
        self._token_ids: list[list[int]] = [[] for _ in range(num_rows)]
        self._parents = torch.arange(num_rows, device="cpu")
        self._generation: Generation | None = None

    def append(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Logits of the tokens after these, (num_rows, num_tokens, vocab_size)."""
        if self._generation is None:
            self._generation = self._start(token_ids.shape[0])
        logits = self._generation.append(token_ids, self._parents)
        self._parents = torch.arange(token_ids.shape[0], device="cpu")
        rows = zip(self._token_ids, token_ids.tolist(), strict=True)
        self._token_ids = [[*before, *new] for before, new in rows]
        return logits

    def _start(self, num_rows: int) -> Generation:
        generation = self._engine.start_rows(self._memory_kv, self._memory_mask, num_rows, self._num_bars)
        if self._token_ids[0]:  # what the rows have in common or not, they have read already
            generation.append(torch.tensor(self._token_ids, device="cpu"))
        return generation

    def select(self, index: torch.Tensor) -> EngineCache:
        """The rows `index` of this cache. Where their number stays, the new cache takes the old one's place."""
        selected = EngineCache(self._engine, self._memory_kv, self._memory_mask, len(index), self._num_bars)
        selected._token_ids = [self._token_ids[row] for row in index.tolist()]
        if self._generation is not None and len(index) == len(self._token_ids) > 1:
            selected._generation, self._generation = self._generation, None
            selected._parents = self._parents[index]
        return selected


class Engine:
    """A model's decoder, packed for the compiled engine.

    Args:
        model: a `MusicTransformer` on the CPU; its encoder goes on running in PyTorch.
        dtype: "float32" gives the tokens of plain PyTorch; "bfloat16" and "int8" are faster and nearly as good.
        isa: an instruction set, for comparisons; default: that of AMT_CPU_ISA, else the fastest.
        num_threads: default: torch's, whenever something is decoded.

    Raises:
        BackendUnavailableError: the compiled library is missing, or has no such instruction set.
        ValueError: no such dtype, or NaN among the weights.
    """

    def __init__(
        self, model: Any, dtype: EngineDtype = "float32", *, isa: str | None = None, num_threads: int | None = None
    ):
        check_choice("dtype", dtype, ENGINE_DTYPES)
        self.model, self.dtype, self.config = model, dtype, model.config
        self.isa, self.num_threads = chosen_kernel_set(isa), num_threads
        self.shape, tensors = model.decoder_weights()
        self.packed = pack_decoder(self.shape, tensors, dtype)
        self.features = "" if model.feature_layout is None else layout_text(model.feature_layout)

    @property
    def label(self) -> str:
        """What runs, in words."""
        return f"engine {self.dtype} {self.isa}"

    def encode(self, text_embeddings: torch.Tensor, text_mask: torch.Tensor | None) -> torch.Tensor:
        """See `MusicTransformer.encode`."""
        return self.model.encode(text_embeddings, text_mask)  # type: ignore[no-any-return]

    def memory_kv(self, memory: torch.Tensor) -> torch.Tensor:
        """Keys and values of one text, (num_cross_layers, 2, num_heads, len, head_dim)."""
        return torch.stack(self.model.decoder.project_memory(memory))[:, :, 0]

    def start_cache(self, memory: torch.Tensor, memory_mask: torch.Tensor | None, num_bars: int = 0) -> EngineCache:
        """See `MusicTransformer.start_cache`; for one text."""
        return EngineCache(self, self.memory_kv(memory), memory_mask, num_bars=num_bars)

    def decode_step(self, token_ids: torch.Tensor, cache: EngineCache) -> torch.Tensor:
        """See `MusicTransformer.decode_step`."""
        return cache.append(token_ids)

    def begin(
        self,
        options: dict[str, object],
        prompts: list[PromptRows],
        memories: list[torch.Tensor],
        masks: list[torch.Tensor | None],
        *,
        grammars: tuple[str, list[str]] | None,
    ) -> Running:
        """A generation of this decoder; see `amt.ops.decode.Generation`."""
        return Generation(
            self.packed,
            options,
            prompts,
            memories,
            masks,
            grammars=grammars,
            features=self.features,
            isa=self.isa,
            num_threads=self.num_threads,
        )

    def start_rows(
        self, memory_kv: torch.Tensor, memory_mask: torch.Tensor | None, num_rows: int, num_bars: int = 0
    ) -> Generation:
        """A generation of which the caller chooses the tokens."""
        return Generation(
            self.packed,
            {"has_search": False, "num_rows": num_rows},
            [PromptRows(0, [], self.shape.max_sequence_length, num_bars=num_bars)],
            [memory_kv],
            [None if memory_mask is None else memory_mask[0]],
            features=self.features,
            isa=self.isa,
            num_threads=self.num_threads,
        )


class EngineState:
    """A request on its way, all prompts at once as far as memory allows; see `amt.decoding.backends.State`."""

    def __init__(self, engine: Engine, request: Request, deadline: Deadline):
        self._engine, self._request, self._deadline = engine, request, deadline
        texts: list[tuple[Text, tuple[int, ...]]] = [(each.states, each.attributes) for each in request.prompts]
        self._memories = memories_of(engine, texts if request.negative is None else [*texts, (request.negative, ())])
        self._results: list[list[Hypothesis]] = [[] for _ in request.prompts]
        self._batches = list(_batches(engine, request))
        self._num_before, self._num_now, self._num_given = 0, 0, 0
        is_one = len(self._batches) == 1 and len(self._batches[0].parts) == len(request.prompts)
        self._only_batch = self._batches[0] if is_one else None
        self._generation = self._start(self._batches[0])

    @property
    def is_done(self) -> bool:
        return not self._batches

    @property
    def num_tokens(self) -> int:
        return self._num_before + self._num_now

    def step(self, num_steps: int, max_ms: int) -> None:
        batch, deadline = self._batches[0], self._deadline
        num_tokens, is_done = self._generation.run(
            num_steps, min(max_ms, deadline.left_ms()), is_last=deadline.is_over()
        )
        self._num_now = num_tokens * batch.num_sequences
        if is_done:
            self._finish(batch)

    def new_tokens(self) -> list[NewToken]:
        found = [NewToken(*token) for token in self._generation.new_tokens(self._num_given)]
        self._num_given += len(found)
        return found

    def read(self) -> list[list[Hypothesis]]:
        return self._results

    def go_on(self, prompts: Mapping[int, Prompt]) -> bool:
        batch, generation = self._only_batch, self._generation
        if batch is None or batch.mode == "beams" or not isinstance(generation, Generation):
            return False
        asked, places = list(self._request.prompts), {index: place for place, (index, _) in enumerate(batch.parts)}
        for index, prompt in prompts.items():
            asked[index] = prompt
            generation.restart(
                places[index],
                prompt.prefix,
                prompt.max_new_tokens,
                first_sequence=prompt.first_sequence,
                history=() if prompt.before is None else prompt.before.history,
                num_before=prompt.num_before,
                tokens_left=prompt.tokens_left,
            )
        self._request = dataclasses.replace(self._request, prompts=tuple(asked))
        self._results = [[] for _ in asked]
        self._batches, self._num_before, self._num_now = [batch], 0, 0
        return True

    def close(self) -> None:
        pass

    def _start(self, batch: _Batch) -> Running:
        prompts = [self._request.prompts[index] for index, _ in batch.parts]
        memories = [self._memories[index] for index, _ in batch.parts]
        negative = None
        if self._request.negative is not None:
            negative = len(memories)  # it stands behind those of the prompts
            memories.append(self._memories[-1])
        grammars = list(dict.fromkeys(prompt.grammar for prompt in prompts))
        return self._engine.begin(
            {
                "mode": batch.mode,
                "num_rows": batch.num_rows,
                "eos_token_id": self._request.eos_token_id,
                **engine_options(self._request.options),
            },
            [
                PromptRows(
                    place,
                    prompt.prefix,
                    prompt.max_new_tokens,
                    prompt.seed or 0,
                    prompt.first_sequence + first,
                    negative,
                    prompt.num_bars,
                    grammars.index(prompt.grammar),
                    () if prompt.before is None else prompt.before.history,
                    prompt.num_before,
                    prompt.tokens_left,
                    prompt.room,
                )
                for place, (prompt, (_, first)) in enumerate(zip(prompts, batch.parts, strict=True))
            ],
            [memory for memory, _ in memories],
            [mask for _, mask in memories],
            grammars=grammar_texts(grammars),
        )

    def _finish(self, batch: _Batch) -> None:
        for stage, seconds in self._generation.stage_seconds.items():
            stages.add(f"decode/{stage}", seconds)
            self._generation.stage_seconds[stage] = 0.0
        for (index, _), rows in zip(batch.parts, self._generation.read(), strict=True):
            prompt = self._request.prompts[index]
            self._num_before += prompt.max_new_tokens * batch.num_sequences
            rows = rows[: self._request.options.num_return_sequences]
            self._results[index] += [_hypothesis(row, prompt.seed) for row in rows]
        self._num_now = 0
        del self._batches[0]
        if self._batches:
            self._generation = self._start(self._batches[0])


def start(model: DecoderModel, request: Request, deadline: Deadline) -> EngineState:
    """Begin a request that `refusal` does not refuse; `model` is an `Engine`."""
    assert isinstance(model, Engine)
    return EngineState(model, request, deadline)


def refusal(request: Request) -> str | None:
    """Why the engine cannot decode a request by itself; None: it can."""
    if request.logits_processor:
        return "logits_processor is Python"
    if request.stopping_criteria:
        return "stopping_criteria is Python"
    for prompt in request.prompts:
        if prompt.grammar is not None and not (isinstance(prompt.grammar, Grammar) and prompt.grammar.is_native):
            return "the grammar is Python"
    return None


_engines: weakref.WeakKeyDictionary[Any, dict[EngineDtype, Engine]] = weakref.WeakKeyDictionary()


def packed_engine(model: Any, dtype: EngineDtype = "float32") -> Engine:
    """The engine of a model; packed when it is first asked for, kept as long as the model.

    Raises:
        BackendUnavailableError: the engine cannot run here.
    """
    engines = _engines.setdefault(model, {})
    if dtype not in engines:
        engines[dtype] = Engine(model, dtype)
    return engines[dtype]


def engine_options(options: GenerationConfig) -> dict[str, object]:
    """The options that the engine reads, by name: the rows of the table that say so."""
    fields = dataclasses.fields(options)
    return {field.name: getattr(options, field.name) for field in fields if field.metadata.get("engine")}


@dataclasses.dataclass(frozen=True)
class _Batch:
    """Prompts that are run together: (prompt, its first sequence) of each, and how many rows each has."""

    mode: Literal["greedy", "sample", "beams"]
    num_rows: int
    parts: list[tuple[int, int]]

    @property
    def num_sequences(self) -> int:
        return self.num_rows if self.mode == "sample" else 1


def _batches(engine: Engine, request: Request) -> Iterator[_Batch]:
    """The parts of a request in their order, as many together as fit; those of one number of rows."""
    options, prompts = request.options, request.prompts
    mode: Literal["greedy", "sample", "beams"] = "greedy"
    if options.num_beams > 1:
        mode = "beams"
    elif options.do_sample:
        mode = "sample"
    num_texts = 1 if request.negative is None else 2
    shape = engine.shape
    row_bytes = num_texts * 2 * shape.num_layers * shape.d_model * (4 if engine.dtype == "float32" else 2)
    batch: list[tuple[int, int]] = []
    batch_rows, batch_bytes, batch_kind = 0, 0, (0, None)
    for index, first, rows in _parts(options, len(prompts)):
        num_bytes = (
            rows * row_bytes * (len(prompts[index].prefix) + max(prompts[index].max_new_tokens, prompts[index].room))
        )
        is_full = num_texts * (batch_rows + rows) > MAX_BATCH_ROWS or batch_bytes + num_bytes > MAX_BATCH_BYTES
        kind: Any = rows, _vocabulary(prompts[index].grammar)
        if batch and (is_full or kind != batch_kind):
            yield _Batch(mode, batch_kind[0], batch)
            batch, batch_rows, batch_bytes = [], 0, 0
        batch.append((index, first))
        batch_kind, batch_rows, batch_bytes = kind, batch_rows + rows, batch_bytes + num_bytes
    if batch:
        yield _Batch(mode, batch_kind[0], batch)


def memories_of(
    engine: Engine, texts: Sequence[tuple[Text, tuple[int, ...]]]
) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Keys and values of each text with its attributes, and the mask (len)."""

    def memory_of(text: tuple[Text, tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor | None]:
        (embeddings, text_mask), attributes = text
        memory, mask = encode(engine, embeddings, text_mask, attributes)
        return engine.memory_kv(memory), None if mask is None else mask[0]

    num_threads = engine.num_threads or torch.get_num_threads()
    with stages.stage("encoder"), exactly(engine.model):
        return side_by_side(memory_of, texts, num_threads)


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


def _hypothesis(row: RowResult, seed: int | None) -> Hypothesis:
    return Hypothesis(row.token_ids, row.score, row.log_probs, REASONS[row.finish_reason], seed)


def grammar_texts(grammars: Sequence[Any]) -> tuple[str, list[str]] | None:
    """The vocabulary of grammars that have one, and the constraints of each; None without a grammar."""
    if grammars[0] is None:
        return None
    return grammars[0].config.to_text(), [grammar.constraints.to_text() for grammar in grammars]


def _vocabulary(grammar: Any) -> Any:
    return None if grammar is None else grammar.config
