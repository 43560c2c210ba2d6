"""What is asked for, as one object: from the words of a call to the backend that decodes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from amt.midi.continued import Continued
from amt.midi.returns import Return
from amt.midi.vocabulary import EOS_ID
from amt.request.limits import Limits
from amt.request.options import GenerationConfig
from amt.request.reading import Reading

if TYPE_CHECKING:
    import torch

    # Embeddings (1, text_len, dim), and a mask (1, text_len), True = real, or None: one text without padding.
    Text = tuple[torch.Tensor, "torch.Tensor | None"]


class MakesGrammarStates(Protocol):
    """What says which tokens may follow: `amt.Grammar`, or an object of the user's own."""

    def start(self) -> Any:
        """A state that has taken no token yet; see `amt.decoding.protocols.GrammarState`."""
        ...


@dataclasses.dataclass(frozen=True)
class Before:
    """What has come of a piece that is written in windows, before the prefix of one of them.

    Attributes:
        history: the tokens of the whole piece up to the first new one; the prefix has its last bars.
        num_tokens: how many of them were written, by the windows before.
        tokens_left: how many may follow in the whole piece.
    """

    history: tuple[int, ...]
    num_tokens: int
    tokens_left: int


@dataclasses.dataclass(frozen=True, eq=False)
class Prompt:
    """One text of a request.

    Attributes:
        states: the text's embedding.
        prefix: the tokens that the music begins with, bos first.
        max_new_tokens: how many may follow.
        before: of a piece that is longer than the model reads; None: it begins with the prefix.
        continued: the music that it begins with, if a file is continued.
        num_bars: how many bars the music that begins with the prefix is to have, for models that read it; 0: unknown.
        room: how many tokens may follow if it goes on in parts, see `amt.decoding.backends.State`; 0: max_new_tokens.
        seed: for sampling; None where nothing is drawn.
        grammar: what may follow; None: any token.
        first_sequence: the number of the first of its samples, for the random numbers.
        attributes: the numbers of what is asked for, for a model that reads them; see `amt.request.attributes`.
        returns: what comes again of an earlier section: its notes are taken, not written anew.
        semitones: by how much what is written is moved at the end, for a model of the canonical key.
        text, reading, limits: the words, what they ask for, and what the music is held to.
        said: the names of the limits that the words gave.
        warnings: what the user should know of this text, one line each.
    """

    states: Text
    prefix: tuple[int, ...]
    max_new_tokens: int
    seed: int | None = None
    grammar: MakesGrammarStates | None = None
    first_sequence: int = 0
    attributes: tuple[int, ...] = ()
    returns: tuple[Return, ...] = ()
    semitones: int = 0
    before: Before | None = None
    num_bars: int = 0
    room: int = 0
    continued: Continued | None = None
    text: str = ""
    reading: Reading = Reading()  # noqa: RUF009 (it is frozen)
    limits: Limits = Limits()  # noqa: RUF009
    said: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

    @property
    def history(self) -> tuple[int, ...]:
        """The whole piece up to the first new token."""
        return self.prefix if self.before is None else self.before.history

    @property
    def num_before(self) -> int:
        """How many tokens of it were written in windows before."""
        return 0 if self.before is None else self.before.num_tokens

    @property
    def tokens_left(self) -> int:
        """How many may follow in the whole piece."""
        return self.max_new_tokens if self.before is None else self.before.tokens_left


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """All texts of a call, and how their tokens are chosen.

    Attributes:
        prompts: the texts.
        options: for all of them.
        negative: the text that guidance leads away from; None without guidance.
        logits_processor, stopping_criteria: the user's own.
        eos_token_id: the token that ends a sequence.
        warnings: what the user should know, one line each.
    """

    prompts: tuple[Prompt, ...]
    options: GenerationConfig
    negative: Text | None = None
    logits_processor: Sequence[Any] = ()
    stopping_criteria: Sequence[Any] = ()
    eos_token_id: int = EOS_ID
    warnings: tuple[str, ...] = ()

    @property
    def sequences_per_prompt(self) -> int:
        """How many sequences are decoded for each prompt, one for all of its beams."""
        return self.options.num_return_sequences if self.options.num_beams == 1 else 1

    @property
    def max_new_tokens(self) -> int:
        """How many new tokens all sequences may have together."""
        return self.sequences_per_prompt * sum(prompt.max_new_tokens for prompt in self.prompts)

    def texts(self, prompt: Prompt) -> list[Text]:
        """What the model reads for a prompt: its text and, with guidance, the negative one."""
        return [prompt.states] if self.negative is None else [prompt.states, self.negative]

    def only(self, prompt: int, sequence: int = 0) -> Request:
        """The request for one sequence of one prompt."""
        chosen = self.prompts[prompt]
        single = dataclasses.replace(chosen, first_sequence=chosen.first_sequence + sequence)
        return dataclasses.replace(
            self, prompts=(single,), options=dataclasses.replace(self.options, num_return_sequences=1)
        )


def completed(limits: Limits, reading: Reading) -> Limits:
    """The limits, with the time signature of the text where they count in bars."""
    if limits.bars is None or limits.time_signature is not None or reading.metre is None:
        return limits
    return dataclasses.replace(limits, time_signature="{}/{}".format(*reading.metre.value))
