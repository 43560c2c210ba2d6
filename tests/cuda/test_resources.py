"""What nvcc makes of the CUDA kernels, for GPUs that need not be here: no spills, and the table is right."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "kernels" / "cuda"
SPEC = importlib.util.spec_from_file_location("cuda_resources", FOLDER / "resources.py")
resources = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(resources)

TABLE = (FOLDER / "resources.md").read_text(encoding="utf-8")
needs_nvcc = pytest.mark.skipif(resources.nvcc() is None, reason="there is no nvcc here")


def column(arch):
    """The table's cell of each kernel: its registers on an architecture, or another column."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("|")
    ]
    place = rows[0].index(arch if " " in arch else f"sm_{arch}")
    return {row[0]: row[place] for row in rows[2:]}


@needs_nvcc
@pytest.mark.parametrize("arch", resources.ARCHS)
def test_no_kernel_spills_and_the_table_is_right(arch):
    found = resources.usage(arch)
    assert len(found) == 46
    for name, used in found.items():
        assert used.spills == 0 and used.registers <= resources.MAX_REGISTERS, name
    if f"nvcc {resources.release()}\n" in TABLE:
        assert {name: str(used) for name, used in found.items()} == column(arch)


def test_shared_memory_fits_every_gpu():
    names = column("80")
    assert column("shared memory, bytes") == {name: resources.shared_of(name) for name in names}
    assert all(int(bytes_) <= 99 << 10 for bytes_ in map(resources.shared_of, names) if bytes_.isdecimal())
    assert "2048 + 16 (in + 8)" in TABLE and 2048 + 32 * (3072 + 8) <= 99 << 10


def test_names_of_kernels():
    mangled = "_ZN3amt4cuda9_GLOBAL__N_23decode_attention_kernelINS0_6BfloatELi8ELi128EEEvNS0_15DecodeAttentionE"
    assert resources.name_of(mangled) == "decode_attention bfloat16 8 beams head_dim 128"
    mangled = "_ZN3amt4cuda47_GLOBAL__N__f5_14_n_cu_a18norm_linear_kernelIfLNS0_10ActivationE3EEEvNS0_10NormLinearE"
    assert resources.name_of(mangled) == "norm_linear float32 swiglu"
    mangled = "_ZN3amt4cuda12_GLOBAL__N_132prefix_attention_bfloat16_kernelILi64EEEvNS0_15PrefixAttentionE"
    assert resources.name_of(mangled) == "prefix_attention bfloat16 head_dim 64"
    mangled = "_ZN3amt4cuda12_GLOBAL__N_119prefix_turns_kernelENS0_11PrefixTurnsE"
    assert resources.name_of(mangled) == "prefix_turns"
