"""The compiled op library: whether it is here, what it can run, and how its errors are told."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from amt.errors import BackendUnavailableError, DecodingError

LIBRARY = Path(__file__).parents[1] / "_ops.so"
ISA_VARIABLE = "AMT_CPU_ISA"
# They write into tensors that they are given.
WRITING_OPS = ("pack_decoder_", "generation_run_", "generation_append_", "generation_read_")


@functools.cache
def _load() -> str | None:
    """Load the library once; the reason if that fails."""
    if not LIBRARY.is_file():
        return "the op library is not built; install a C++17 compiler and reinstall with AMT_BUILD=require"
    try:
        torch.ops.load_library(str(LIBRARY))  # type: ignore[no-untyped-call]
    except OSError as error:
        return f"the op library does not load ({error}); reinstall with AMT_BUILD=require"
    if not all(hasattr(torch.ops.amt, name) for name in (*WRITING_OPS, "kernel_sets")):
        return f"torch {torch.__version__} does not take the ops of {LIBRARY.name}; reinstall with AMT_BUILD=require"
    for name in WRITING_OPS:
        torch.library.register_fake(f"amt::{name}", _nothing)
    return None


def _nothing(*_args: Any, **_options: Any) -> None:
    """What an op that only writes into its arguments does to their shapes."""


def why_not() -> str | None:
    """Why the ops cannot be called; None if they can."""
    return _load()


def is_available() -> bool:
    """Whether the ops can be called."""
    return _load() is None


def explain() -> str:
    """One line for `amt info`."""
    try:
        return f"C++ engine, {chosen_kernel_set()} (this processor runs {', '.join(kernel_sets())})"
    except BackendUnavailableError as error:
        return str(error)


def ops() -> Any:
    """The namespace `torch.ops.amt`.

    Raises:
        BackendUnavailableError: the library is not there.
    """
    reason = _load()
    if reason is not None:
        raise BackendUnavailableError(f"{reason}; or decode with backend='plain'")
    return torch.ops.amt


def kernel_sets() -> list[str]:
    """The instruction sets that were built and that this processor runs, the slowest first."""
    return str(ops().kernel_sets()).split(",")


def chosen_kernel_set(isa: str | None = None) -> str:
    """The instruction set to use: `isa`, else that of the environment variable AMT_CPU_ISA, else the fastest.

    Raises:
        BackendUnavailableError: there is no such set here.
    """
    names = kernel_sets()
    wanted = isa or os.environ.get(ISA_VARIABLE)
    if not wanted:
        return names[-1]
    others = [] if isa else str(ops().training_kernel_sets()).split(",")
    return known_kernel_set(wanted, names, others, "isa" if isa else ISA_VARIABLE)


def known_kernel_set(wanted: str, names: list[str], others: list[str], source: str) -> str:
    """The one of `names` that is wanted; for one of `others` the set that this one extends (avx512 for avx512_bf16).

    Raises:
        BackendUnavailableError: it is none of them.
    """
    if wanted in names:
        return wanted
    if wanted not in others:
        known = ", ".join(dict.fromkeys(names + others))
        raise BackendUnavailableError(f"{source} is {wanted!r}; here there are {known}: name one of them or none")
    base = wanted.partition("_")[0]
    return base if base in names else names[0]


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what the ops raise into the errors of the rest of AMT."""
    try:
        yield
    except RuntimeError as error:
        raise translated(error) from None


def translated(error: RuntimeError) -> Exception:
    """The error that an op means, by the first word of its message; the same one if it means none."""
    kinds: tuple[type[Exception], ...] = (ValueError, DecodingError, MemoryError)
    for kind in kinds:
        _, found, message = str(error).partition(f"{kind.__name__}: ")
        if found:
            return kind((message.splitlines() or ["something is wrong that has no name"])[0])
    return error
