"""The Makefile of a bundle: GNU make and POSIX tools, no Python."""

from __future__ import annotations

from collections.abc import Sequence

from lns.design import Design

__all__ = ["makefile_text"]


def makefile_text(design: Design, name: str, instances: Sequence[str]) -> str:
    """Lint, simulation and synthesis of every wrapper, or of those that UNIT names."""
    return _TEXT.replace("@DESIGN@", design.name.replace("\n", " ")).replace("@NAME@", name).replace(
        "@INSTANCES@", " \\\n  ".join(instances)
    )


_TEXT = r"""# The Verilog of the design @DESIGN@: lint, simulation, synthesis. `make help` tells.
# Everything runs from this folder, relative to which the Verilog names its ROM images.

IVERILOG  ?= iverilog
VVP       ?= vvp
VERILATOR ?= verilator
YOSYS     ?= yosys
SHA256SUM ?= sha256sum
SIM       ?= icarus

INSTANCES := @INSTANCES@
UNIT ?= $(INSTANCES)

ifneq ($(filter-out $(INSTANCES),$(UNIT)),)
$(error there is no UNIT $(filter-out $(INSTANCES),$(UNIT)); `make list` names them all)
endif
ifeq ($(filter $(SIM),icarus verilator),)
$(error SIM must be icarus or verilator, got $(SIM))
endif

.PHONY: help list lint sim synth check clean
help:
	@echo 'make list                 the instances'
	@echo 'make lint                 Verilator, all warnings'
	@echo 'make sim                  every bench, in Icarus Verilog'
	@echo 'make sim SIM=verilator    ... in Verilator'
	@echo 'make synth                Yosys, generic gates; netlists in build/synth/'
	@echo 'make check                whether a file differs from what was written'
	@echo 'make clean                remove build/'
	@echo 'UNIT=NAME                 with lint, sim and synth: this instance alone'
	@echo 'IVERILOG= VVP= VERILATOR= YOSYS= SHA256SUM=   other programs'

list:
	@for name in $(INSTANCES); do echo $$name; done

lint: $(addprefix lint-,$(UNIT))
	@echo "lint: $(words $(UNIT)) wrappers without a warning"

sim: $(addprefix sim-$(SIM)-,$(UNIT))
	@echo "sim: $(words $(UNIT)) benches passed in $(SIM)"

synth: $(addprefix synth-,$(UNIT))
	@echo "synth: $(words $(UNIT)) wrappers, netlists and counts in build/synth/"

check:
	@$(call need,$(SHA256SUM),coreutils,SHA256SUM)
	@mkdir -p build
	@$(SHA256SUM) -c SHA256SUMS >build/check.log 2>&1 || { grep -v ': OK$$' build/check.log >&2; exit 1; }
	@echo "check: $$(wc -l <SHA256SUMS) files as they were written"

clean:
	rm -rf build

# $(call need,program,package,variable)
need = command -v $(firstword $(1)) >/dev/null || { \
  echo "$(firstword $(1)) was not found: install $(2), or say where it is: $(3)=/path/to/program" >&2; exit 2; }

# $(call quiet,log,command): the end of the log is shown if the command fails
quiet = $(2) >$(1) 2>&1 || { tail -n 40 $(1) >&2; echo "$@ FAILED" >&2; exit 1; }

# $(call verdict,log,command): a bench passes if it says so, and no memory image was missing, short or malformed
verdict = if $(2) >$(1) 2>&1 && grep -q '^PASSED' $(1) && ! grep -qiE '^(%?(warning|error))' $(1); then \
  grep '^PASSED' $(1); else tail -n 20 $(1) >&2; echo "$@ FAILED" >&2; exit 1; fi

.PHONY: need-icarus need-verilator need-yosys
need-icarus:
	@$(call need,$(IVERILOG),Icarus Verilog,IVERILOG)
	@$(call need,$(VVP),Icarus Verilog,VVP)
need-verilator:
	@$(call need,$(VERILATOR),Verilator 5,VERILATOR)
need-yosys:
	@$(call need,$(YOSYS),Yosys,YOSYS)

LINTS := $(addprefix lint-,$(INSTANCES))
.PHONY: $(LINTS)
$(LINTS): lint-%: need-verilator
	@mkdir -p build/lint
	@$(call quiet,build/lint/$*.log,$(VERILATOR) --lint-only -Wall --top-module $* -f @NAME@.f)
	@echo "linted $*"

ICARUS := $(addprefix sim-icarus-,$(INSTANCES))
.PHONY: $(ICARUS)
$(ICARUS): sim-icarus-%: need-icarus
	@mkdir -p build/icarus
	@$(call quiet,build/icarus/$*.build.log,$(IVERILOG) -g2012 -s $*_tb -o build/icarus/$*.vvp -f @NAME@.f tb/$*_tb.v)
	@$(call verdict,build/icarus/$*.log,$(VVP) -n build/icarus/$*.vvp)

# -std: some builds of Verilator leave the language to the compiler, whose own may be too old for timing.
# VM_PARALLEL_BUILDS: else a Python script joins the files. VK_PCH: some builds of Verilator name a precompiled header
# in a way that the compiler does not understand, and there is little to gain from it here.
VERILATOR_FLAGS := --binary --timing -Wno-fatal --output-split 0 -CFLAGS -std=gnu++20
VERILATOR_FLAGS += -MAKEFLAGS 'VM_PARALLEL_BUILDS=1 VK_PCH_I_FAST= VK_PCH_I_SLOW='
VERILATED := $(addprefix sim-verilator-,$(INSTANCES))
.PHONY: $(VERILATED)
$(VERILATED): sim-verilator-%: need-verilator
	@mkdir -p build/verilator
	@$(call quiet,build/verilator/$*.build.log,$(VERILATOR) $(VERILATOR_FLAGS) --top-module $*_tb \
		-Mdir build/verilator/$* -o bench -f @NAME@.f tb/$*_tb.v)
	@$(call verdict,build/verilator/$*.log,build/verilator/$*/bench)

SOURCES = $$(grep -v '^//' @NAME@.f | tr '\n' ' ')
SYNTHS := $(addprefix synth-,$(INSTANCES))
.PHONY: $(SYNTHS)
$(SYNTHS): synth-%: need-yosys
	@mkdir -p build/synth
	@$(call quiet,build/synth/$*.log,$(YOSYS) -p "read_verilog -sv $(SOURCES); \
		synth -flatten -top $*; check -assert; \
		tee -o build/synth/$*.stat stat; write_verilog -noattr build/synth/$*.v")
	@awk '/Number of cells/ { cells = $$4 } END { print "$*: " cells " cells" }' build/synth/$*.stat
"""
