#!/bin/sh
# check_kernel_symbols.sh BUILD_DIR
# Every object compiled for one instruction set must define exactly one symbol for the linker: an
# inline function that leaked out of it could be the copy the whole program runs, and die on an
# older processor.
set -eu
folder="$1/CMakeFiles/hearth_kernels.dir/src/kernels"
bad=0
checked=0
for object in "$folder"/portable.cpp.o "$folder"/portable_search.cpp.o "$folder"/portable_conv.cpp.o "$folder"/x86/*.o "$folder"/arm/*.o; do
  [ -e "$object" ] || continue
  checked=$((checked + 1))
  # Instrumented builds add symbols of the sanitizers and of coverage.
  symbols=$(nm --defined-only --extern-only --format=posix "$object" | cut -d' ' -f1 |
    grep -v -e '^__odr_asan' -e '^__asan' -e '^__gcov' -e '^\.LASAN' -e '^DW\.ref' || true)
  count=$(printf '%s' "$symbols" | grep -c . || true)
  if [ "$count" -ne 1 ]; then
    echo "$object defines $count symbols instead of 1:"
    echo "$symbols" | c++filt
    bad=1
  fi
done
[ "$checked" -gt 0 ] || { echo "no kernel objects under $folder"; exit 1; }
[ "$bad" -eq 0 ] && echo "$checked kernel objects define one symbol each"
exit "$bad"
