# The tools behind make: what they say on a machine that lacks packages, rights or a network. Programs of the system are
# played by scripts in bin/, so nothing is installed or fetched.

mkdir -p bin
fake() { # fake NAME: standard input is what it does
    { echo '#!/bin/sh' && cat; } >"bin/$1"
    chmod +x "bin/$1"
}
# Every package that is asked for is there, except two.
fake dpkg-query <<'END'
for word; do case $word in -*|*Status*|libpng-dev|nettle-dev) ;; *) echo "installed $word" ;; esac; done
END
fake apt-get <<'END'
echo "$DEBIAN_FRONTEND $*" >>apt.log
exit ${APT_STATUS:-1}
END
echo 'exit 1' | fake sudo
deps='PATH=$PWD/bin:$PATH "$TREE/src/tools/deps.sh"'

name 'make installs nothing and says what is missing'
check_exit 1 "$deps --check"
check_err '^deit: missing packages: libpng-dev nettle-dev$'
check_err 'make deps'
check '! test -e apt.log'

name 'without root the one command is printed, which fetches the package lists too'
echo 'echo 1000' | fake id
echo '[ "$1" != -n ] && exec "$@"' | fake sudo # it asks for a password
check_exit 1 "$deps </dev/null"
check_err "^  sudo sh -c 'apt-get update; apt-get install -y --no-install-recommends libpng-dev nettle-dev'\$"
check '! test -e apt.log'
check "$deps 2>&1 | sed -n 's/^  sudo/sudo/p' >command"
check '! PATH=$PWD/bin:$PATH DEBIAN_FRONTEND=dialog sh command' # one source is broken: the packages are asked for all the same
check '[ "$(cat apt.log)" = "dialog update
dialog install -y --no-install-recommends libpng-dev nettle-dev" ]'

name 'with root the packages are installed, without a question'
echo 'echo 0' | fake id
check_exit 0 "APT_STATUS=0 $deps"
check 'grep -q "^noninteractive .*install -y --no-install-recommends libpng-dev nettle-dev$" apt.log'

name 'not root, but with sudo: the same through it'
echo 'echo 1000' | fake id
rm -f apt.log
fake sudo <<'END'
echo "$*" >>sudo.log
shift
[ "$1" = true ] || exec "$@"
END
check_exit 0 "APT_STATUS=0 $deps"
check '! grep -v "^-n " sudo.log && grep -q "^-n env .*install -y --no-install-recommends libpng-dev nettle-dev$" sudo.log'
check 'grep -q "^noninteractive .*install -y " apt.log'
echo 'echo 0' | fake id

name 'what apt cannot install is said'
check_exit 1 "$deps"
check_err '^deit: apt could not install: libpng-dev nettle-dev'

name 'make install: PREFIX and DESTDIR'
if [ ! -x "$TREE/deit" ] || [ ! -f "$TREE/build/deit.c" ]; then skip 'make has not built here'; fi
check_exit 0 'make -s -C "$TREE" -o deit -o build/deit.c -o build/deit.h install DESTDIR="$PWD/root" PREFIX=/usr SANITIZE='
check 'cmp "$TREE/deit" root/usr/bin/deit && root/usr/bin/deit --version'
check 'cmp "$TREE/src/deit.h" root/usr/include/deit.h && cmp "$TREE/src/cli/deit.1" root/usr/share/man/man1/deit.1'
check 'cmp "$TREE/build/deit.c" root/usr/share/deit/deit.c && test -s root/usr/share/deit/NOTICE'
check '[ "$(ls root/usr/share/deit/weights)" = "$(ls "$TREE/weights")" ]'

name 'offline and without a cache: what to do'
echo 'exit 1' | fake git
check_exit 1 'XDG_CACHE_HOME=$PWD/cache PATH=$PWD/bin:$PATH "$TREE/src/tools/onednn.sh"'
check_err 'the source of oneDNN [0-9.]+ could not be fetched'
check_err 'put Debian trixie.s onednn_.*\.orig\.tar\.xz'
check_err 'into .*cache/deit/src, or copy'
check '! ls cache/deit/*/lib'

# What comes under the expected name is checked before anything is built from it.
onednn='PATH=$PWD/bin:$PATH "$TREE/src/tools/onednn.sh"'
nothing_built() { ! ls "$1"/deit/onednn-*/lib && ! ls "$1"/deit/onednn-*.build/source; }

name 'a source package of oneDNN that is not the expected one is not built from'
fake apt-get <<'END'
echo "$*" >>"$XDG_CACHE_HOME/apt.log"
case $* in *source*) tar cJf 'onednn_3.7.2+ds.orig.tar.xz' -C "$TREE" LICENSE ;; esac
END
mkdir wrong_package
check_exit 1 "TREE=\$TREE XDG_CACHE_HOME=\$PWD/wrong_package $onednn"
grep -q 'source .*onednn' wrong_package/apt.log 2>/dev/null || skip 'no Debian or Ubuntu here: apt is not asked'
check_err 'the source of oneDNN [0-9.]+ could not be fetched'
check 'test -e wrong_package/deit/src/onednn_*.orig.tar.xz && nothing_built wrong_package'

name 'a tag of oneDNN that is another commit is not built from'
echo 'exit 1' | fake apt-get
fake git <<'END'
case $* in
*clone*) for to; do :; done && mkdir -p "$to" ;;
*rev-parse*) echo 0123456789abcdef0123456789abcdef01234567 ;;
*archive*) tar c -C "$TREE" LICENSE ;;
esac
END
check_exit 1 "TREE=\$TREE XDG_CACHE_HOME=\$PWD/wrong_tag $onednn"
check_err 'tag v[0-9.]+ is commit 0123456789abcdef0123456789abcdef01234567, expected [0-9a-f]{40}; do not build from it'
check '! ls wrong_tag/deit/src | grep . && nothing_built wrong_tag'
