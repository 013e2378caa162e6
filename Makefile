# make            build ./deit (installs nothing; says what is missing)
# make repro      install what is needed, build, print Table 5
# make test       install what is needed, build, run all tests
# make help       the other targets

PREFIX ?= /usr/local
ifeq ($(origin CC),default)
CC = gcc
endif
CFLAGS = -O2
WARN = -Wall -Wextra -Wno-psabi
WERROR = -Werror
# LDEXTRA and STATIC= serve to link a shared oneDNN while developing: make ONEDNN=PREFIX STATIC= LDEXTRA=...
STATIC = -static
LDEXTRA =
GC = -Wl,--gc-sections

# oneDNN is built once into a cache folder; ONEDNN=PREFIX takes another build (include/, lib/).
ifdef ONEDNN
ONEDNN_READY =
else
ONEDNN := $(shell CXX='$(CXX)' src/tools/onednn.sh --prefix 2>/dev/null)
# What ./deit was built with serves as well: sudo make install has another home.
ONEDNN_BEFORE := $(shell cat build/onednn.path 2>/dev/null)
ifeq ($(notdir $(ONEDNN_BEFORE)),$(notdir $(ONEDNN)))
ONEDNN := $(if $(wildcard $(ONEDNN_BEFORE)/lib/libdnnl.a),$(ONEDNN_BEFORE),$(ONEDNN))
endif
ONEDNN_READY = $(ONEDNN)/lib/libdnnl.a
endif

LIBS = -L$(ONEDNN)/lib -ldnnl -larchive -ljansson -lpng -ljpeg -lnettle -llzma -lzstd -lbz2 -lz -lstdc++ -lm -lpthread
INCLUDES = -Isrc -Ibuild -I$(ONEDNN)/include
BASE = -std=gnu11 -fopenmp $(INCLUDES)
DEFINE_FLAGS = '-DDEIT_FLAGS="$(strip $(1))"'

# What SANITIZE=1 changes: a dynamic build of its own, with checks.
ifdef SANITIZE
OUT = build/asan
TEST_DEIT = build/asan/deit
TEST_FLAGS = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
else
OUT = build
TEST_DEIT = deit
TEST_FLAGS = -O1 -g
endif

# *.c and *.h of src, and what is embedded in the program.
SOURCES = $(shell find src -name '*.[ch]' -o -name '*.inc')
EMBEDDED = LICENSE NOTICE $(sort $(filter-out %.md %.html %.json repro/results,$(wildcard repro/*)) bench/published.tsv src/data/manifest.tsv weights/manifest.tsv)
COMMIT := $(shell [ -e .git ] && git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)

all: check-deps
	@$(MAKE) --no-print-directory deit

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile | awk -F '  +' '{ printf "%-22s%s\n", $$1, $$2 }'

deps:
	@src/tools/deps.sh
	@src/tools/deps.sh data || echo 'deit: without Fashion-MNIST: what reads it will be skipped' >&2
check-deps:
	@src/tools/deps.sh --check

# make deps         install what building needs, through apt (root or sudo -n)
repro: deps
	@$(MAKE) --no-print-directory deit
	./deit repro table5

# ---- The program ----

$(ONEDNN_READY):
	@CXX='$(CXX)' src/tools/onednn.sh

# Rewritten only when the commit or the files changed, so that nothing is compiled for nothing.
build/version.h: FORCE
	@mkdir -p build
	@{ printf '#ifndef DEIT_COMMIT\n#define DEIT_COMMIT "%s"\n#endif\n' '$(COMMIT)'; \
	   printf '#ifndef DEIT_FLAGS\n#define DEIT_FLAGS ""\n#endif\n'; \
	   printf '#ifdef __clang__\n#define DEIT_COMPILER __VERSION__\n#else\n#define DEIT_COMPILER "gcc " __VERSION__\n#endif\n'; } >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

build/embed.h: $(EMBEDDED) src/tools/embed.awk Makefile
	@mkdir -p build
	@awk -f src/tools/embed.awk $(EMBEDDED) >$@.new && mv $@.new $@

build/deit.c: $(SOURCES) build/version.h build/embed.h src/tools/flatten.awk
	@awk -v ROOTS='src build' -f src/tools/flatten.awk src/deit.c >$@.new && mv $@.new $@

build/deit.h: src/deit.h
	@mkdir -p build
	@cp $< $@

# make amalgamation  build/deit.c and build/deit.h, to drop into other programs
amalgamation: build/deit.c build/deit.h

DEIT_FLAGS = -std=gnu11 $(CFLAGS) -fopenmp $(STATIC)
build/deit.o: build/deit.c build/deit.h $(ONEDNN_READY)
	$(CC) $(DEIT_FLAGS) $(WARN) -DDEIT_MAIN $(call DEFINE_FLAGS,$(DEIT_FLAGS)) -Ibuild -I$(ONEDNN)/include -c build/deit.c -o $@
# The linker warns that libgomp could dlopen a plugin for a GPU; deit never asks it to.
deit: build/deit.o
	@echo '$(CC) $(DEIT_FLAGS) build/deit.o -o $@ $(GC) $(LDEXTRA) $(LIBS)'
	@$(CC) $(DEIT_FLAGS) build/deit.o -o $@.new $(GC) $(LDEXTRA) $(LIBS) 2>build/link.log || { cat build/link.log >&2; exit 1; }
	@sed '/gomp_target_init/d; /Using .dlopen. in statically linked/d; /does not take linker garbage collection/d' build/link.log >&2
	@mv $@.new $@
	@echo '$(ONEDNN)' >build/onednn.path

# ---- Daily work: the parts one by one ----

DEV_PARTS = $(shell find src -name '*.c' ! -path src/deit.c)
DEV_OBJECTS = $(DEV_PARTS:src/%.c=build/dev/%.o)
# make dev          build the parts one by one into build/dev/deit
dev: $(if $(wildcard src/cli/main.c),build/dev/deit,$(DEV_OBJECTS))
build/dev/%.o: src/%.c Makefile | build/version.h build/embed.h $(ONEDNN_READY)
	@mkdir -p $(@D)
	@echo '  CC $<'
	@$(CC) $(BASE) -O2 -g $(WARN) $(WERROR) -DDEIT_MAIN -MMD -c $< -o $@
build/dev/deit: $(DEV_OBJECTS)
	@echo '  LD $@'
	@$(CC) -fopenmp $(DEV_OBJECTS) -o $@ $(LDEXTRA) $(LIBS)
-include $(shell find build/dev -name '*.d' 2>/dev/null)

# ---- Tests ----

# make test SANITIZE=1   the same under ASan and UBSan
test: deps
	@[ "$(SANITIZE)" ] || src/tools/deps.sh cross || echo 'deit: without a compiler for aarch64: its test will be skipped' >&2
	@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j2) test-programs
	@$(MAKE) --no-print-directory run-tests
run-tests: test-programs
	@DEIT='$(CURDIR)/$(TEST_DEIT)' OUT=$(OUT) CC='$(CC)' CXX='$(CXX)' DROPIN_LIBS='$(LDEXTRA) $(LIBS)' ONEDNN=$(ONEDNN) \
	    SANITIZE=$(SANITIZE) tests/run.sh
# make test-golden  the golden tests alone (DEIT_GOLDEN, DEIT_GOLDEN_SALT, DEIT_GOLDEN_INPUTS: the photos' pictures)
test-golden: $(OUT)/unit
	$(OUT)/unit golden_
# make unit         build the unit tests' program
unit: $(OUT)/unit

test-programs: $(TEST_DEIT) $(OUT)/unit $(OUT)/fuzz build/deit.c build/deit.h

UNIT_TESTS = $(sort $(wildcard tests/unit/test_*.c))
build/unit_tests.h: FORCE
	@mkdir -p build
	@printf '%s\n' $(UNIT_TESTS:%='#include "../%"') >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

UNIT_SOURCES = $(SOURCES) tests/unit/main.c tests/unit/test.h $(UNIT_TESTS) build/unit_tests.h build/version.h build/embed.h
$(OUT)/unit: $(UNIT_SOURCES) $(ONEDNN_READY)
	@mkdir -p $(OUT)
	$(CC) $(BASE) $(TEST_FLAGS) $(WARN) $(WERROR) tests/unit/main.c -o $@ $(LDEXTRA) $(LIBS)
$(OUT)/fuzz: $(SOURCES) $(wildcard tests/fuzz/*.[ch]) build/version.h build/embed.h $(ONEDNN_READY)
	@mkdir -p $(OUT)
	$(CC) $(BASE) $(TEST_FLAGS) $(WARN) $(WERROR) tests/fuzz/main.c -o $@ $(LDEXTRA) $(LIBS)
build/asan/deit: $(SOURCES) build/version.h build/embed.h $(ONEDNN_READY)
	@mkdir -p build/asan
	$(CC) $(BASE) $(TEST_FLAGS) $(WARN) $(WERROR) -DDEIT_MAIN $(call DEFINE_FLAGS,$(TEST_FLAGS)) src/deit.c -o $@ $(LDEXTRA) $(LIBS)

# make build/steps build/batches   what bench/peers/train.py runs
build/batches: bench/peers/batches.c build/deit.c $(ONEDNN_READY)
	$(CC) -std=gnu11 $(CFLAGS) -fopenmp $(WARN) -Ibuild -I$(ONEDNN)/include bench/peers/batches.c -o $@ $(GC) $(LDEXTRA) $(LIBS)
build/steps: bench/peers/steps.c build/deit.c build/deit.h $(ONEDNN_READY)
	$(CC) -std=gnu11 $(CFLAGS) -fopenmp $(WARN) -Ibuild -I$(ONEDNN)/include bench/peers/steps.c build/deit.c -o $@ $(GC) $(LDEXTRA) $(LIBS)

# make bench-check  speed targets beside other engines, Pillow and the GEMM peak; takes two hours and an idle machine
bench-check: deit $(OUT)/unit
	tests/bench_check.sh ./deit $(OUT)/unit

# make regress      Table 5 against bench/baseline-ISA.json, of the instructions that oneDNN uses here: the shipped checkpoints'
#                   accuracies to the image and, on the file's processor, speed relative to the GEMM peak; fails with a table of
#                   what moved. Where there is none, against avx2's, accuracies alone. make baseline writes that file anew
REGRESS = ./deit repro table5 --scale desk --fresh --results build/regress
BASELINE = bench/baseline-$$(./deit doctor | sed -n 's/^oneDNN .* uses \([a-z0-9_]*\).*/\1/p').json
regress: deit
	file=$(BASELINE); [ -e $$file ] || file=bench/baseline-avx2.json; $(REGRESS) --baseline $$file
baseline: deit
	$(REGRESS) --json $(BASELINE)

# make lint         clang-format, cppcheck, clang-tidy
lint: build/version.h build/embed.h $(ONEDNN_READY)
	@src/tools/deps.sh lint
	@CC='$(CC)' ONEDNN=$(ONEDNN) src/tools/lint.sh

# ---- The rest ----

# make install      PREFIX (default /usr/local), DESTDIR
AT = "$(DESTDIR)$(PREFIX)
install: deit build/deit.c build/deit.h
	install -d $(AT)/bin" $(AT)/include" $(AT)/share/man/man1" $(AT)/share/deit/weights"
	install -m 755 deit $(AT)/bin/deit"
	install -m 644 build/deit.h $(AT)/include/deit.h"
	install -m 644 build/deit.c LICENSE NOTICE $(AT)/share/deit"
	install -m 644 src/cli/deit.1 $(AT)/share/man/man1/deit.1"
	install -m 644 weights/* $(AT)/share/deit/weights"

# make clean        remove what was built here (oneDNN stays in its cache)
clean:
	rm -rf build deit deit.new

FORCE:
.PHONY: all help deps check-deps repro amalgamation dev test test-golden unit test-programs run-tests bench-check regress baseline lint install clean FORCE
.DELETE_ON_ERROR:
