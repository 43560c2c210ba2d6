#!/usr/bin/env bash
# Fuzzes each target for so many minutes, one after the other, with the seeds of fuzz/seeds: fuzz/run.sh MINUTES
# [TARGET...]. What is new goes to build/fuzz/corpus, inputs that fail to build/fuzz/finds. It ends with one line for
# each target: date, commit, minutes, runs, edges covered, finds. MAX_LEN=4096 and SEED are its other settings.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:?how many minutes for each target?}
shift
targets=${*:-smf tokens grammar search ops}
compiler=$(command -v clang++ || ls /usr/bin/clang++-[0-9]* 2>/dev/null | sort -V | tail -n 1)
if [ -z "$compiler" ]; then
  echo "fuzz/run.sh: libFuzzer is part of clang; install it (Debian: clang and libclang-rt-dev of its version)" >&2
  exit 1
fi
cmake -S . -B build/fuzz -GNinja -DAMT_FUZZ=ON -DCMAKE_CXX_COMPILER="$compiler" >/dev/null
cmake --build build/fuzz >/dev/null
commit=$(git rev-parse --short HEAD)$(git diff --quiet HEAD -- csrc fuzz || echo +)
status=0
for target in $targets; do
  finds=build/fuzz/finds/$target/ corpus=build/fuzz/corpus/$target log=build/fuzz/$target.log
  mkdir -p "$finds" "$corpus"
  words=()
  if [ "$target" = smf ]; then words=(-dict=fuzz/midi.dict); fi
  touch "build/fuzz/$target.begin"
  build/fuzz/fuzz_"$target" -max_total_time=$((60 * minutes)) -max_len="${MAX_LEN:-4096}" -seed="${SEED:-0}" \
    -timeout=25 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$finds" "${words[@]}" \
    "$corpus" "fuzz/seeds/$target" >"$log" 2>&1 || status=1
  runs=$(grep -oE '^#[0-9]+' "$log" | tail -n 1 | tr -d '#')
  edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2)
  found=$(find "$finds" -type f ! -name 'slow-unit-*' -newer "build/fuzz/$target.begin" | wc -l)
  echo "| $(date -u +%F) | $commit | $target | $minutes | $runs | $edges | $found |"
done
exit $status
