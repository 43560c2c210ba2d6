"""Whether the compiled module is here, and what to say if it is not."""

from __future__ import annotations

from types import ModuleType

try:
    from amt import _midi as _module

    native: ModuleType | None = _module
except ImportError:
    native = None


def explain() -> str:
    """One line for `amt info`."""
    if native is not None:
        return "C++ (amt._midi)"
    return "plain Python, slow: amt._midi is not built; install a C++17 compiler and reinstall with AMT_BUILD=require"
