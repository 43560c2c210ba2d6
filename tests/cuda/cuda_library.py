"""The kernels of kernels/cuda, compiled for this processor through cuda_on_cpu.h, and called with NumPy arrays."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "kernels" / "cuda"
MUSIC = ROOT / "csrc" / "midi"  # what the grammar's kernel includes
ORDERS = (0, 1, 7, 8)  # of blocks and threads: ascending, descending, and two that are drawn
FLAGS = ("-std=c++17", "-shared", "-fPIC", "-fno-gnu-unique", "-fno-strict-aliasing", "-ffp-contract=off")
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")
ACTIVATIONS = ("none", "relu", "gelu", "swiglu")
GUARD = 64  # numbers before and behind each array, which must not be written
CHUNK = 64  # kChunk
POINTER, INT, FLOAT = ctypes.c_void_p, ctypes.c_int32, ctypes.c_float


def _struct(name: str, pointers: str, *rest: tuple[str, type]) -> type[ctypes.Structure]:
    fields = [(field, POINTER) for field in pointers.split()] + list(rest)
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def _ints(names: str) -> list[tuple[str, type]]:
    return [(name, INT) for name in names.split()]


Embed = _struct(
    "Embed", "token_ids embedding features entry_ends columns values positions x", *_ints("num_rows d_model"),
    ("scale", FLOAT),
)  # fmt: skip
NormLinear = _struct(
    "NormLinear", "x norm_weight norm_bias weight bias residual y",
    *_ints("num_rows in_features out_features activation"),
)  # fmt: skip
Output = _struct(
    "Output", "x norm_weight norm_bias weight bias logits log_probs arrivals",
    *_ints("num_rows in_features vocab_size"),
)  # fmt: skip
DecodeAttention = _struct(
    "DecodeAttention", "query keys values ancestry lengths trunk_lengths partial arrivals out",
    *_ints("num_prompts num_heads num_beams head_dim capacity query_stride window"), ("scale", FLOAT),
)  # fmt: skip


GrammarStep = _struct(
    "GrammarStep",
    "rules states token_ids remaining taken masks feature_rules tracks lists value_table entries values num_entries",
    ("capacity", ctypes.c_int64), ("list_words", ctypes.c_int64), ("num_rows", INT),
)  # fmt: skip


class KernelError(Exception):
    """What the machine of cuda_on_cpu.h found."""


def compiler() -> str | None:
    """The compiler; None if there is none."""
    return os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")


def build(source: str, folder: Path, changes: tuple[tuple[str, str, str], ...] = ()) -> ctypes.CDLL:
    """A kernel's file as a library.

    Args:
        source: like "embed.cu".
        changes: (file, text, other text): what is changed before, each in one place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*KERNELS.glob("*.cu*"), *KERNELS.glob("*.h")]:
        text = path.read_text(encoding="utf-8")
        for name, old, new in changes:
            if name == path.name:
                assert text.count(old) == 1, f"{name} has {text.count(old)} times: {old}"
                text = text.replace(old, new)
        (folder / path.name).write_text(text, encoding="utf-8")
    library = folder / f"{source.removesuffix('.cu')}.so"
    flags = (*FLAGS, "-O0") if changes else (*FLAGS, "-O1", *WARNINGS)
    folders = ("-I", str(Path(__file__).parent), "-I", str(MUSIC))
    command = [str(compiler()), *flags, *folders, "-x", "c++", str(folder / source)]
    done = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return ctypes.CDLL(str(library))


@functools.cache
def library(source: str) -> ctypes.CDLL:
    """The unchanged kernel; compiled once."""
    return build(source, Path(tempfile.mkdtemp(prefix="amt-cuda-")))


class Arrays:
    """The arrays of a call, each with guards around it."""

    def __init__(self) -> None:
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []  # each whole one, and what it was

    def put(self, values: torch.Tensor | np.ndarray | None) -> int | None:
        """The address of a copy."""
        return None if values is None else self.view(values).ctypes.data

    def view(self, values: torch.Tensor | np.ndarray) -> np.ndarray:
        """A copy that may be written."""
        if isinstance(values, torch.Tensor):
            is_bfloat = values.dtype == torch.bfloat16
            values = (values.contiguous().view(torch.int16) if is_bfloat else values).numpy()
        whole = np.empty(values.size + 2 * GUARD, values.dtype)
        whole.view(np.uint8)[:] = 0xFF  # NaN
        inner = whole[GUARD : GUARD + values.size]
        inner[:] = values.ravel()
        self._kept.append((whole, whole.copy()))
        return inner.reshape(values.shape)

    def check(self) -> None:
        """Raise KernelError if something was written beside an array."""
        for whole, before in self._kept:
            for part in (slice(0, GUARD), slice(len(whole) - GUARD, None)):
                if whole[part].tobytes() != before[part].tobytes():
                    raise KernelError("a write beside an array")


def run(loaded: ctypes.CDLL, name: str, call: ctypes.Structure, arrays: Arrays, *, is_bfloat: bool, order: int) -> None:
    """Start a kernel.

    Raises:
        KernelError: the machine found something.
    """
    loaded.cuda_on_cpu_set_order(ctypes.c_uint64(order))
    code = getattr(loaded, f"amt_cuda_{name}")(ctypes.byref(call), int(is_bfloat), None)
    if code:
        error = loaded.cuda_on_cpu_error
        error.restype = ctypes.c_char_p
        raise KernelError(error().decode() or f"error {code}")
    arrays.check()
