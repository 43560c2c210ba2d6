"""The kernels of the decode engine through ctypes: `amt/_engine_testing*.so`, which CMake builds beside the package."""

from __future__ import annotations

import ctypes
import os
from ctypes import Structure, byref, c_char_p, c_float, c_int32, c_int64, c_void_p
from pathlib import Path

import numpy as np
import pytest

import amt

TYPES = {"float32": 0, "bfloat16": 1, "int8": 2}
CACHE_DTYPES = {"float32": np.float32, "bfloat16": np.uint16, "int8": np.int8}
PANEL = 16
LONGS = c_int64, c_int64, c_int64, c_int64


class PackedMatrix(Structure):
    """`amt::engine::PackedMatrix`."""

    _fields_ = (
        ("type", c_int32),
        *((name, c_int64) for name in ("in_features", "out_features")),
        *((name, c_void_p) for name in ("weights", "bias", "scales", "row_sums")),
    )


class Activations(Structure):
    """`amt::engine::Activations`."""

    _fields_ = (
        ("num_rows", c_int64),
        ("values", c_void_p),
        ("stride", c_int64),
        ("quantized", c_void_p),
        ("quantized_stride", c_int64),
        ("scales", c_void_p),
    )


class AttentionCall(Structure):
    """`amt::engine::AttentionCall`."""

    _fields_ = (
        *((name, c_int64) for name in ("num_rows", "head_dim", "length", "trunk_len")),
        ("query", c_void_p),
        ("query_stride", c_int64),
        ("cache_type", c_int32),
        ("keys", c_void_p),
        ("values", c_void_p),
        ("next_keys", c_void_p),
        ("position_stride", c_int64),
        ("slot_stride", c_int64),
        ("ancestry", c_void_p),
        ("ancestry_stride", c_int64),
        ("bias", c_void_p),
        ("mask", c_void_p),
        ("scale", c_float),
        ("scores", c_void_p),
        ("out", c_void_p),
        ("out_stride", c_int64),
    )


ARGUMENTS = {
    "find": (c_char_p, c_void_p),
    "packed_bytes": (c_int32, c_int64, c_int64, c_void_p),
    "pack": (c_int32, c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_void_p),
    "matmul": (c_char_p, c_void_p, c_void_p, c_int64, c_int64, c_int32, c_void_p, c_int64),
    "quantize_rows": (c_char_p, c_void_p, *LONGS, c_void_p, c_int64, c_void_p),
    "layer_norm": (c_char_p, c_void_p, *LONGS, c_void_p, c_void_p, c_float, c_void_p, c_int64),
    "relu": (c_char_p, c_void_p, c_int64),
    "gelu": (c_char_p, c_void_p, c_int64),
    "swiglu": (c_char_p, c_void_p, c_void_p, c_int64, c_void_p),
    "rotate": (c_char_p, c_void_p, c_int64, c_int64, c_void_p, c_void_p),
    "rms_norm": (c_char_p, c_void_p, c_int64, c_int64, c_float, c_float),
    "add_rows": (c_char_p, c_void_p, c_int64, c_void_p, c_int64, c_void_p),
    "store": (c_char_p, c_void_p, c_int64, c_int64, c_int32, c_void_p),
    "attend": (c_char_p, c_void_p),
    "log_sum_exp": (c_char_p, c_void_p, c_int64, c_void_p),
}


def pointer(array):
    return None if array is None else array.ctypes.data_as(c_void_p)


def round_up(value, multiple):
    return -(-value // multiple) * multiple


def aligned(shape, dtype, fill=0):
    """An array that starts at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    block = np.empty(size + 64, np.uint8)
    start = -block.ctypes.data % 64
    array = block[start : start + size].view(dtype).reshape(shape)
    array[...] = fill
    return array


def padded(rows, dtype=np.float32, multiple=PANEL):
    """Rows with zeros behind them up to a multiple."""
    array = aligned((rows.shape[0], round_up(rows.shape[1], multiple)), dtype)
    array[:, : rows.shape[1]] = rows
    return array


class Matrix:
    """A weight matrix that the library packed."""

    def __init__(self, library, number_type, weight, bias):
        self.out_features, self.in_features = weight.shape
        self.num_panels = round_up(self.out_features, PANEL) // PANEL
        self.number_type = number_type
        sizes = TYPES[number_type], self.in_features, self.out_features
        self.packed = aligned(library.packed_bytes(number_type, self.in_features, self.out_features), np.uint8, 255)
        self.bias = padded(bias[None])[0]
        self.scales = aligned(self.num_panels * PANEL, np.float32, np.nan)
        self.row_sums = aligned(self.num_panels * PANEL, np.int32, -1)
        arrays = [pointer(array) for array in (self.packed, self.bias, self.scales, self.row_sums)]
        rows = np.ascontiguousarray(weight, np.float32)
        library.call("pack", sizes[0], pointer(rows), *sizes[1:], arrays[0], arrays[2], arrays[3])
        self.struct = PackedMatrix(*sizes, *arrays)


class Quantized:
    """Rows of 8-bit numbers with their scales."""

    def __init__(self, values, scales):
        self.values, self.scales = values, scales


class KernelSet:
    """One set of kernels over numpy arrays."""

    def __init__(self, library, name):
        self.library, self.name = library, name

    def call(self, function, *args):
        self.library.call(function, self.name.encode(), *args)

    def matmul(self, matrix, x, *, quantized=None, panels=None, add_to=None):
        """x (rows, in_features) -> (rows, out_features padded); `panels`: ranges in place of one for all."""
        values = padded(x)
        if quantized is None:
            quantized = self.quantize(x)
        activations = Activations(
            x.shape[0],
            pointer(values),
            values.shape[1],
            pointer(quantized.values),
            quantized.values.shape[1],
            pointer(quantized.scales),
        )
        out = aligned((x.shape[0], matrix.num_panels * PANEL), np.float32, np.nan)
        if add_to is not None:
            out[...] = add_to
        for first, last in panels or [(0, matrix.num_panels)]:
            flags = first, last, add_to is not None
            self.call(
                "matmul", byref(matrix.struct), byref(activations), *flags, pointer(out), matrix.num_panels * PANEL
            )
        return out

    def quantize(self, x):
        values = padded(x)
        quantized = aligned((x.shape[0], round_up(x.shape[1], 64)), np.int8, 99)
        scales = aligned(x.shape[0], np.float32, np.nan)
        sizes = values.shape[1], x.shape[1], 0, x.shape[0]
        self.call("quantize_rows", pointer(values), *sizes, pointer(quantized), quantized.shape[1], pointer(scales))
        return Quantized(quantized, scales)

    def layer_norm(self, x, weight, bias, epsilon, *, in_place=False):
        """(rows, features) -> (rows, features padded)."""
        values = padded(x)
        out = values if in_place else aligned(values.shape, np.float32, np.nan)
        sizes = values.shape[1], x.shape[1], 0, x.shape[0]
        affine = weight.astype(np.float32), bias.astype(np.float32)
        self.call("layer_norm", pointer(values), *sizes, *map(pointer, affine), epsilon, pointer(out), values.shape[1])
        return out

    def activate(self, function, x):
        """`function` is relu or gelu; x (features,)."""
        out = x.astype(np.float32)
        self.call(function, pointer(out), out.size)
        return out

    def swiglu(self, gate, x):
        arrays = gate.astype(np.float32), x.astype(np.float32)
        out = np.full(x.size, np.nan, np.float32)
        self.call("swiglu", *map(pointer, arrays), x.size, pointer(out))
        return out

    def rms_norm(self, x, epsilon, scale):
        """x (num_vectors, size); what lies behind it must stay."""
        out = np.concatenate([x.ravel(), np.full(PANEL, 7, np.float32)])
        self.call("rms_norm", pointer(out), *x.shape, epsilon, scale)
        assert (out[x.size :] == 7).all()
        return out[: x.size].reshape(x.shape)

    def add_rows(self, table, rows, weights, x):
        """table (any number, stride); x (stride,)."""
        entries = np.zeros(len(rows), [("row", np.int32), ("weight", np.float32)])
        entries["row"], entries["weight"] = rows, weights
        table, out = padded(table), aligned(x.shape, np.float32)
        out[:] = x
        self.call("add_rows", pointer(table), table.shape[1], pointer(entries), len(rows), pointer(out))
        return out

    def rotate(self, x, cosine, signed_sine):
        """x (heads, head_dim)."""
        out = x.astype(np.float32)
        angles = cosine.astype(np.float32), signed_sine.astype(np.float32)
        self.call("rotate", pointer(out), *x.shape, *map(pointer, angles))
        return out

    def store(self, values, number_type):
        """values (..., head_dim) as a cache holds them: (..., vector_stride)."""
        head_dim = values.shape[-1]
        stride = round_up(head_dim, 4) + 4 if number_type == "int8" else head_dim
        cache = np.full((*values.shape[:-1], stride), 77, CACHE_DTYPES[number_type])
        self.call("store", pointer(values), values.size // head_dim, head_dim, TYPES[number_type], pointer(cache))
        return cache

    def log_sum_exp(self, x):
        values, result = x.astype(np.float32), c_float()
        self.call("log_sum_exp", pointer(values), values.size, byref(result))
        return result.value

    def attend(self, query, keys, values, *, scale, trunk_len=0, ancestry=None, bias=None, mask=None):
        """query (rows, head_dim); keys, values (positions, slots, vector_stride), as `store` gives them."""
        rows, head_dim = query.shape
        length, slots, stride = keys.shape
        (cache_type,) = (name for name, dtype in CACHE_DTYPES.items() if dtype == keys.dtype)
        query = query.astype(np.float32)
        scores = aligned((rows, max(round_up(length, PANEL), PANEL)), np.float32, np.nan)
        out = np.full((rows, head_dim + 3), 77.0, np.float32)
        mask = None if mask is None else mask.astype(np.uint8)
        bias = None if bias is None else bias.astype(np.float32)
        call = AttentionCall(
            *(rows, head_dim, length, trunk_len, pointer(query), head_dim),
            *(TYPES[cache_type], pointer(keys), pointer(values), None),
            *(slots * stride, stride, pointer(ancestry), 0 if ancestry is None else ancestry.shape[1]),
            *(pointer(bias), pointer(mask), scale, pointer(scores), pointer(out), head_dim + 3),
        )
        self.call("attend", byref(call))
        assert np.all(out[:, head_dim:] == 77.0)
        return out[:, :head_dim].copy()


class Library:
    """The functions of `_engine_testing`; an error becomes ValueError."""

    def __init__(self, path):
        self.handle = ctypes.CDLL(str(path))
        self.handle.amt_num_sets.restype = c_int64
        self.handle.amt_set_name.argtypes, self.handle.amt_set_name.restype = [c_int64], c_char_p
        self.handle.amt_error.restype = c_char_p
        for function, arguments in ARGUMENTS.items():
            getattr(self.handle, f"amt_{function}").argtypes = arguments
        names = [self.handle.amt_set_name(i).decode() for i in range(self.handle.amt_num_sets())]
        self.sets = {name: KernelSet(self, name) for name in names}

    def call(self, function, *args):
        if getattr(self.handle, f"amt_{function}")(*args) != 0:
            raise ValueError(self.handle.amt_error().decode())

    def find(self, name):
        found = c_char_p()
        self.call("find", None if name is None else name.encode(), byref(found))
        return found.value.decode()

    def packed_bytes(self, number_type, in_features, out_features):
        num_bytes = c_int64()
        self.call("packed_bytes", TYPES[number_type], in_features, out_features, byref(num_bytes))
        return num_bytes.value

    def pack(self, number_type, weight, bias):
        return Matrix(self, number_type, weight, bias)


def load():
    # AMT_ENGINE_TESTING: another build, as one with sanitizers.
    found = os.environ.get("AMT_ENGINE_TESTING") or next(Path(amt.__file__).parent.glob("_engine_testing*.so"), None)
    return Library(found) if found else None


LIBRARY = load()


@pytest.fixture
def engine():
    if LIBRARY is None:
        pytest.skip("amt/_engine_testing was not built; run AMT_BUILD=require pip install -e .")
    return LIBRARY


@pytest.fixture(params=list(LIBRARY.sets) if LIBRARY else ["none"])
def kernels(request, engine):
    """Each set of kernels that this processor runs."""
    return engine.sets[request.param]
