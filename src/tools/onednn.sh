#!/bin/sh
# Builds oneDNN once, as a static library, into a cache that all clones share:
#   $XDG_CACHE_HOME/deit/onednn-VERSION-KEY/{include,lib/libdnnl.a,LICENSE,THIRD-PARTY-PROGRAMS,build.log}
# Usage: onednn.sh            build it unless it is there
#        onednn.sh --prefix   print the folder it is (or will be) in
# The key is a hash of this script, its files in onednn/, the compiler and the processor's architecture: a change
# builds anew beside the old one. Two runs at once take turns; an interrupted run goes on where it stopped.
# Link with: -Lprefix/lib -ldnnl -lstdc++ -lm -lgomp -lpthread (also with -static).
#
# Upstream's build compiles 414 files in 50 CPU-minutes, most of it spent on headers, on kernels deit never calls and
# on optimizing code that only writes code. So: onednn/trim.sh cuts what is not called out of the sources, and
# onednn/batches.ARCH and .any name what is left, a translation unit a line with its optimization level: -O1 for what
# only generates code, upstream's -O3 for what computes at run time, -O2 for what calls the kernels. Files whose names
# clash stand in different lines. Upstream's CMake files are not used.
set -eu
version=3.7.2
tarball=onednn_$version+ds.orig.tar.xz # Debian trixie's; upstream's sources but for third-party parts not used here
tarball_sha256=0cc51ca26c1af6a2bb1e71e378e7046f3ceb3e71791ee9d4e246d50f904a6ea6
suite=trixie
repository=https://github.com/uxlfoundation/oneDNN
commit=dfce0a11226353967a54a318d86daa588c28c668 # tag v3.7.2
primitives='BATCH_NORMALIZATION BINARY CONCAT CONVOLUTION ELTWISE INNER_PRODUCT LAYER_NORMALIZATION MATMUL'
primitives="$primitives POOLING REDUCTION REORDER SOFTMAX SUM"
# No DNNL_ENABLE_ITT_TASKS and no JIT profiling: they pull dlopen into a static program.
flags='-std=c++11 -DNDEBUG -fPIC -fopenmp -fvisibility=hidden -fvisibility-inlines-hidden -ffunction-sections
    -fdata-sections -w -D__STDC_CONSTANT_MACROS -D__STDC_LIMIT_MACROS -DDNNL_ENABLE_MAX_CPU_ISA
    -DDNNL_ENABLE_CPU_ISA_HINTS -DDNNL_ENABLE_JIT_PROFILING=0'

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cxx=${CXX:-g++}
case $cxx in *clang*) cxx=g++ ;; esac # its OpenMP is another library
cache=${XDG_CACHE_HOME:-$HOME/.cache}/deit

die() {
    printf 'onednn.sh: %s\n' "$*" >&2
    exit 1
}

# Compiles one batch, from within the build folder; xargs calls this script for each.
if [ "${1-}" = --compile ]; then
    level=${2#*_}
    start=$(date +%s)
    # shellcheck disable=SC2086
    $cxx $flags $ONEDNN_ARCH_FLAGS "-$level" -Iinclude -Isource/include -Isource/src -c "batch/$2.cpp" \
        -o "object/$2.tmp" >"object/$2.log" 2>&1 || {
        {
            echo "onednn.sh: batch/$2.cpp:"
            cat "object/$2.log"
        } | tee -a build.log | tail -n 20 >&2
        exit 255 # xargs starts no more
    }
    mv "object/$2.tmp" "object/$2.o"
    now=$(date +%s)
    echo "$2: $((now - start)) s" >>build.log
    printf 'oneDNN %s: %2d of %d parts, %d:%02d min\n' $version "$(find object -name '*.o' | wc -l)" "$ONEDNN_PARTS" \
        $(((now - ONEDNN_START) / 60)) $(((now - ONEDNN_START) % 60))
    exit 0
fi

command -v "$cxx" >/dev/null 2>&1 || die "no C++ compiler ($cxx): run 'make deps', or install g++"
machine=$($cxx -dumpmachine)
case $machine in
x86_64-*) arch=x86_64 arch_flags=-DDNNL_X64=1 ;;
aarch64-*)
    arch=aarch64
    xbyak=source/src/cpu/aarch64/xbyak_aarch64
    arch_flags="-DDNNL_AARCH64=1 -I$xbyak -I$xbyak/src -I$xbyak/xbyak_aarch64"
    ;;
*) die "oneDNN is built for x86-64 and aarch64; this compiler is for $machine" ;;
esac
key=$({
    cat "$here/onednn.sh" "$here/onednn/trim.sh" "$here/onednn/batches.$arch" "$here/onednn/batches.any"
    $cxx -dumpfullversion
    echo "$machine"
} | sha256sum | cut -c1-12)
prefix=$cache/onednn-$version-$key

case ${1-} in
--prefix)
    echo "$prefix"
    exit 0
    ;;
'') ;;
*) die "unknown argument '$1'; usage: onednn.sh [--prefix]" ;;
esac
[ ! -e "$prefix/lib/libdnnl.a" ] || exit 0

# Asks apt for the source package of Debian $suite, with a private configuration made from the system's own archive
# entries, which it does not touch; needs no root. Trust comes from the checksum, so no keys are involved.
fetch_by_apt() {
    command -v apt-get >/dev/null 2>&1 && [ -r /etc/os-release ] || return 1
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
    apt=$cache/src/apt.$$
    mkdir -p "$apt/lists/partial" "$apt/archives/partial"
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        if [ -r "$list" ]; then
            echo
            cat "$list"
        fi
    done | awk -v codename="$codename" -v suite=$suite '
        # A main entry names the release alone: no "-security", "-updates", "-backports".
        function entry(uris, suites, components,    n, s, i, u) {
            n = split(suites, s, " ")
            for (i = 1; i <= n; i++)
                if (s[i] ~ "^(" codename "|" suite "|stable|testing|unstable|sid)$" && " " components " " ~ / main /) {
                    n = split(uris, u, " ")
                    for (i = 1; i <= n; i++)
                        if (u[i] !~ /security/) print "deb-src [trusted=yes]", u[i], suite, "main"
                    return
                }
        }
        /^[ \t]*#/ { next }
        /^deb(-src)?[ \t]/ {
            sub(/^deb(-src)?[ \t]+(\[[^]]*\][ \t]*)?/, "")
            uri = $1; release = $2
            $1 = $2 = ""
            entry(uri, release, $0)
            next
        }
        /^[ \t]*$/ { entry(field["uris"], field["suites"], field["components"]); split("", field); last = ""; next }
        /^[ \t]/ { if (last != "") field[last] = field[last] " " $0; next }
        /^[A-Za-z-]+:/ { last = tolower(substr($1, 1, length($1) - 1)); sub(/^[^:]*:/, ""); field[last] = $0 }
        END { entry(field["uris"], field["suites"], field["components"]) }
    ' | sort -u >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt";
Dir::Cache::archives "$apt/archives";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::http::Timeout "20";
CONF
    [ -s "$apt/sources.list" ] &&
        (
            cd "$apt"
            export APT_CONFIG="$apt/apt.conf"
            echo "oneDNN $version: fetching the source package from Debian $suite"
            apt-get -qq update && apt-get -qq source --download-only onednn
        ) >>"$build/build.log" 2>&1 &&
        [ -e "$apt/$tarball" ] && mv "$apt/$tarball" "$cache/src/$tarball" && rm -rf "$apt" && return
    rm -rf "$apt"
    return 1
}

fetch_by_git() {
    command -v git >/dev/null 2>&1 || return 1
    rm -rf "$cache/src/git.$$"
    GIT_TERMINAL_PROMPT=0 git -c advice.detachedHead=false clone -q --bare --depth 1 --branch v$version $repository \
        "$cache/src/git.$$" >>"$build/build.log" 2>&1 &&
        found=$(git -C "$cache/src/git.$$" rev-parse HEAD) &&
        if [ "$found" = $commit ]; then
            mv "$cache/src/git.$$" "$cache/src/onednn-$version.git"
        else
            rm -rf "$cache/src/git.$$"
            die "$repository: tag v$version is commit $found, expected $commit; do not build from it"
        fi && return
    rm -rf "$cache/src/git.$$"
    return 1
}

tarball_good() {
    [ -e "$cache/src/$tarball" ] && echo "$tarball_sha256  $cache/src/$tarball" | sha256sum -c --status
}

git_good() {
    [ -d "$cache/src/onednn-$version.git" ] && git -C "$cache/src/onednn-$version.git" cat-file -e $commit 2>/dev/null
}

trap 'rm -rf "$cache/src/apt.$$" "$cache/src/git.$$"' EXIT
trap 'exit 130' INT TERM

# Leaves the trimmed sources in source/, the two generated headers in include/, and the batches in batch/.
prepare() {
    rm -rf source include batch
    if ! tarball_good && ! git_good; then
        echo "oneDNN $version: fetching the source"
        fetch_by_apt && tarball_good || fetch_by_git || die "the source of oneDNN $version could not be fetched.
  With a network, run this once more. Without one, put Debian $suite's $tarball
  (sha256 $tarball_sha256)
  into $cache/src, or copy $prefix
  from a machine with the same compiler. What was tried: $build/build.log"
    fi
    mkdir source include batch
    if tarball_good; then
        command -v xz >/dev/null 2>&1 || die "no xz to unpack $tarball with: run 'make deps', or install xz-utils"
        tar xJf "$cache/src/$tarball" -C source --strip-components=1 --wildcards '*/include' '*/src/common' '*/src/cpu' \
            '*/LICENSE' '*/THIRD-PARTY-PROGRAMS'
    else
        git -C "$cache/src/onednn-$version.git" archive $commit include src/common src/cpu LICENSE THIRD-PARTY-PROGRAMS |
            tar x -C source
    fi
    sh "$here/onednn/trim.sh" source
    cp -r source/include/. include
    rm include/oneapi/dnnl/*.in
    settings="EXPERIMENTAL_UKERNEL TRAINING PRIMITIVE_CPU_ISA_ALL PRIMITIVE_GPU_ISA_ALL GEMM_KERNELS_ALL $primitives"
    awk -v settings="$settings" '
        BEGIN { n = split(settings, s, " "); for (i = 1; i <= n; i++) on["BUILD_" s[i]] = on["DNNL_" s[i]] = 1 }
        /^#cmakedefine01/ { print "#define", $2, ($2 in on) + 0; next }
        /^#cmakedefine .*_RUNTIME_/ { print "#define", $2, "DNNL_RUNTIME_" ($2 ~ /GPU/ ? "NONE" : "OMP"); next }
        /^#cmakedefine DNNL_GPU_VENDOR/ { print "#define", $2, "DNNL_VENDOR_NONE"; next }
        /^#cmakedefine/ { print ($2 in on) ? "#define " $2 : "/* #undef " $2 " */"; next }
        { print }
    ' source/include/oneapi/dnnl/dnnl_config.h.in >include/oneapi/dnnl/dnnl_config.h
    for header in dnnl_version dnnl_version_hash; do
        sed "s/@DNNL_VERSION_MAJOR@/3/; s/@DNNL_VERSION_MINOR@/7/; s/@DNNL_VERSION_PATCH@/2/; s/@DNNL_VERSION_HASH@/$commit/" \
            source/include/oneapi/dnnl/$header.h.in >include/oneapi/dnnl/$header.h
    done
    # A line is `LEVEL FILE...`. GET_OFF is a macro of many files, each with its own meaning.
    awk '/^O/ {
        out = sprintf("batch/%03d_%s.cpp", ++n, $1)
        for (i = 2; i <= NF; i++) printf "#include \"%s\"\n#undef GET_OFF\n", $i >out
        close(out)
    }' "$here/onednn/batches.$arch" "$here/onednn/batches.any"
    touch prepared
}

mkdir -p "$cache/src"
exec 9>"$prefix.lock"
flock -n 9 || {
    echo "oneDNN $version: another build is running; waiting for it"
    flock 9
}
[ ! -e "$prefix/lib/libdnnl.a" ] || exit 0
build=$prefix.build
mkdir -p "$build/object"
cd "$build"
touch build.log
[ -e prepared ] || prepare

# One compiler needs up to 1.3 GB. What the parts inherit of descriptor 9 keeps the lock while any of them runs.
jobs=$(nproc)
memory=$(awk '/^MemAvailable:/ { print int($2 / 1300000) }' /proc/meminfo)
[ "$memory" -ge "$jobs" ] || jobs=$memory
[ "$jobs" -ge 1 ] || jobs=1
export CXX="$cxx" ONEDNN_ARCH_FLAGS="$arch_flags" ONEDNN_START ONEDNN_PARTS
ONEDNN_START=$(date +%s)
ONEDNN_PARTS=$(find batch -name '*.cpp' | wc -l)
echo "oneDNN $version: compiling $ONEDNN_PARTS parts, $jobs at a time (about 10 CPU-minutes, once; log: $build/build.log)"
for part in batch/*.cpp; do
    part=$(basename "$part" .cpp)
    [ -e "object/$part.o" ] || echo "$part"
done | xargs -r -n 1 -P "$jobs" sh "$here/onednn.sh" --compile || die "oneDNN did not build; the log: $build/build.log"

rm -rf stage "$prefix"
mkdir -p stage/lib
${machine}-ar --version >/dev/null 2>&1 && ar=${machine}-ar || ar=ar
$ar rcs stage/lib/libdnnl.a object/*.o
cp -r include source/LICENSE source/THIRD-PARTY-PROGRAMS build.log stage
mv stage "$prefix"
cd /
rm -rf "$build"
echo "oneDNN $version: done, in $prefix"
