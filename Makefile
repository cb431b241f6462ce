# make demo      the whole road on a collection the project draws itself
# make test      the tests; ICONOCLIP_REQUIRE=real,services,browser,peers makes missing parts failures instead of skips
# make notebooks opens the notebooks in a browser (JupyterLab, on this machine alone)
# make lint      format, lint, types, every configuration
#
# PYTHON=python3.12          another interpreter, 3.11 or newer
# TORCH="torch torchvision --index-url URL"   another build of torch (CPU, ROCm, another CUDA): it is installed first,
#                            with any pip options, and the pins of torch and of its CUDA packages are left out

PYTHON ?= python3
TORCH ?=
VENV ?= .venv
OUT ?= runs/demo
PYTEST_ARGS ?= -n 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CONSTRAINTS := $(if $(TORCH),$(VENV)/constraints.txt,constraints.txt)

.PHONY: demo test notebooks lint format peers services constraints clean

demo: $(VENV)/.installed
	$(BIN)/iconoclip demo --out $(OUT)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

notebooks: $(VENV)/.installed
	$(PIP) install -c $(CONSTRAINTS) -e '.[notebooks]'
	$(BIN)/jupyter lab notebooks

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/iconoclip check configs iconoclip/demo

format: $(VENV)/.installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $$($(PYTHON) --version) is too old; give another one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
ifneq ($(TORCH),)
	grep -v -E '^(torch|torchvision|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==' constraints.txt > $(CONSTRAINTS)
	$(PIP) install $(TORCH)
endif
	$(PIP) install -c $(CONSTRAINTS) -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install -c $(CONSTRAINTS) -e '.[test]'
	touch $@

# Peers need older versions of two packages than we do; an overlay on PYTHONPATH saves a second environment.
# open_clip 3.3's trainer stops on webdataset 1.0.2, clip-benchmark 1.6.2 on numpy 2.4.
peers: .peers/.installed
.peers/.installed: $(VENV)/.installed
	rm -rf .peers
	$(PIP) install --no-deps --target .peers \
	  webdataset==0.2.86 numpy==2.3.5 clip-benchmark==1.6.2 pycocoevalcap==1.2 pycocotools==2.0.11
	touch $@

# Real parts for the tests marked `services` and `browser`, on Debian, as root. Tests start what they need by themselves:
# where Debian starts its own after installing, `systemctl disable --now lighttpd iipsrv munge slurmctld slurmd` takes it off.
services:
	apt-get update
	apt-get install -y --no-install-recommends slurm-wlm munge iipimage-server lighttpd chromium

# Pins of what this environment holds, for a commit that updates dependencies.
constraints: $(VENV)/.installed-test
	$(PIP) install -e '.[notebooks]'
	$(PIP) freeze --exclude-editable > constraints.txt

clean:
	rm -rf $(VENV) .peers runs .pytest_cache .ruff_cache .hypothesis
