"""The sequences of one prompt, each decoded when it is asked for: by the engine where that knows all the rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from amt.decoding.deadline import Deadline
from amt.decoding.engine import Engine
from amt.decoding.hypothesis import Hypothesis, NewTokens
from amt.decoding.plain.rules import Rules
from amt.decoding.plain.start import encode, exactly, start
from amt.decoding.plain.strategies import decode_beams, decode_one
from amt.decoding.prompts import Prompt, Text
from amt.decoding.protocols import DecoderModel, GrammarState, LogitsProcessor, StoppingCriteria
from amt.midi.grammar import Grammar
from amt.request.options import GenerationConfig
from amt.side_by_side import side_by_side
from amt.stages import stage


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all prompts of a call have in common; see `amt.decoding.generate`."""

    model: DecoderModel
    config: GenerationConfig
    eos_token_id: int
    deadline: Deadline
    make_grammar: Callable[[], GrammarState] | None = None
    logits_processor: Sequence[LogitsProcessor] = ()
    stopping_criteria: Sequence[StoppingCriteria] = ()
    negative: Text | None = None  # what guidance leads away from

    @property
    def engine(self) -> Engine | None:
        """The engine, if it can do all of this by itself."""
        if not isinstance(self.model, Engine) or self.logits_processor or self.stopping_criteria:
            return None
        owner = getattr(self.make_grammar, "__self__", None)
        is_known = isinstance(owner, Grammar) and self.make_grammar == owner.start and owner.is_native
        return self.model if self.make_grammar is None or is_known else None

    @property
    def grammar(self) -> Grammar | None:
        """The grammar behind `make_grammar`, where the engine knows it."""
        owner = getattr(self.make_grammar, "__self__", None)
        return owner if isinstance(owner, Grammar) else None


def memories_of(engine: Engine, texts: Sequence[Text]) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Keys and values of each text, and its mask (len)."""

    def memory_of(text: Text) -> tuple[torch.Tensor, torch.Tensor | None]:
        embeddings, mask = text
        return engine.memory_kv(encode(engine, embeddings, mask)), None if mask is None else mask[0]

    num_threads = engine.num_threads or torch.get_num_threads()
    with stage("encoder"), exactly(engine.model):
        return side_by_side(memory_of, texts, num_threads)


class Sequences:
    """The sequences of one prompt.

    Args:
        setting: of the call.
        text: what the prompt asks for.
        prompt: the prompt.
        index: its number, for errors.
    """

    def __init__(
        self,
        setting: Setting,
        text: Text,
        prompt: Prompt,
        index: int = 0,
    ):
        self._setting, self._prompt = setting, prompt
        self._engine = setting.engine
        self._module = setting.model.model if isinstance(setting.model, Engine) else setting.model
        texts = [text] if setting.negative is None else [text, setting.negative]
        if self._engine is not None:
            self._memories = memories_of(self._engine, texts)
            return
        with exactly(self._module):
            self._start = start(setting.model, texts, prompt.prefix, setting.make_grammar, index)

    def one(self, sequence: int = 0) -> NewTokens:
        """The new tokens of a greedy or sampled sequence; nothing runs but when one is asked for."""
        setting = self._setting
        if self._engine is not None:
            return self._engine.stream(
                self._memories,
                self._prompt,
                setting.config,
                sequence=sequence,
                eos_token_id=setting.eos_token_id,
                deadline=setting.deadline,
                grammar=setting.grammar,
            )
        return self._steps(decode_one(self._start, self._rules(), seed=self._prompt.seed, sequence=sequence))

    def beams(self, on_token: Callable[[int], object] | None = None) -> list[Hypothesis]:
        """What beam search finds, in plain Python over the model or engine."""
        with stage("decode"), exactly(self._module):
            return decode_beams(self._start, self._rules(), on_token)

    def _steps(self, tokens: NewTokens) -> NewTokens:
        while True:
            with exactly(self._module):  # not between two tokens: that time is the caller's
                try:
                    token = next(tokens)
                except StopIteration as end:
                    hypothesis: Hypothesis = end.value
                    return hypothesis
            yield token

    def _rules(self) -> Rules:
        setting, prompt = self._setting, self._prompt
        return Rules(
            setting.config,
            len(prompt.prefix),
            prompt.max_new_tokens,
            setting.eos_token_id,
            setting.logits_processor,
            setting.stopping_criteria,
            setting.deadline,
        )
