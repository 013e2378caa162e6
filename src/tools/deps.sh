#!/bin/sh
# Finds and installs the Debian or Ubuntu packages that building needs. Never prompts.
#   deps.sh [SET]           installs what is missing, as root or through `sudo -n`; otherwise prints the command and stops
#   deps.sh --check [SET]   installs nothing: says what is missing and how to get it
# SET: build (the default), data (what the small networks are evaluated on), cross (a compiler for aarch64) or lint.
set -eu

check=no
if [ "${1:-}" = --check ]; then
    check=yes
    shift
fi
case ${1:-build} in
build) packages='gcc g++ make git curl ca-certificates xz-utils libarchive-dev libbz2-dev libjansson-dev libjpeg-dev liblzma-dev
    libpng-dev libzstd-dev nettle-dev zlib1g-dev' ;;
data) packages=dataset-fashion-mnist ;;
cross)
    [ "$(uname -m)" = x86_64 ] || exit 0
    packages='gcc-aarch64-linux-gnu libc6-dev-arm64-cross'
    ;;
lint) packages='clang-format clang-tidy cppcheck' ;;
*)
    echo "deps.sh: unknown set '$1': build, data, cross or lint" >&2
    exit 2
    ;;
esac

# Elsewhere than on Debian and its kin a compiler that finds the headers is all that can be asked.
if ! command -v dpkg-query >/dev/null; then
    [ "${1:-build}" = build ] || exit 1
    for header in archive.h bzlib.h jansson.h jpeglib.h lzma.h png.h zstd.h nettle/sha2.h zlib.h; do
        printf '#include <stdio.h>\n#include <%s>\n' "$header" | cc -E - >/dev/null 2>&1 && continue
        echo "deit: <$header> was not found. Install the development files (static libraries too) of: libarchive, bzip2," >&2
        echo "jansson, libjpeg-turbo, xz, libpng, zstd, nettle, zlib; and a C++ compiler. Then run make again." >&2
        exit 1
    done
    exit 0
fi

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null | sed -n 's/^installed //p' || :)
missing=
for package in $packages; do
    case "
$installed
" in
    *"
$package
"*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ "$missing" ] || exit 0

if [ $check = yes ]; then
    echo "deit: missing packages:$missing" >&2
    echo "Install them with:  make deps" >&2
    exit 1
fi

if ! command -v apt-get >/dev/null; then
    echo "deit: missing packages:$missing. There is no apt-get here: install them by other means, then run make again." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as='sudo -n'
else # as below: lists that are absent or old, and a broken source, must not stand in the way
    echo "deit: these packages are missing, and installing them needs root. Run this, then make again:" >&2
    echo "  sudo sh -c 'apt-get update; apt-get install -y --no-install-recommends$missing'" >&2
    exit 1
fi

echo "Installing:$missing"
apt() { $as env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"; }
try() { apt install -y --no-install-recommends $missing </dev/null; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists may be absent or old: only then fetch them. One broken source does not matter if the packages come.
if ! try >"$log" 2>&1; then
    apt update >"$log" 2>&1 || :
    if ! try >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "deit: apt could not install:$missing (its last words are above). Check the network and the package sources." >&2
        exit 1
    fi
fi
