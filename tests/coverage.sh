#!/usr/bin/env bash
# What share of the lines of csrc/midi and of the search runs in their tests and in the seeds: tests/coverage.sh [LINES]
# It needs clang with llvm-cov of its version. It prints a line for each file, and fails below 97 percent of all lines.
# LINES: also those that no test runs. PYTHON is another setting.
set -euo pipefail
cd "$(dirname "$0")/.."
goal=97
python=$(realpath -s "$(command -v "${PYTHON:-python}")")
newest() { command -v "$1" || find /usr/bin -name "$1-[0-9]*" | sort -V | tail -n 1; }
compiler=$(newest clang++)
version=$("$compiler" -dumpversion | cut -d. -f1)
tool() { command -v "$1-$version" || command -v "$1" || { echo "tests/coverage.sh: there is no $1" >&2; exit 1; }; }
cov=$(tool llvm-cov) profdata=$(tool llvm-profdata)
work=$PWD/build/coverage
rm -rf "$work/profiles" "$work/tree"
mkdir -p "$work/profiles" "$work/tree"
export LLVM_PROFILE_FILE="$work/profiles/%4m.profraw"
flags="-O1 -g1 -w -fprofile-instr-generate -fcoverage-mapping"
common=(-S . -GNinja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$flags")

targets=(smf tokens grammar search ops)
cmake "${common[@]}" -B "$work/fuzz" -DAMT_FUZZ=ON -DAMT_SANITIZERS= >"$work/log"
cmake --build "$work/fuzz" --target "${targets[@]/#/fuzz_}" >>"$work/log"
objects=()
for target in "${targets[@]}"; do
  "$work/fuzz/fuzz_$target" "fuzz/seeds/$target"/* 2>>"$work/log"
  objects+=(-object "$work/fuzz/fuzz_$target")
done

cmake "${common[@]}" -B "$work/modules" -DCMAKE_BUILD_TYPE=Debug -DPython_EXECUTABLE="$python" \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" >>"$work/log"
cmake --build "$work/modules" --target _midi amt_search_testing >>"$work/log"
cp -r amt tests benchmarks pyproject.toml "$work/tree"
rm -f "$work"/tree/amt/*.so
cp "$work"/modules/*.so "$work/tree/amt"
for module in "$work"/tree/amt/*.so; do objects+=(-object "$module"); done
(
  cd "$work/tree"
  PYTHONPATH=$PWD "$python" -m pytest -q -p no:cacheprovider tests/midi tests/engine/test_search.py -k "not takes_little"
)

"$profdata" merge -sparse "$work"/profiles/*.profraw -o "$work/all.profdata"
sources=(csrc/midi csrc/engine/search.{h,cpp} csrc/engine/{search_view,beam_search,rules,sampling,workers,philox,search_options}.h)
export_args=(-instr-profile "$work/all.profdata" "${objects[@]:1}" "${sources[@]}")
"$cov" export -summary-only "${export_args[@]}" >"$work/summary.json"
if [ "${1:-}" = LINES ]; then
  "$cov" show -use-color=false "${export_args[@]}" | awk '/^\/.*:$/ {file = $0} /^ *[0-9]+\| *0\|/ {print file, $0}'
fi
"$python" - "$work/summary.json" "$goal" <<'PYTHON'
import json
import os
import sys

totals = [0, 0]
for file in json.load(open(sys.argv[1]))["data"][0]["files"]:
    lines = file["summary"]["lines"]
    totals = [totals[0] + lines["covered"], totals[1] + lines["count"]]
    print(f"{os.path.relpath(file['filename']):40} {lines['covered']:5} of {lines['count']:5}  {lines['percent']:6.2f} %")
share = 100 * totals[0] / totals[1]
print(f"{'all':40} {totals[0]:5} of {totals[1]:5}  {share:6.2f} %")
sys.exit(share < float(sys.argv[2]))
PYTHON
