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

name 'without root the one command is printed'
echo 'echo 1000' | fake id
check_exit 1 "$deps </dev/null"
check_err '^  sudo apt-get install -y --no-install-recommends libpng-dev nettle-dev$'
check '! test -e apt.log'

name 'with root the packages are installed, without a question'
echo 'echo 0' | fake id
check_exit 0 "APT_STATUS=0 $deps"
check 'grep -q "^noninteractive .*install -y --no-install-recommends libpng-dev nettle-dev$" apt.log'

name 'what apt cannot install is said'
check_exit 1 "$deps"
check_err '^deit: apt could not install: libpng-dev nettle-dev'

name 'offline and without a cache: what to do'
echo 'exit 1' | fake git
check_exit 1 'XDG_CACHE_HOME=$PWD/cache PATH=$PWD/bin:$PATH "$TREE/src/tools/onednn.sh"'
check_err 'the source of oneDNN [0-9.]+ could not be fetched'
check_err 'put Debian trixie.s onednn_.*\.orig\.tar\.xz'
check_err 'into .*cache/deit/src, or copy'
check '! ls cache/deit/*/lib'
