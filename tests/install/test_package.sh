#!/usr/bin/env bash
# Makes the Debian package of BUILD and looks inside.
# usage: test_package.sh BUILD
set -euo pipefail
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$build" && cpack -G DEB -B "$work" > "$work/cpack.log") || { tail -n 20 "$work/cpack.log"; exit 1; }
package=$(ls "$work"/*.deb)
dpkg-deb --field "$package" Package Version Depends
dpkg-deb --field "$package" Depends | grep -q libc6
dpkg-deb --contents "$package" > "$work/contents"
for path in ./usr/bin/hearth ./usr/include/hearth/hearth.h libhearth.so hearth-config.cmake; do
  grep -q "$path" "$work/contents" || { echo "$path is not in the package"; exit 1; }
done
dpkg-deb --extract "$package" "$work/root"
"$work/root/usr/bin/hearth" --version
