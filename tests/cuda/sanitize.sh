#!/usr/bin/env bash
# The CUDA kernels on this processor, watched: whole generations of some random models, beside the CPU engine.
#   tests/cuda/sanitize.sh [memory|threads|all] [how many, default 20]
#   memory    with AddressSanitizer and UndefinedBehaviorSanitizer
#   threads   with the instrumentation of ThreadSanitizer, and race_watch.cpp, which knows what orders a GPU's threads
# It ends with a line for each part.
set -euo pipefail
cd "$(dirname "$0")/../.."
mode=${1:-all} num=${2:-20}
compiler=${CXX:-g++}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
commit=$(git rev-parse --short HEAD)$(git diff --quiet HEAD -- kernels csrc tests amt || echo +)
rows=""

# NAME PRELOADED FLAGS...
part() {
  local name=$1 preloaded=$2 start=$SECONDS found
  shift 2
  echo "== $name"
  PYTHONPATH=$PWD:tests/cuda python -c "
import sys
from pathlib import Path
import generation_cases
generation_cases.build(Path('$folder/$name'), *sys.argv[1:])" "$@"
  found=$(LD_PRELOAD=$preloaded PYTHONPATH=$PWD python tests/cuda/generation_cases.py "$folder/$name/_cuda.so" $(seq 0 $((num - 1))))
  echo "${found:-no difference, and nothing found}"
  test -z "$found"
  rows+="| $(date -u +%F) | $commit | GPU kernels, $name: $num models | passed | $((SECONDS - start)) s |"$'\n'
}

if [ "$mode" != threads ]; then
  # Python leaks on purpose. The stacks of fibers are no stacks that the sanitizer knows of.
  export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 UBSAN_OPTIONS=print_stacktrace=1
  part memory "$("$compiler" -print-file-name=libasan.so) $("$compiler" -print-file-name=libubsan.so)" \
    -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
fi
if [ "$mode" != memory ]; then
  part threads "" -g $(PYTHONPATH=tests/cuda python -c "import cuda_library; print(*cuda_library.WATCH)")
fi
printf '\n%s' "$rows"
