#!/usr/bin/env bash
# Builds the kernels for aarch64 (64-bit Arm) and holds every table to the reference on processors
# that qemu-user pretends to be: NEON alone, with products of four bytes, with all it knows.
# Skipped (77) where the cross compiler or qemu is missing: scripts/install_packages.sh aarch64
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in aarch64-linux-gnu-g++ qemu-aarch64; do
  command -v "$tool" > /dev/null || { echo "$0: $tool is missing: skipped" >&2; exit 77; }
done
build=build/aarch64-kernels
[ -e $build/build.ninja ] || cmake --preset aarch64-kernels > /dev/null
cmake --build --preset aarch64-kernels
scripts/check_kernel_symbols.sh $build
# `max` has every table, so the longest test need not be repeated.
for cpu in cortex-a53 neoverse-n1 max; do
  echo "as $cpu:"
  skipped=
  [ $cpu = max ] || skipped="-tce=products of every kind*"
  qemu-aarch64 -cpu $cpu -L /usr/aarch64-linux-gnu $build/kernels_test ${skipped:+"$skipped"}
done
