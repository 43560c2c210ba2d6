#!/usr/bin/env bash
# The CUDA kernels on this processor with AddressSanitizer and UBSan: whole generations of some random models, beside
# the CPU engine. tests/cuda/sanitize.sh [how many, default 20]
set -euo pipefail
cd "$(dirname "$0")/../.."
flags="-g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
compiler=${CXX:-g++}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PYTHONPATH=$PWD:tests/cuda python -c "
from pathlib import Path
import generation_cases
print(generation_cases.build(Path('$folder'), *'$flags'.split()))"
export LD_PRELOAD="$("$compiler" -print-file-name=libasan.so) $("$compiler" -print-file-name=libubsan.so)"
# Python leaks on purpose. The stacks of fibers are no stacks that the sanitizer knows of.
export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 UBSAN_OPTIONS=print_stacktrace=1
found=$(PYTHONPATH=$PWD python tests/cuda/generation_cases.py "$folder/_cuda.so" $(seq 0 $((${1:-20} - 1))))
echo "${found:-no difference, nothing found by the sanitizers}"
test -z "$found"
