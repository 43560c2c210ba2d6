"""What the CUDA kernels use of a GPU, by nvcc: registers, spills, shared memory. Needs no GPU.

python kernels/cuda/resources.py [--archs 80,90a,100f,120] > kernels/cuda/resources.md
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
SOURCES = (
    "embed.cu", "norm_linear.cu", "norm.cu", "place_keys.cu", "decode_attention.cu", "prefix_attention.cu",
    "prefix_linear.cu", "prefix_turns.cu", "plan.cu", "choose.cu", "grammar_step.cu", "go_on.cu",
)  # fmt: skip
INCLUDES = tuple(f"-I{FOLDER.parents[1] / 'csrc' / name}" for name in ("engine", "midi"))
ARCHS = ("80", "90a", "100f", "120")
MAX_REGISTERS = 255
HEAD = f"""# What the CUDA kernels use

Printed by `python kernels/cuda/resources.py`. No kernel has run on a GPU yet. Registers are those of a thread for
sm_{", ".join(ARCHS)}; what spills is told beside them, and so are the bytes of a stack frame. Shared memory is what a
launch asks for, `in` being the number of inputs.

`grammar_step`, `choose` and `plan` have a stack frame: a thread asks what is left to the end behind a
token in a copy of the small part of the state, which is indexed by program; and they call functions. `plan` and
`prefix_turns` have one for the cosine of a large angle.
"""
# Bytes of shared memory as the launchers ask for them: see the structures that end in Shared.
CHOOSE_BYTES = 25472  # sizeof(ChooseShared); tests/cuda/test_choice.py compares
LINEAR_BYTES, TEAM_BYTES = 4 * 4 * 16 * 8, 4
GRAMMAR_BYTES = 5264 + 16 + 32
PREFIX_LINEAR_BYTES = (2 * 64 * (32 + 8) * 2, 2 * 32 * (64 + 4) * 4)  # bfloat16, float32


class Usage(NamedTuple):
    """What a thread of a kernel uses: registers, and bytes that it spills and of its stack frame."""

    registers: int
    spills: int
    stack: int

    def __str__(self) -> str:
        spills = f", {self.spills} spilled" if self.spills else ""
        return f"{self.registers}{spills}" + (f", {self.stack} of stack" if self.stack else "")


def nvcc() -> str | None:
    """The compiler; None if there is none."""
    found = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    return found if os.access(found, os.X_OK) else None


def usage(arch: str) -> dict[str, Usage]:
    """Of each kernel, by its name and template arguments."""

    def compiled(source: str) -> str:
        command = [str(nvcc()), "-std=c++17", "-O3", f"-gencode=arch=compute_{arch},code=sm_{arch}", "-Xptxas", "-v"]
        command += [*INCLUDES, "-cubin", "-o", os.devnull, str(FOLDER / source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{source} for sm_{arch}: {done.stderr[-2000:]}")
        return done.stderr

    found: dict[str, Usage] = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        told = list(pool.map(compiled, SOURCES))
    for each in told:
        parts = re.split(r"Compiling entry function '(\w+)'", each)
        for mangled, text in zip(parts[1::2], parts[2::2], strict=True):
            registers = re.search(r"Used (\d+) registers", text)
            assert registers, text
            spills = sum(map(int, re.findall(r"(\d+) bytes spill", text)))
            stack = re.search(r"(\d+) bytes stack frame", text)
            found[name_of(mangled)] = Usage(int(registers[1]), spills, int(stack[1]) if stack else 0)
    return found


def name_of(mangled: str) -> str:
    """`decode_attention bfloat16 4 beams head_dim 64` from what the compiler calls it."""
    match = re.search(r"\d+([a-z_]+)_kernelI(f|NS0_6BfloatE)(.*?)EEvNS", mangled)
    if match is None:  # it has no types
        plain = re.search(r"\d+([a-z_]+?)(?:_(bfloat16|float32))?_kernel(?:ILi(\d+)EEEv|E)NS", mangled)
        assert plain, mangled
        return " ".join([plain[1], *([plain[2], f"head_dim {plain[3]}"] if plain[2] else [])])
    words = [match[1], "float32" if match[2] == "f" else "bfloat16"]
    numbers = [int(number) for number in re.findall(r"Li(\d+)E", match[3] + "E")]
    if match[1] == "decode_attention":
        words += [f"{numbers[0]} beams", f"head_dim {numbers[1]}"]
    activation = re.search(r"ActivationE(\d)", match[3])
    if activation:
        words.append(("none", "relu", "gelu", "swiglu")[int(activation[1])])
    return " ".join(words)


def shared_of(name: str) -> str:
    """Bytes of shared memory, in words."""
    if name in ("choose", "grammar_step"):
        return str(CHOOSE_BYTES if name == "choose" else GRAMMAR_BYTES)
    if name.startswith("prefix_linear"):
        return str(PREFIX_LINEAR_BYTES["float32" in name])
    if name.startswith("prefix_attention"):
        head_dim = int(name.rsplit(" ", 1)[1])
        if "float32" in name:  # queries, keys and values, weights, which keys are seen
            return str(4 * ((16 + 2 * 32) * (head_dim + 4) + 16 * (32 + 4)) + 32)
        return str(2 * 64 * (head_dim + 8) + 4 * head_dim * (64 // 2 + 4) + 64)
    if not name.startswith(("norm_linear", "decode_attention")):
        return "0"
    if not name.startswith("decode_attention"):
        return f"{LINEAR_BYTES} + {16 * (2 if 'float32' in name else 1)} (in + 8)"
    beams, head_dim = map(int, re.findall(r"\d+", name.split(" ", 2)[2]))
    teams = 128 * 8 // head_dim
    return str(teams * beams * (2 + head_dim) * 4 + TEAM_BYTES)


def table(archs: tuple[str, ...]) -> list[str]:
    """A row for each kernel, in Markdown."""
    each = [usage(arch) for arch in archs]
    rows = [
        f"| kernel | {' | '.join(f'sm_{arch}' for arch in archs)} | shared memory, bytes |",
        "|---" * (len(archs) + 2) + "|",
    ]
    for name in sorted(each[0], key=lambda name: [int(part) if part.isdigit() else part for part in name.split()]):
        registers = [str(found[name]) for found in each]
        rows.append(f"| {name} | {' | '.join(registers)} | {shared_of(name)} |")
    return rows


def release() -> str:
    """Of nvcc, like "13.0"."""
    told = subprocess.run([str(nvcc()), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"release (\d+\.\d+)", told)
    return found[1] if found else "unknown"


def main() -> int:
    """Print the table; 1 if a kernel spills."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archs", type=lambda text: tuple(text.split(",")), default=ARCHS)
    archs = parser.parse_args().archs
    if nvcc() is None:
        print("resources.py: there is no nvcc here; install the CUDA toolkit", file=sys.stderr)
        return 1
    rows = table(archs)
    print(HEAD)
    print("\n".join([*rows, "", f"nvcc {release()}"]))
    return int(any("spilled" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
