#!/usr/bin/env bash
# Builds everything with AddressSanitizer and UBSan and runs the engine's tests with it: sanitize.sh [PYTHON]
# Left out: the test of memory in use, because AddressSanitizer keeps freed memory back.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$(realpath -s "${1:-$root/.venv/bin/python}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -w"
cmake -S "$root" -B "$work/build" -GNinja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS="$flags" \
  -DPython_EXECUTABLE="$python" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)"
cmake --build "$work/build"
cp -r "$root/amt" "$root/tests" "$root/pyproject.toml" "$work"
rm -f "$work"/amt/*.so
cmake --install "$work/build" --prefix "$work/amt"
cd "$work"
export PYTHONPATH=$work:$work/tests/engine ASAN_OPTIONS=detect_leaks=0
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)" \
  "$python" -m pytest -q tests/engine -k "not leave_memory_where_it_was"
