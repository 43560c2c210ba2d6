"""The rules of one generation: from the model's scores to the scores that tokens are chosen by.

Order, as in `transformers`: guidance_scale (in `amt.decoding.plain.strategies`), repetition_penalty,
no_repeat_ngram_size, min_new_tokens, grammar (there `prefix_allowed_tokens_fn`), forced_bos_token_id,
forced_eos_token_id, suppress_tokens, begin_suppress_tokens, the user's processors; in sampling then temperature, top_k,
top_p, min_p. A processor from the user takes the place of the rule of its own kind among the first three, as there.

The grammar has the first and the last word:
- It is applied again behind the user's processors, so that none of them can bring back a token that is not legal.
- Where no_repeat_ngram_size and min_new_tokens leave none of its tokens, it wins: for that row the first is lifted,
  then the second. A forced token that it does not allow is not forced; suppressed tokens stay suppressed.
  (`transformers` gives all legal tokens the score 0 then, and only if every beam is stuck: a hypothesis would jump in
  score because of its neighbours.)

Its twin is csrc/engine/rules.h.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from amt.decoding.deadline import Deadline
from amt.decoding.plain.logits_rules import ban_repeated_ngrams, ban_token, force_token, penalize_repetition, restrict
from amt.decoding.protocols import GrammarState, LogitsProcessor, StoppingCriteria
from amt.errors import DecodingError
from amt.request.options import GenerationConfig

REPLACEABLE = (
    "RepetitionPenaltyLogitsProcessor",
    "NoRepeatNGramLogitsProcessor",
    "MinNewTokensLengthLogitsProcessor",
)


class Rules:
    """The rules for sequences that start with one prefix.

    Args:
        config: the options.
        prefix_len: the number of tokens before the first new one.
        max_new_tokens: how many tokens may follow the prefix.
        num_before, tokens_left: of a piece that is written in windows, how many tokens those before have written, and
            how many may follow in all; see `amt.request.request.Before`. None: max_new_tokens.
        eos_token_id: the token that ends a sequence.
        logits_processor, stopping_criteria: the user's own.
        deadline: when the time is over; kept here for the strategies.
    """

    def __init__(
        self,
        config: GenerationConfig,
        prefix_len: int,
        max_new_tokens: int,
        eos_token_id: int,
        logits_processor: Sequence[LogitsProcessor] = (),
        stopping_criteria: Sequence[StoppingCriteria] = (),
        deadline: Deadline | None = None,
        *,
        num_before: int = 0,
        tokens_left: int | None = None,
    ):
        self.config = config
        self.prefix_len = prefix_len
        self.max_new_tokens = max_new_tokens
        self._num_before = num_before
        self._most_tokens = num_before + (max_new_tokens if tokens_left is None else tokens_left)
        self.eos_token_id = eos_token_id
        self.deadline = deadline or Deadline()
        self._stopping_criteria = stopping_criteria
        given = {type(p).__name__: p for p in logits_processor if type(p).__module__.startswith("transformers.")}
        active = (
            config.repetition_penalty != 1.0,
            config.no_repeat_ngram_size > 0,
            config.min_new_tokens > 0,
        )
        self._replaced = {
            name: given[name] for name, on in zip(REPLACEABLE, active, strict=True) if on and name in given
        }
        replacements = list(self._replaced.values())
        self._processors = [p for p in logits_processor if not any(p is r for r in replacements)]
        self._scores: list[torch.Tensor] = []  # of all steps, for the stopping criteria

    def __call__(
        self, token_ids: torch.Tensor, scores: torch.Tensor, grammars: Sequence[GrammarState | None] | None = None
    ) -> torch.Tensor:
        """The scores after the rules.

        Args:
            token_ids: (rows, length), the prefix included.
            scores: (rows, vocab_size), float32.
            grammars: a state for each row; None for a row that has no legal continuation.
        """
        step = self._num_before + token_ids.shape[1] - self.prefix_len
        legal = (
            torch.ones(scores.shape, dtype=torch.bool, device="cpu")
            if grammars is None
            else self._legal(grammars, scores, step)
        )
        may_come = legal.clone()
        may_come[:, self._suppressed(step)] = False
        penalized = self._penalize(token_ids, scores)
        late = self._hold_eos(token_ids, penalized, step)
        scores = self._ban_ngrams(token_ids, late)
        if grammars is not None:
            scores = restrict(scores, may_come, (late, penalized))
        scores = restrict(self._force(scores, legal, step), may_come)
        for processor in self._processors:
            scores = processor(token_ids, scores)
        if grammars is not None and self._processors:
            scores = restrict(scores, may_come)
        if not bool((scores < torch.inf).all()):  # NaN compares false
            raise DecodingError(f"guidance, a penalty or a logits processor gave NaN or infinite scores at step {step}")
        if self._stopping_criteria:
            self._scores.append(scores)
        return scores

    def is_stopped(self, token_ids: torch.Tensor) -> torch.Tensor:
        """What the user's criteria say of each row: bool (rows,)."""
        stopped = torch.zeros(token_ids.shape[0], dtype=torch.bool, device="cpu")
        for criteria in self._stopping_criteria:
            stopped = stopped | torch.as_tensor(criteria(token_ids, tuple(self._scores)), dtype=torch.bool).cpu()
        return stopped

    def _penalize(self, token_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if REPLACEABLE[0] in self._replaced:
            return self._replaced[REPLACEABLE[0]](token_ids, scores)
        if self.config.repetition_penalty == 1.0:
            return scores
        return penalize_repetition(scores, token_ids, self.config.repetition_penalty)

    def _ban_ngrams(self, token_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if REPLACEABLE[1] in self._replaced:
            return self._replaced[REPLACEABLE[1]](token_ids, scores)
        if self.config.no_repeat_ngram_size == 0:
            return scores
        return ban_repeated_ngrams(scores, token_ids, self.config.no_repeat_ngram_size)

    def _hold_eos(self, token_ids: torch.Tensor, scores: torch.Tensor, step: int) -> torch.Tensor:
        if REPLACEABLE[2] in self._replaced:
            return self._replaced[REPLACEABLE[2]](token_ids, scores)
        return ban_token(scores, self.eos_token_id) if step < self.config.min_new_tokens else scores

    def _suppressed(self, step: int) -> list[int]:
        """The tokens that may not come now. A forced first token moves the beginning, as in `transformers`."""
        begin = int(self.prefix_len == 1 and self.config.forced_bos_token_id is not None)
        return [*self.config.suppress_tokens, *(self.config.begin_suppress_tokens if step == begin else ())]

    def _force(self, scores: torch.Tensor, legal: torch.Tensor, step: int) -> torch.Tensor:
        if step == self._most_tokens - 1 and self.config.forced_eos_token_id is not None:
            return force_token(scores, self.config.forced_eos_token_id, legal)
        if step == 0 and self.prefix_len == 1 and self.config.forced_bos_token_id is not None:
            return force_token(scores, self.config.forced_bos_token_id, legal)
        return scores

    def _legal(self, grammars: Sequence[GrammarState | None], scores: torch.Tensor, step: int) -> torch.Tensor:
        rows = []
        for grammar in grammars:
            row = np.zeros(scores.shape[1], bool) if grammar is None else grammar.allowed(self._most_tokens - step)
            if row.shape != (scores.shape[1],):
                raise ValueError(f"the grammar knows {len(row)} tokens, the model has {scores.shape[1]}")
            rows.append(row)
        return torch.from_numpy(np.stack(rows))
