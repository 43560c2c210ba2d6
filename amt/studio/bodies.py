"""The bodies of requests: their fields come from the tables of limits and options, so that they are named once."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from amt.request.limits import LimitOptions, PartLimitOptions
from amt.request.obey import Obey
from amt.request.options import GenerationOptions

MAX_TEXT_LEN = 4000  # of any text but a file
MAX_MIDI_LEN = 1 << 30  # the limit of the whole body is less
MAX_ITEMS = 256  # of an array or an object
# Beams do not run in the shared batch; the clock and the engine's guesses are the server's own.
OWN_OPTIONS = (
    "num_beams", "length_penalty", "early_stopping", "max_time", "prompt_lookup_num_tokens", "max_matching_ngram_size",
)  # fmt: skip
NOT_OPTIONS = ("text", "stream", "timeout_s", "parent", "midi", "prompt_midi", "bars", "tracks", "keep", "num_pieces")


class Body(BaseModel):
    """What all requests have. `null` is the default, as if the field were not there."""

    model_config = ConfigDict(extra="forbid", str_max_length=MAX_TEXT_LEN)

    timeout_s: float | None = Field(None, gt=0, description="Seconds that it may take; at most the server's own limit.")

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, values: Any) -> Any:
        """Without nulls, and with no more than one unknown field: pydantic has an error for each, whatever that costs.

        Raises:
            PydanticCustomError: a field has too many members, each of which could be wrong.
        """
        if not isinstance(values, dict):
            return values
        unknown = next((name for name in values if name not in cls.model_fields), None)
        kept = {name: value for name, value in values.items() if value is not None and name in cls.model_fields}
        for name, value in kept.items():
            if isinstance(value, (list, dict)) and len(value) > MAX_ITEMS:
                raise PydanticCustomError("too_many", "{most} members are the most", {"field": name, "most": MAX_ITEMS})
        return kept if unknown is None else {**kept, unknown: None}


Text = typing.Annotated[str, Field(max_length=MAX_TEXT_LEN, description="The music in words.")]
Midi = typing.Annotated[str, Field(max_length=MAX_MIDI_LEN, description="A MIDI file in base64.")]


class Writes(Body):
    """What requests for music have."""

    stream: bool = Field(False, description="Answer with server-sent events, while it is being written.")
    parent: str | None = Field(None, max_length=64, description="The piece of the history that it is made of.")
    negative_prompt: str | None = Field(None, max_length=MAX_TEXT_LEN)
    rerank: int | None = Field(None, ge=1, description="Candidates that are written for each text; 1 in a stream.")
    num_pieces: int = Field(1, ge=1, description="How many pieces; 1 in a stream.")


def _fields(*tables: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for table in tables:
        hints |= typing.get_type_hints(table)
    return {name: (kind | None, None) for name, kind in hints.items() if name not in without}


GenerateBody: Any = create_model(
    "GenerateBody",
    __base__=Writes,
    text=(Text, ...),
    prompt_midi=(Midi | None, None),
    obey=(Obey, "said"),
    **_fields(LimitOptions, GenerationOptions, without=OWN_OPTIONS),
)
EditBody: Any = create_model(
    "EditBody",
    __base__=Writes,
    midi=(Midi, ...),
    text=(Text | None, None),
    bars=(int | list[tuple[int, int]] | None, None),
    tracks=(list[int | str] | None, None),
    keep=(list[int | str] | None, None),
    **_fields(PartLimitOptions, GenerationOptions, without=OWN_OPTIONS),
)


class DescribeBody(Body):
    """A piece to describe."""

    midi: Midi


class SearchBody(Body):
    """What to search for: words or a piece."""

    text: Text | None = None
    midi: Midi | None = None
    num_results: int = Field(10, ge=1, le=100)


class ReadBody(Body):
    """Words to read."""

    text: Text


class SoundBody(Body):
    """A piece to hear."""

    midi: Midi
    sample_rate: int = Field(44_100, ge=8000, le=48_000)


class OpenBody(Body):
    """A MIDI file to work on."""

    midi: Midi
    title: str = Field("", max_length=200)


def options_of(body: Any) -> dict[str, Any]:
    """The limits and options that a request names."""
    return {
        name: getattr(body, name)
        for name in body.model_fields_set
        if name not in NOT_OPTIONS or (name == "bars" and isinstance(body, GenerateBody))
    }
