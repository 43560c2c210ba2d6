"""Compiles the kernels for GPUs that need not be there, and says what they use of one.

    python -m amt._triton.ahead_of_time [--archs 80,90,100] [--kernels NAMES] [--head-dims 64] [--dtypes bf16]

prints the table of docs/kernels.md. Needs no driver. In a process that interprets Triton it cannot work.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import torch

import triton
from amt._triton import attention as kernels
from amt._triton.launch import HEAD_DIMS, SHARED_LIMITS, Config, config_for, family_of
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

# What a program may use of shared memory there, in bytes.
SHARED_LIMIT = {80: SHARED_LIMITS[80], 90: SHARED_LIMITS[90], 100: SHARED_LIMITS[90], 120: SHARED_LIMITS[86]}
ARCHS = tuple(SHARED_LIMIT)
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
KERNELS = {
    "forward": kernels.forward_kernel,
    "key_value_gradient": kernels.key_value_gradient_kernel,
    "query_gradient": kernels.query_gradient_kernel,
}
# The newest for each first; tiles of fewer than 64 rows fall back to the older one.
MATRIX_INSTRUCTIONS = {
    80: ("mma.sync",),
    90: ("wgmma.mma_async", "mma.sync"),
    100: ("tcgen05.mma", "mma.sync"),
    120: ("mma.sync",),
}
TOLERATED_SPILLS = 16  # two numbers, once stored and once loaded: of addresses, before the loops
VARIANTS = {
    "plain": set(),
    "padded, bias": {"HAS_MASK", "HAS_BIAS"},
    "dropout": {"HAS_DROPOUT"},
    "padded, bias, dropout": {"HAS_MASK", "HAS_BIAS", "HAS_DROPOUT"},
    "packed": {"IS_PACKED"},
}
FLAGS = ("HAS_MASK", "HAS_BIAS", "HAS_DROPOUT", "IS_PACKED")
# Pointers that are there only with a flag, and what they point to.
OPTIONAL = {
    "key_mask": ("HAS_MASK", "*u8"),
    "key_prefixes": ("HAS_MASK", "*i32"),
    "bias": ("HAS_BIAS", "*fp32"),
    "seed": ("HAS_DROPOUT", "*i64"),
    "tiles": ("IS_PACKED", "*i32"),
    "cu_query": ("IS_PACKED", "*i32"),
    "cu_key": ("IS_PACKED", "*i32"),
}
FLOAT32_POINTERS = {"lse", "delta", "diagonals"}
INT32_POINTERS = {"key_lengths"}
FLOATS = {"scale", "keep_scale"}
TENSORS = {"query", "key", "value", "output", "grad_output", "grad_query", "grad_key", "grad_value"}


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one compiled kernel is and uses; `spills` are bytes that a thread stores in or loads from local memory.

    `loop_stores`: instructions in loops around matrix instructions that store numbers from registers in shared memory,
    each with a wait for all threads behind it. Copies that go there by themselves are not among them.
    """

    kernel: str
    variant: str
    head_dim: int
    dtype: str
    arch: int
    config: Config
    registers: int
    spills: int
    shared: int
    matrix_instructions: dict[str, int]
    loop_stores: int = 0

    @property
    def faults(self) -> list[str]:
        """What must not be: spills, too much shared memory, and in 16 bits no matrix instructions."""
        found = []
        if self.spills > TOLERATED_SPILLS:
            found.append(f"{self.spills} bytes spilled a thread")
        if self.shared > SHARED_LIMIT[self.arch]:
            found.append(f"{self.shared} bytes of shared memory, the limit is {SHARED_LIMIT[self.arch]}")
        if self.dtype != "fp32" and not any(self.matrix_instructions.values()):
            found.append("no matrix instructions")
        if self.kernel == "key_value_gradient" and self.dtype != "fp32" and self.loop_stores:
            found.append(f"{self.loop_stores} stores to shared memory in a loop")
        return found


def compile_kernel(name: str, variant: str, head_dim: int, dtype: str, arch: int) -> Resources:
    """One kernel with the configuration of `amt._triton.launch`."""
    flags = {flag: flag in VARIANTS[variant] for flag in FLAGS}
    family = family_of(arch, SHARED_LIMIT[arch])
    config = config_for(name, head_dim, DTYPES[dtype].itemsize, flags["HAS_BIAS"], flags["HAS_DROPOUT"], family)
    constants: dict[str, Any] = flags | {"HEAD_DIM": head_dim, "BLOCK_Q": config.block_q, "BLOCK_K": config.block_k}
    if name == "query_gradient":
        constants["NEEDS_BIAS"] = flags["HAS_BIAS"]
    function = KERNELS[name]
    signature, constexprs, attributes = {}, {}, {}
    for place, argument in enumerate(function.arg_names):
        if argument in constants:
            kind, value = "constexpr", constants[argument]
        elif argument in OPTIONAL:
            flag, kind = OPTIONAL[argument]
            kind, value = (kind, None) if flags[flag] else ("constexpr", None)
        elif argument in TENSORS:
            kind, value = f"*{dtype}", None
        elif argument in FLOAT32_POINTERS:
            kind, value = "*fp32", None
        elif argument in INT32_POINTERS:
            kind, value = "*i32", None
        else:
            kind, value = "fp32" if argument in FLOATS else "i32", None
        signature[argument] = kind
        if kind == "constexpr":
            constexprs[place,] = value
        elif kind.startswith("*") or argument.endswith(("_b", "_h", "_t")):
            attributes[place,] = [["tt.divisibility", 16]]
    source = ASTSource(function, signature, constexprs, attributes)
    options = {"num_warps": config.num_warps, "num_stages": config.num_stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    registers, spills = _usage(compiled.asm["ptx"], arch)
    return Resources(
        name, variant, head_dim, dtype, arch, config, registers, spills, compiled.metadata.shared,
        {name: compiled.asm["ptx"].count(name) for name in MATRIX_INSTRUCTIONS[arch]},
        sum(len(STORES.findall(body)) for body in loops(compiled.asm["ptx"]) if PRODUCTS.search(body)),
    )  # fmt: skip


STORES = re.compile(r"\b(?:st\.shared|stmatrix|st\.weak\.shared)\b")
PRODUCTS = re.compile(r"mma")


def loops(ptx: str) -> list[str]:
    """The bodies of the innermost loops: from a label to the jump back to it."""
    found, lines = [], ptx.splitlines()
    places = {line.strip().removesuffix(":"): place for place, line in enumerate(lines) if line.startswith("$L")}
    for place, line in enumerate(lines):
        jump = re.search(r"\bbra(?:\.uni)?\s+(\$L\w+);", line)
        if jump and places.get(jump[1], place) < place:
            found.append((places[jump[1]], place))
    inner = [span for span in found if not any(span != o and span[0] <= o[0] and o[1] <= span[1] for o in found)]
    return ["\n".join(lines[first:last]) for first, last in inner]


def _usage(ptx: str, arch: int) -> tuple[int, int]:
    """Registers of a thread, and bytes that it spills; by the ptxas of Triton's package."""
    tool = get_ptxas(arch).path
    target = re.search(r"\.target (sm_\w+)", ptx)
    assert target, "there is no target in the PTX"
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        command = [tool, "-v", f"--gpu-name={target[1]}", file.name, "-o", os.devnull]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    registers = re.search(r"Used (\d+) registers", text)
    assert registers, text
    return int(registers[1]), sum(map(int, re.findall(r"(\d+) bytes spill", text)))


def table(
    archs: list[int], names: list[str], head_dims: list[int], dtypes: list[str], variants: list[str]
) -> Iterator[Resources]:
    """All combinations, one after the other."""
    for name in names:
        for head_dim in head_dims:
            for dtype in dtypes:
                for variant in variants:
                    for arch in archs:
                        yield compile_kernel(name, variant, head_dim, dtype, arch)


def main() -> int:
    """Print a row for each kernel, in Markdown; 1 if one has a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def names_of(kind: type) -> Any:
        return lambda text: [kind(name) for name in text.split(",")]

    parser.add_argument("--archs", type=names_of(int), default=list(ARCHS))
    parser.add_argument("--kernels", type=names_of(str), default=list(KERNELS))
    parser.add_argument("--head-dims", type=names_of(int), default=list(HEAD_DIMS))
    parser.add_argument("--dtypes", type=names_of(str), default=["bf16", "fp32"])
    parser.add_argument("--variants", type=lambda text: text.split(";"), default=list(VARIANTS))
    args = parser.parse_args()
    columns = ("kernel", "call", "head_dim", "dtype", "sm", "tile, warps, stages", "registers", "spills", "shared KiB")
    print(f"| {' | '.join(columns)} | stores in loops | matrix |")
    print("|---" * (len(columns) + 2) + "|", flush=True)
    num_faults = 0
    for row in table(args.archs, args.kernels, args.head_dims, args.dtypes, args.variants):
        tile = f"{row.config.block_q} x {row.config.block_k}, {row.config.num_warps}, {row.config.num_stages}"
        instruction = ", ".join(f"{count} {name}" for name, count in row.matrix_instructions.items() if count) or "-"
        print(
            f"| {row.kernel} | {row.variant} | {row.head_dim} | {row.dtype} | {row.arch} | {tile} | {row.registers} "
            f"| {row.spills} | {row.shared / 1024:.0f} | {row.loop_stores} | {instruction} |",
            flush=True,
        )
        for fault in row.faults:
            print(f"{row.kernel}, {row.variant}, {row.head_dim}, {row.dtype}, sm_{row.arch}: {fault}", file=sys.stderr)
        num_faults += bool(row.faults)
    return int(num_faults > 0)


if __name__ == "__main__":
    sys.exit(main())
