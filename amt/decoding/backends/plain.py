"""The backend in plain PyTorch: one sequence after the other, each token chosen by Python. It is the meaning of all
others, and what runs where the user's own processors, criteria or grammar have a say.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import torch

from amt.decoding.deadline import Deadline
from amt.decoding.hypothesis import Hypothesis, NewToken
from amt.decoding.plain.rules import Rules
from amt.decoding.plain.start import Start, exactly, start_prompt
from amt.decoding.plain.strategies import decode_beams, decode_one
from amt.decoding.protocols import DecoderModel
from amt.request.request import Prompt, Request

LABEL = "plain PyTorch"


def label(device: torch.device) -> str:
    """What runs, as `piece.backend` says it."""
    return LABEL if device.type == "cpu" else f"{LABEL} on {device}"


class PlainState:
    """A request on its way; see `amt.decoding.backends.State`."""

    def __init__(self, model: DecoderModel, request: Request, deadline: Deadline):
        self._model, self._request, self._deadline = model, request, deadline
        self._module: Any = getattr(model, "model", model)  # an Engine runs its model's encoder
        self._results: list[list[Hypothesis]] = [[] for _ in request.prompts]
        rounds = range(request.sequences_per_prompt)
        self._left = [(index, sequence) for index in range(len(request.prompts)) for sequence in rounds]
        self._start: tuple[int, Start] | None = None
        self._new: list[NewToken] = []
        self._num_before, self._num_now = 0, 0
        self._run = self._next_sequence()

    @property
    def is_done(self) -> bool:
        return not self._left

    @property
    def num_tokens(self) -> int:
        return self._num_before + self._num_now

    def step(self, num_steps: int, max_ms: int) -> None:
        if num_steps < 1:
            return
        with exactly(self._module):  # not between two steps: that time is the caller's
            try:
                token = next(self._run)
            except StopIteration as end:
                self._take(end.value)
                return
        self._num_now += 1
        if token is not None:
            self._new.append(token)

    def new_tokens(self) -> list[NewToken]:
        found, self._new = self._new, []
        return found

    def read(self) -> list[list[Hypothesis]]:
        return self._results

    def go_on(self, prompts: Mapping[int, Prompt]) -> bool:
        return False

    def close(self) -> None:
        pass

    def _take(self, hypotheses: list[Hypothesis]) -> None:
        index, _ = self._left.pop(0)
        self._results[index] += hypotheses
        self._num_before += self._request.prompts[index].max_new_tokens
        self._num_now = 0
        if self._left:
            self._run = self._next_sequence()

    def _next_sequence(self) -> Generator[NewToken | None, None, list[Hypothesis]]:
        """The next sequence or beams, a step whenever one is asked for."""
        index, sequence = self._left[0]
        prompt = self._request.prompts[index]
        if self._start is None or self._start[0] != index:  # all sequences of a prompt begin alike
            with exactly(self._module):
                self._start = index, start_prompt(self._model, self._request, prompt, index)
        rules = self._rules(prompt)
        if self._request.options.num_beams > 1:
            return decode_beams(self._start[1], rules)
        return decode_one(
            self._start[1],
            rules,
            seed=prompt.seed,
            sequence=prompt.first_sequence + sequence,
            first_position=len(prompt.history) - len(prompt.prefix),
        )

    def _rules(self, prompt: Prompt) -> Rules:
        request = self._request
        return Rules(
            request.options,
            len(prompt.prefix),
            prompt.max_new_tokens,
            request.eos_token_id,
            request.logits_processor,
            request.stopping_criteria,
            self._deadline,
            num_before=prompt.num_before,
            tokens_left=prompt.tokens_left,
        )


def start(model: DecoderModel, request: Request, deadline: Deadline) -> PlainState:
    """Begin a request."""
    return PlainState(model, request, deadline)
