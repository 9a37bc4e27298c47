# SPDX-License-Identifier: GPL-3.0-or-later
# Builds, installs and checks pmlab. `make help` lists what can be asked for.
# Sources are found by folder: a new .c file needs no change here.

VERSION := 0.1.0
BUILD   ?= build$(if $(SAN),/san-$(SAN))
prefix  ?= /usr/local
bindir  ?= $(prefix)/bin
libdir  ?= $(prefix)/lib
includedir ?= $(prefix)/include
datadir ?= $(prefix)/share

all:

# ---- What was asked for -------------------------------------------------------------------------

ifneq ($(words $(CURDIR)),1)
  $(error the path of the source folder contains blanks: $(CURDIR))
endif
ifneq ($(words $(BUILD)),1)
  $(error BUILD must be one folder name without blanks, not '$(BUILD)')
endif
ifeq ($(abspath $(BUILD)),$(CURDIR))
  $(error BUILD must not be the source folder itself)
endif
# One spelling of the folder, because dependency files name their targets by it.
override BUILD := $(abspath $(BUILD))
ifneq ($(filter-out address undefined thread,$(SAN)),)
  $(error SAN=$(SAN) is unknown; it can be address, undefined or thread)
endif

# Quiet unless V=1: $(call say,CC,file) prints one line, $(Q) hides the command.
ifeq ($(V),1)
  Q   :=
  say :=
else
  Q   := @
  say = @printf '  %-5s %s\n' '$1' '$(patsubst $(CURDIR)/%,%,$2)'
endif

# ---- Packages -----------------------------------------------------------------------------------
# Flags of the libraries live in a generated file, because on a fresh machine there is neither pkg-config
# nor a compiler when this Makefile is read: make sees that the file is missing, makes it (which installs
# what is missing) and starts again.

ifeq ($(origin CC),default)
  CC := gcc
endif
export CC

NO_CONFIG_GOALS := clean help uninstall
ifneq ($(if $(MAKECMDGOALS),$(filter-out $(NO_CONFIG_GOALS),$(MAKECMDGOALS)),all),)
  include $(BUILD)/config.mk
endif

$(BUILD)/config.mk: cli/install-packages.sh
	@sh cli/install-packages.sh build $@

.PHONY: packages-test packages-demo packages-mutants
packages-test packages-demo packages-mutants: packages-%:
	@sh cli/install-packages.sh $*

# ---- Flags --------------------------------------------------------------------------------------

CFLAGS_address   := -fsanitize=address -fno-omit-frame-pointer
CFLAGS_undefined := -fsanitize=undefined -fno-sanitize-recover=all
CFLAGS_thread    := -fsanitize=thread

CFLAGS   ?= $(if $(SAN),-O1,-O3) -g
SANFLAGS := $(if $(SAN),$(CFLAGS_$(SAN)))
# Strict inside, where numbers are converted on purpose only; the edges deal with text and foreign interfaces.
STRICT_FOLDERS := core sim real policies workloads memnet
warnings = -Wall -Wextra -Wshadow $(if $(filter $(STRICT_FOLDERS),$(firstword $(subst /, ,$1))),-Wconversion)
# Equal values on every machine: no fused multiply-add, except in the kernels, which promise no more than
# their tests check.
is_kernel = $(and $(filter workloads/%,$1),$(findstring kernel,$(notdir $1)))
contract  = $(if $(call is_kernel,$1),,-ffp-contract=off)
pic       = $(if $(filter sim/%,$1),-fPIC)

ALL_CPPFLAGS = -I. $(SIMGRID_CFLAGS) $(GSL_CFLAGS) $(SQLITE3_CFLAGS) $(XXHASH_CFLAGS) $(LZ4_CFLAGS) \
               $(INIH_CFLAGS) $(CPPFLAGS)
# No math function is asked for errno: without it sqrtf is one instruction, and loops around it vectorise.
ALL_CFLAGS   = -std=gnu11 -fno-math-errno -fvisibility=default -pthread $(SANFLAGS) $(CFLAGS)
ALL_LDFLAGS  = -pthread $(SANFLAGS) $(LIBSTDCXX_$(SAN)) $(LDFLAGS)
# AddressSanitizer wants to see C++'s exceptions from the start, not only when the simulator is loaded.
LIBSTDCXX_address := -Wl,--no-as-needed -l:libstdc++.so.6 -Wl,--as-needed
# The simulator and outside policies are shared objects that use the program's own core: export its symbols.
EXPORT       = -rdynamic
ALL_LDLIBS   = $(GSL_LIBS) $(SQLITE3_LIBS) $(XXHASH_LIBS) $(LZ4_LIBS) $(INIH_LIBS) -ldl -lm $(LDLIBS)

# What the compiler says is also kept next to the object, so that tests/check_warnings.sh sees it after any
# partial build. $(call compile,source,object,further flags)
define compile
@mkdir -p $(dir $2)
$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(call warnings,$1) $(call contract,$1) $(call pic,$1) -MMD -MP \
    -c -o $2 $1 2>$2.log || { cat $2.log >&2; rm -f $2; exit 1; }
@cat $2.log >&2
endef

# ---- Sources ------------------------------------------------------------------------------------
# WITHOUT='results/% cli/%' leaves sources out, for work on one part while another is in pieces.

sources  = $(filter-out $(WITHOUT),$(wildcard $(addsuffix /*.c,$1)))
objects  = $(patsubst %.c,$(BUILD)/%.o,$1)

LIB_SRC  := $(sort $(call sources,core real policies workloads))
APP_SRC  := $(sort $(filter-out cli/main.c,$(call sources,results cli memnet)))
SIM_SRC  := $(sort $(call sources,sim))
GEN_OBJ  := $(BUILD)/gen/registry.o $(BUILD)/gen/version.o
LIB_OBJ  := $(call objects,$(LIB_SRC)) $(GEN_OBJ)
APP_OBJ  := $(call objects,$(APP_SRC))
SIM_OBJ  := $(call objects,$(SIM_SRC))

# Test programs are known by their names; every other .c file in tests/ is a helper that all of them are
# linked with.
TEST_KINDS       := unit proto contract e2e soak
TEST_PROGRAM_SRC := $(sort $(wildcard $(patsubst %,tests/%_*.c,$(TEST_KINDS))))
TEST_HELPER_SRC  := $(sort $(filter-out $(TEST_PROGRAM_SRC) $(WITHOUT),$(wildcard tests/*.c)))
BENCH_SRC        := $(sort $(wildcard tests/bench/*.c))
TEST_PROGRAMS    := $(patsubst %.c,$(BUILD)/%,$(TEST_PROGRAM_SRC))
BENCH_PROGRAMS   := $(patsubst %.c,$(BUILD)/%,$(BENCH_SRC))
TEST_HELPER_OBJ  := $(call objects,$(TEST_HELPER_SRC))
$(TEST_HELPER_OBJ) $(addsuffix .o,$(TEST_PROGRAMS) $(BENCH_PROGRAMS)): | packages-test

PROGRAM := $(if $(call sources,cli),$(if $(wildcard cli/main.c),$(BUILD)/pmlab))
SIM     := $(if $(SIM_SRC),$(BUILD)/pmlab-sim.so)
LIBRARY := $(BUILD)/libpmlab.a

.PHONY: all demo figures check bench soak fuzz mutants install uninstall clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAM) $(SIM) $(LIBRARY)

# ---- Building -----------------------------------------------------------------------------------

# $(call when_changed): keeps the old file, and so its date, when the recipe's standard output is the same
# as before.
when_changed = mkdir -p $(@D); cat >$@.new; if cmp -s $@.new $@; then rm -f $@.new; else mv -f $@.new $@; fi

$(BUILD)/flags: FORCE
	@printf '%s\n' '$(CC)' '$(ALL_CPPFLAGS)' '$(ALL_CFLAGS)' '$(ALL_LDFLAGS)' '$(ALL_LDLIBS)' \
	    | { $(when_changed); }

# A deleted source leaves nothing that is newer than the program: the list itself is what links depend on.
$(BUILD)/sources: FORCE
	@printf '%s\n' $(LIB_SRC) $(APP_SRC) $(SIM_SRC) $(TEST_HELPER_SRC) | { $(when_changed); }

$(BUILD)/%.o: %.c $(BUILD)/flags
	$(call say,CC,$<)
	$(call compile,$<,$@)

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c $(BUILD)/flags
	$(call say,CC,$<)
	$(call compile,$<,$@)

# The policies and workloads of the tree, found by the line that defines each one's table.
MODULE_SRC := $(filter policies/% workloads/%,$(LIB_SRC))
# $(call module_names,one): a shell command that prints the names of all tables of this kind.
module_names = sed -n "s/^const struct pm_$1 pm_$1_\([A-Za-z0-9_]*\).*/\1/p" $(MODULE_SRC) /dev/null \
               | LC_ALL=C sort

$(BUILD)/gen/registry.c: FORCE
	@{ echo '/* Generated by the Makefile. */'; \
	   echo '#include "core/registry.h"'; \
	   for kind in policy:policies workload:workloads; do \
	       one=$${kind%%:*}; many=$${kind##*:}; \
	       names=$$($(call module_names,$${one})); \
	       for name in $$names; do echo "extern const struct pm_$$one pm_$${one}_$$name;"; done; \
	       echo "const struct pm_$$one *const pm_registry_$$many[] = {"; \
	       for name in $$names; do echo "    &pm_$${one}_$$name,"; done; \
	       echo '    0'; \
	       echo '};'; \
	   done; } | { $(when_changed); }

# The version of a build from a git work tree also names the commit.
$(BUILD)/gen/version.c: FORCE
	@commit=$$(git describe --always --dirty --exclude '*' 2>/dev/null) || commit=; \
	 printf '%s\n' '/* Generated by the Makefile. */' '#include "core/registry.h"' \
	     "const char pm_version[] = \"$(VERSION)$${commit:+-g$$commit}\";" | { $(when_changed); }

$(LIBRARY): $(LIB_OBJ) $(BUILD)/sources
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)

$(BUILD)/pmlab: $(BUILD)/cli/main.o $(APP_OBJ) $(LIB_OBJ) $(BUILD)/sources
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(EXPORT) -o $@ $(filter %.o,$^) $(ALL_LDLIBS)

$(BUILD)/pmlab-sim.so: $(SIM_OBJ) $(BUILD)/sources
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -o $@ $(filter %.o,$^) $(SIMGRID_LIBS) -lm

TEST_PARTS := $(TEST_HELPER_OBJ) $(APP_OBJ) $(LIB_OBJ) $(BUILD)/sources

$(TEST_PROGRAMS) $(BENCH_PROGRAMS): %: %.o $(TEST_PARTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(EXPORT) -o $@ $(filter %.o,$^) $$(pkg-config --libs cmocka) $(ALL_LDLIBS)

-include $(patsubst %.o,%.d,$(LIB_OBJ) $(APP_OBJ) $(SIM_OBJ) $(TEST_HELPER_OBJ) $(BUILD)/cli/main.o)
-include $(addsuffix .d,$(TEST_PROGRAMS) $(BENCH_PROGRAMS))

# The part of the simulator that needs no SimGrid.
$(BUILD)/tests/unit_sim_cost: $(BUILD)/sim/cost.o

# ---- Running ------------------------------------------------------------------------------------

# What scripts under tests/ and plots/ are told about this build.
ENVIRONMENT = PMLAB=$(BUILD)/pmlab PMLAB_SIM=$(BUILD)/pmlab-sim.so PMLAB_BUILD=$(BUILD) PMLAB_SAN=$(SAN)

demo: all packages-demo
	@$(ENVIRONMENT) bash plots/demo.sh $(BUILD)/pmlab demo

# run.sh asks for the build, so that what builds is tested while something else does not.
# TESTS='unit_slots check_tidy' runs only these.
check: packages-test
	+@$(ENVIRONMENT) MAKE='$(MAKE)' bash tests/run.sh $(TESTS)

bench: all $(BENCH_PROGRAMS)
	@$(ENVIRONMENT) bash tests/bench/run.sh

# ONLY='unit_trace unit_ini' runs only these.
ONLY ?= proto_message proto_hostile unit_intent unit_option unit_spec unit_ratings unit_libsvm unit_graph unit_kge unit_trace \
        unit_trace_text unit_ini unit_sim_cost unit_results unit_sim_failures
TIMES ?= 10

fuzz: $(SIM) $(patsubst %,$(BUILD)/tests/%,$(ONLY))
	@$(ENVIRONMENT) bash tests/fuzz.sh $(TIMES) $(ONLY)

figures: all packages-demo
	@mkdir -p figures
	@set -e; for name in $$($(BUILD)/pmlab list figures | cut -d ' ' -f 1); do \
	    $(BUILD)/pmlab figure "$$name" --db figures/results.db --output figures --jobs 2; done

SOAK_PROGRAMS := $(filter $(BUILD)/tests/soak_%,$(TEST_PROGRAMS))
EVENTS        ?= 100000000

soak: all $(SOAK_PROGRAMS)
	$(if $(SOAK_PROGRAMS),,$(error there is no tests/soak_*.c))
	@set -e; for program in $(SOAK_PROGRAMS); do $(ENVIRONMENT) EVENTS=$(EVENTS) $$program; done

mutants: packages-mutants packages-test
	+@$(ENVIRONMENT) MAKE='$(MAKE)' bash tests/mutants/run.sh

# ---- Installing ---------------------------------------------------------------------------------

install: all
	@install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/pmlab $(DESTDIR)$(libdir)/pkgconfig \
	    $(DESTDIR)$(includedir)/pmlab/core $(DESTDIR)$(datadir)/pmlab/plots $(DESTDIR)$(datadir)/man/man1
	$(if $(PROGRAM),$(Q)install -m 755 $(PROGRAM) $(DESTDIR)$(bindir)/pmlab)
	$(if $(SIM),$(Q)install -m 644 $(SIM) $(DESTDIR)$(libdir)/pmlab/pmlab-sim.so)
	$(Q)install -m 644 $(LIBRARY) $(DESTDIR)$(libdir)/libpmlab.a
	$(Q)install -m 644 $$(grep -L 'Not installed' core/*.h) $(DESTDIR)$(includedir)/pmlab/core/
	$(if $(wildcard plots/*),$(Q)cp -R plots/. $(DESTDIR)$(datadir)/pmlab/plots/)
	$(if $(wildcard docs/pmlab.1),$(Q)install -m 644 docs/pmlab.1 $(DESTDIR)$(datadir)/man/man1/pmlab.1)
	@printf '%s\n' 'prefix=$(prefix)' 'libdir=$(libdir)' 'includedir=$(includedir)' '' \
	    'Name: pmlab' 'Description: parameter management for training large sparse models' \
	    'Version: $(VERSION)' \
	    'Cflags: -I$${includedir}/pmlab -pthread' 'Libs: -L$${libdir} -lpmlab $(GSL_LIBS) $(LZ4_LIBS) -pthread -lm' \
	    >$(DESTDIR)$(libdir)/pkgconfig/pmlab.pc

# Removes what install has put there and the folders that are ours alone.
uninstall:
	$(Q)rm -f $(DESTDIR)$(bindir)/pmlab $(DESTDIR)$(libdir)/libpmlab.a $(DESTDIR)$(libdir)/pkgconfig/pmlab.pc \
	    $(DESTDIR)$(datadir)/man/man1/pmlab.1
	$(Q)rm -rf $(DESTDIR)$(libdir)/pmlab $(DESTDIR)$(includedir)/pmlab $(DESTDIR)$(datadir)/pmlab

# Only a folder that this Makefile has filled.
clean:
	$(Q)if [ -e $(BUILD)/config.mk ]; then rm -rf $(BUILD); fi

help:
	@printf '%s\n' \
	    'make            build build/pmlab, pmlab-sim.so and libpmlab.a; installs missing packages first' \
	    'make demo       compare policies on a simulated cluster; table, database and report in demo/' \
	    'make figures    run what the figures of plots/ need and draw them in figures/' \
	    'make check      run every test and check; TESTS="unit_slots check_tidy" runs only these' \
	    'make bench      measure against limits taken in the same run' \
	    'make soak       random protocol events, EVENTS=100000000' \
	    'make fuzz       damaged messages, texts and files: TIMES=10 is a million of each; ONLY="unit_trace unit_ini"' \
	    'make mutants    break the protocol on purpose; every break must be noticed' \
	    'make install    prefix=/usr/local DESTDIR=;  make uninstall undoes it' \
	    'make clean      remove the build folder' \
	    'V=1             print the commands' \
	    'SAN=            address, undefined or thread: a sanitizer build in build/san-...' \
	    'BUILD=          another build folder' \
	    'WITHOUT=        sources to leave out, such as "results/% cli/%"'
