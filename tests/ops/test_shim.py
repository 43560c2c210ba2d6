"""csrc/torch/shim.h says of libtorch what is true, and the ops keep to its rules."""

import ctypes
import re
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from amt.ops import native

FOLDER = Path(__file__).parents[2] / "csrc" / "torch"
FUNCTIONS = re.findall(r"\b((?:aoti_)?torch_[a-z0-9_]+)\(", (FOLDER / "shim.h").read_text(encoding="utf-8"))
TORCH = Path(torch.__file__).parent
# First torch's own header alone, held to the names of version 2.10; then ours, which must say the same.
BOTH_HEADERS = """
#define TORCH_TARGET_VERSION 0x020a000000000000
#include <torch/csrc/stable/c/shim.h>
{uses}
#include "shim.h"
{more}
"""


def compile_both(more: str = "") -> subprocess.CompletedProcess[str]:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    uses = "\n".join(f"using use_of_{name} = decltype(&{name});" for name in FUNCTIONS)
    command = [compiler, "-std=c++17", "-fsyntax-only", "-x", "c++", f"-I{TORCH / 'include'}", f"-I{FOLDER}", "-"]
    return subprocess.run(command, input=BOTH_HEADERS.format(uses=uses, more=more), capture_output=True, text=True)


def test_the_declarations_are_those_of_torch():
    result = compile_both()
    assert result.returncode == 0, result.stderr[-4000:]


def test_a_wrong_declaration_would_be_found():
    result = compile_both('extern "C" AOTITorchError aoti_torch_get_dim(AtenTensorHandle tensor, int32_t* num_axes);')
    assert result.returncode != 0 and "aoti_torch_get_dim" in result.stderr


def test_libtorch_has_every_function():
    libraries = [path for path in (TORCH / "lib").glob("*torch_cpu.*") if path.suffix in (".so", ".dylib", ".dll")]
    libtorch = ctypes.CDLL(str(libraries[0]))
    assert len(FUNCTIONS) > 20 and not [name for name in FUNCTIONS if not hasattr(libtorch, name)]


needs_ops = pytest.mark.skipif(not native.is_available(), reason="the op library is not built")


@needs_ops
def test_an_op_that_raises_lets_go_of_its_tensors():
    calls = [
        lambda tensor: native.ops().packed_vocab_size(tensor),
        lambda tensor: native.ops().pack_decoder_(tensor, "no shape", [tensor, tensor[:3]]),
        lambda tensor: native.ops().generation_start(
            tensor, "", "", "", [], "", [tensor], [tensor] * 2, tensor, tensor
        ),
        lambda tensor: native.ops().generation_run_(-1, tensor, 1, 1, 1, True, "none"),
    ]
    for call in calls:
        memory = np.zeros(128, dtype=np.uint8)
        is_alive = weakref.ref(memory)
        with pytest.raises(RuntimeError, match="ValueError: "):
            call(torch.from_numpy(memory))
        del memory
        assert is_alive() is None


@needs_ops
def test_a_torch_that_refuses_the_ops_is_no_crash():
    """Here since somebody else has the namespace: plain PyTorch takes over, and the reason is told."""
    code = """
import torch
taken = torch.library.Library("amt", "DEF")
import amt
print(amt.generate("a short waltz for piano", seed=1, max_new_tokens=8).backend)
print(amt.info()["decoding"])
"""
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output.startswith("plain PyTorch\n") and "does not take the ops of _ops.so" in output
