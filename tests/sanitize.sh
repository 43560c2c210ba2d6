#!/usr/bin/env bash
# Builds the compiled parts with sanitizers and runs their tests: tests/sanitize.sh [short]
#   seeds     every seed of fuzz/seeds, with AddressSanitizer and UndefinedBehaviorSanitizer
#   modules   tests/midi and tests/engine, with the same
#   threads   fuzz/threads.cpp: the thread team, the ops, encode_many, with ThreadSanitizer
# short: threads, and of the modules only what a hostile file or score comes to first; for .ci/run, where the tests have
# the seeds. It ends with a line for each part. PYTHON is another setting. Where a tool is missing it says so and stops.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD mode=${1:-full}
python=$(realpath -s "$(command -v "${PYTHON:-python}")")
work=$root/build/sanitize
for tool in cmake ninja g++; do
  if ! command -v $tool >/dev/null; then
    echo "tests/sanitize.sh: left out, there is no $tool" >&2
    exit 0
  fi
done
if ! "$python" -c 'import pybind11, pytest' 2>/dev/null; then
  echo "tests/sanitize.sh: left out, $python has no pybind11 or no pytest" >&2
  exit 0
fi
mkdir -p "$work"
echo 'int main() {}' >"$work/program.cpp"
for kind in address,undefined thread; do
  if ! { g++ -fsanitize=$kind -o "$work/program" "$work/program.cpp" && "$work/program"; } 2>"$work/program.log"; then
    echo "tests/sanitize.sh: left out, no program runs with -fsanitize=$kind: $(head -n 1 "$work/program.log")" >&2
    exit 0
  fi
done
commit=$(git rev-parse --short HEAD)$(git diff --quiet HEAD -- csrc fuzz tests amt || echo +)
rows=""

# NAME COMMAND...: runs it, and adds its line. The first that fails ends all.
part() {
  local name=$1 start=$SECONDS
  shift
  echo "== $name"
  "$@"
  rows+="| $(date -u +%F) | $commit | $name | passed | $((SECONDS - start)) s |"$'\n'
}

programs() { # SANITIZERS TARGET...
  local folder=$work/${1%%,*}
  cmake -S . -B "$folder" -GNinja -DAMT_FUZZ=ON -DAMT_SANITIZERS="$1" -DCMAKE_CXX_COMPILER=g++ >"$folder.log"
  cmake --build "$folder" --target "${@:2}" >>"$folder.log" || { tail -n 50 "$folder.log"; return 1; }
}

threads() {
  programs thread threads
  TSAN_OPTIONS=halt_on_error=1 "$work/thread/threads" fuzz/seeds/smf/*
}

seeds() {
  local targets=(smf tokens grammar search ops)
  programs address,undefined "${targets[@]/#/fuzz_}"
  for target in "${targets[@]}"; do
    "$work/address/fuzz_$target" "fuzz/seeds/$target"/* 2>"$work/$target.log" || { tail -n 50 "$work/$target.log"; return 1; }
    echo "$target: $(grep -c '^Running: ' "$work/$target.log") seeds"
  done
}

# TARGET... -- ARGUMENTS of pytest. Tests of how much memory or time something takes are left out: with sanitizers it is
# more.
modules() {
  local targets=()
  while [ "$1" != -- ]; do targets+=("$1"); shift; done
  shift
  local flags="-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -w" folder=$work/modules
  cmake -S . -B "$folder" -GNinja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_CXX_COMPILER=g++ \
    -DPython_EXECUTABLE="$python" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" >"$folder.log"
  cmake --build "$folder" --target "${targets[@]}" >>"$folder.log" || { tail -n 50 "$folder.log"; return 1; }
  rm -rf "$work/tree"
  mkdir "$work/tree"
  cp -r amt tests benchmarks pyproject.toml "$work/tree"
  rm -f "$work"/tree/amt/*.so
  find "$folder" -maxdepth 1 -name '*.so' -exec cp {} "$work/tree/amt/" \;
  (
    cd "$work/tree"
    export PYTHONPATH=$PWD ASAN_OPTIONS=detect_leaks=0 AMT_CORPUS=${AMT_CORPUS:-$root/../shared/corpus}
    LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)" \
      "$python" -m pytest -q -p no:cacheprovider "$@"
  )
}

if [ "$mode" = short ]; then
  part "threads" threads
  part "modules, short" modules _midi amt_search_testing -- tests/midi/test_{twin,malformed,batches}.py \
    tests/engine/test_search.py -k "not takes_little and (not step_by_step or small_score_2)"
else
  part "seeds" seeds
  part "threads" threads
  part "modules" modules all -- tests/midi tests/engine -k "not memory_where_it_was and not takes_little"
fi
printf '\n%s' "$rows"
