#!/usr/bin/env bash
# Installs BUILD into an empty folder, builds examples/ against it as a stranger would, and runs them.
# usage: test_install.sh SOURCE BUILD
set -euo pipefail
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" > "$work/install.log"
test "$("$work/prefix/bin/hearth" --version)" = "hearth $(cat "$source/VERSION")"

cmake -S "$source/examples" -B "$work/examples" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/prefix" > "$work/configure.log"
cmake --build "$work/examples" > "$work/build.log"

answer=$("$work/examples/generate" builtin "How do I serve a model?")
echo "generate: $answer"
grep -qi "hearth serve" <<< "$answer"
same=$("$work/examples/embed" "a cat sleeps on the sofa" "a kitten naps on the couch")
other=$("$work/examples/embed" "a cat sleeps on the sofa" "interest rates rose last quarter")
echo "embed: $same against $other"
awk -v a="$same" -v b="$other" 'BEGIN { exit !(a > b) }'
tokens=$("$work/examples/tokenize" builtin "Hello, world")
echo "tokenize: $tokens"
test -n "$tokens"

result=$("$work/examples/graph" "$source/tests/golden/graphs/small.onnx")
echo "graph: $result"
grep -q '^y: 0.117310 0.86681' <<< "$(awk '{ printf "%s %.6f %.6f", $1, $2, $3 }' <<< "$result")"

for _ in first again; do
  found=$("$work/examples/collection" "$work/texts" "when must I pay the tax")
  echo "collection: $found"
  grep -q '"id":"taxes"' <<< "$found"
  grep -q '"documents":\[{"id":"taxes"}\]' <<< "$found"
  grep -q '1 removed, 2 left' <<< "$found"
done

# Nothing but the C API leaves the library.
exported=$(nm -D --defined-only "$work/prefix"/lib*/libhearth.so "$work/prefix"/lib*/*/libhearth.so 2> /dev/null |
  awk 'NF == 3 { print $3 }' | grep -v '^hearth_' || true)
test -z "$exported" || { echo "exported beside the C API: $exported"; exit 1; }
echo "installed, linked and run"
