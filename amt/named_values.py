"""Settings that cross from Python to C++ by name: a text with a line `name value value ...` for each.

What is None is left out and keeps its default there; a name that C++ does not know is an error. Its twin is
csrc/midi/named_values.h.
"""

from __future__ import annotations

from collections.abc import Mapping


def named_values(values: Mapping[str, object]) -> str:
    """The text of numbers, words and sequences of numbers; floats keep every bit.

    Example:
        >>> named_values({"top_p": 0.9, "is_score": True, "programs": (0, 40), "max_steps": None})
        'top_p 0.9\\nis_score 1\\nprograms 0 40\\n'
    """
    lines = []
    for name, value in values.items():
        if value is None:
            continue
        members = value if isinstance(value, (tuple, list, range)) else (value,)
        lines.append(" ".join([name, *map(_word, members)]))
    return "".join(f"{line}\n" for line in lines)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (int, str)):
        return str(value)
    raise TypeError(f"a setting must be a number or a word, got {type(value).__name__}")
