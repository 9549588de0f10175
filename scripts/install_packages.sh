#!/usr/bin/env bash
# Installs the Debian packages Hearth needs: install_packages.sh build|test|aarch64
# docs/dependencies.md says why each is there.  Quick when all are installed.
set -euo pipefail

build=(cmake ninja-build g++ ccache mold pkg-config libfmt-dev libboost1.81-dev
  libboost-json1.81-dev libssl-dev libutf8proc-dev libpcre2-dev libedit-dev libtomlplusplus-dev
  libyaml-dev libpng-dev libjpeg62-turbo-dev libwebp-dev zlib1g-dev libsndfile1-dev libcli11-dev libcurl4-openssl-dev libarchive-dev libsqlite3-dev
  libwslay-dev)
test=(doctest-dev clang-format-19 poppler-utils python3 python3-venv curl dpkg-dev file binutils openssl ca-certificates)

aarch64=(cmake ninja-build ccache g++-aarch64-linux-gnu qemu-user libfmt-dev libboost1.81-dev doctest-dev)

case ${1:-} in
  build) wanted=("${build[@]}") ;;
  test)
    wanted=("${build[@]}" "${test[@]}")
    # Any Node of version 18 or later serves; Debian's is taken where there is none.
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)' 2> /dev/null &&
      command -v npm > /dev/null || wanted+=(nodejs npm)
    ;;
  aarch64) wanted=("${aarch64[@]}") ;;
  *) echo "usage: $0 build|test|aarch64" >&2; exit 2 ;;
esac

missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q "install ok installed" ||
    missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Installing: ${missing[*]}"
root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo > /dev/null || { echo "These packages need root: run as root, or install sudo." >&2; exit 1; }
  root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${root[@]}" apt-get update &&
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "apt-get could not install them (Debian 12 or a system with the same packages is needed)." >&2
  exit 1
fi
