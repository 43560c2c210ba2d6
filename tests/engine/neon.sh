#!/bin/sh
# Compiles the kernels for aarch64, runs them in an emulator and compares every bit with this processor's.
# Needs an x86-64 machine with AVX2 and: apt-get install g++-aarch64-linux-gnu qemu-user cmake ninja-build
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
digests() { # digests COMPILER PROCESSOR EMULATOR...
  compiler=$1 processor=$2
  shift 2
  case $processor in
    aarch64) sets="neon: neon_dot:-march=armv8.2-a+dotprod" ;;
    *) sets="avx2:-mavx2,-mfma avx2_vnni:-mavx2,-mfma,-mavxvnni avx512:-mavx512f,-mavx512bw,-mavx512dq,-mavx512vl
      avx512_vnni:-mavx512f,-mavx512bw,-mavx512dq,-mavx512vl,-mavx512vnni" ;;
  esac
  flags="-std=c++17 -DAMT_HAS_AVXVNNI -O2 -ffp-contract=off -fno-math-errno -I$root/csrc/engine"
  for set in generic: $sets; do
    $compiler $flags $(echo "${set#*:}" | tr , ' ') -c "$root/csrc/engine/kernels_${set%%:*}.cpp" \
      -o "$work/$processor.${set%%:*}.o"
  done
  $compiler $flags -static "$root/tests/engine/digest.cpp" "$root/csrc/engine/kernels.cpp" "$work/$processor".*.o \
    -o "$work/$processor"
  "$@" "$work/$processor" | tee "$work/$processor.txt"
}
digests g++ x86_64 env
digests aarch64-linux-gnu-g++ aarch64 qemu-aarch64
# Without "generic", whose float results may differ, all lines are the same.
num=$(cat "$work"/*.txt | grep -v '^generic' | sed 's/^[^ ]* *//' | sort -u | wc -l)
test "$num" -eq 1 && echo "equal to the bit"
