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
ORDERS = (0, 1, 7, 8)  # of blocks and threads: ascending, descending, and two that are drawn
ENGINE, MIDI = ROOT / "csrc" / "engine", ROOT / "csrc" / "midi"
# What kernels share with the CPU engine, and what of it is no header.
INCLUDES = tuple(f"-I{folder}" for folder in (Path(__file__).parent, KERNELS, ENGINE, MIDI))
ENGINE_SOURCES = (
    ENGINE / "search.cpp",
    *(MIDI / f"{name}.cpp" for name in ("vocabulary", "plan", "grammar", "grammar_masks", "state_features")),
)
FLAGS = ("-std=c++17", "-fPIC", "-fno-gnu-unique", "-fno-strict-aliasing", "-ffp-contract=off")
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
    "Embed", "token_ids embedding features num_entries columns values positions row_positions x",
    *_ints("num_rows d_model max_entries"), ("scale", FLOAT),
)  # fmt: skip
NormLinear = _struct(
    "NormLinear", "x norm_weight norm_bias weight bias residual y",
    *_ints("num_rows in_features out_features norm_features y_stride activation"),
)  # fmt: skip
DecodeAttention = _struct(
    "DecodeAttention",
    "query keys values memories ancestry lengths trunk_lengths mask bias partial arrivals out",
    *_ints("num_prompts num_heads num_beams num_slots head_dim capacity query_stride bias_len num_ancestries window"),
    ("scale", FLOAT),
)  # fmt: skip

PrefixAttention = _struct(
    "PrefixAttention", "query keys values segments memories lengths mask bias out",
    *_ints("num_segments longest_segment num_heads num_slots head_dim capacity query_stride bias_len window"),
    ("scale", FLOAT),
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


def build(
    source: str, folder: Path, changes: tuple[tuple[str, str, str], ...] = (), *flags_of_caller: str
) -> ctypes.CDLL:
    """A kernel's file as a library.

    Args:
        source: like "embed.cu".
        changes: (file, text, other text): what is changed before, each in one place.
        flags_of_caller: for the compiler.
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
    flags = (*FLAGS, "-O0", *flags_of_caller) if changes else (*FLAGS, "-O1", *WARNINGS, *flags_of_caller)
    made = library.with_suffix(".o")
    command = [str(compiler()), *flags, "-c", *INCLUDES[:1], *INCLUDES[2:], "-x", "c++", str(folder / source)]
    done = subprocess.run([*command, "-o", str(made)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    link([made], library, flags_of_caller)
    return ctypes.CDLL(str(library))


def build_with_engine(source: str, folder: Path, *flags: str) -> Path:
    """A library of a file of this folder, the kernels that it includes, and what the CPU engine has without kernels.

    Returns:
        its path.
    """
    sources = [Path(__file__).parent / source, *ENGINE_SOURCES]
    path = folder / f"{Path(source).stem}.so"
    command = [str(compiler()), *FLAGS, "-O1", *WARNINGS, *flags, *INCLUDES, "-shared", *map(str, sources)]
    command += ["-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return path


# With these of gcc the kernels tell race_watch.cpp of what they read and write.
WATCH = ("-fsanitize=thread", "--param=tsan-distinguish-volatile=1")


@functools.cache
def race_watch() -> Path:
    """What is linked to kernels that are compiled with WATCH, in place of ThreadSanitizer's own library."""
    made = Path(tempfile.mkdtemp(prefix="amt-cuda-")) / "race_watch.o"
    source = Path(__file__).parent / "race_watch.cpp"
    command = [str(compiler()), *FLAGS, "-O2", *WARNINGS, "-c", str(source), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return made


def link(objects: list[Path], path: Path, flags: tuple[str, ...] = ()) -> None:
    """A library of compiled files."""
    if WATCH[0] in flags:
        flags, objects = tuple(flag for flag in flags if flag not in WATCH), [*objects, race_watch()]
    command = [str(compiler()), "-shared", *flags, *map(str, objects), "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@functools.cache
def library(source: str, *flags: str) -> ctypes.CDLL:
    """The unchanged kernel; compiled once."""
    return build(source, Path(tempfile.mkdtemp(prefix="amt-cuda-")), (), *flags)


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
