# `make demo` and `make test`, from a clean clone with Python and make alone.
BACKEND ?= tensorflow
PYTHON ?= python3
TESTS ?= $(if $(filter tensorflow,$(BACKEND)),,-m every_backend)
EXTRAS := $(BACKEND),data,plot,search,hub
ifeq ($(BACKEND),tensorflow)
EXTRAS := $(EXTRAS),cluster,onnx,openvino,litert,serve,detection,docs,dev
else
EXTRAS := $(EXTRAS),test
endif
ifeq ($(BACKEND),torch)
EXTRAS := $(EXTRAS),peers
endif

VENV := .venv/$(BACKEND)
BIN := $(VENV)/bin
# uv takes a quarter of pip's processor time. Wheels that pip is told to look for, it looks for too.
UV := uv pip install --quiet --constraint constraints.txt $(addprefix --find-links ,$(PIP_FIND_LINKS))
export KERAS_BACKEND := $(BACKEND)
export TF_CPP_MIN_LOG_LEVEL := 3
# Without bytecode the import of TensorFlow takes twice as long, in each of the tests' processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help environments demo test docs thorough lint package release version lock clean

help:
	@echo "make demo     searches for a cell on handwritten digits, trains it larger, uses it"
	@echo "make test     runs the tests; BACKEND=jax or BACKEND=torch for those backends"
	@echo "make docs     builds the documentation in build/docs; runs tutorials that have changed"
	@echo "make thorough kills runs, searches and downloads, damages weight files: an hour"
	@echo "make lint     format, lint, types, floors"
	@echo "make package  builds sdist and wheel and imports the wheel in an empty environment"
	@echo "make release  does all that, runs the demo and the wheel on each backend, says how to tag"

$(VENV)/installed: pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt uv
	$(BIN)/$(UV) --python $(BIN)/python --editable ".[$(EXTRAS)]"
	touch $@

BACKENDS := tensorflow jax torch
environments: $(addprefix environment-,$(BACKENDS))

environment-%:
	$(MAKE) .venv/$*/installed BACKEND=$*

demo: $(VENV)/installed
	$(BIN)/python examples/demo.py

test: $(VENV)/installed
	$(BIN)/pytest --numprocesses auto --dist worksteal $(TESTS)

docs: $(VENV)/installed
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs

thorough: $(VENV)/installed
	$(BIN)/python benchmarks/weight_files.py --mutations 1000 --kills 100
	$(BIN)/python benchmarks/weight_files.py --fuzz 5000 --processes 2
	$(BIN)/python benchmarks/kills.py --kills 50
	$(BIN)/python benchmarks/kills.py --search --kills 200
	$(BIN)/python benchmarks/kills.py --engines --kills 100

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zizmor --quiet --offline --pedantic .github

package: $(VENV)/installed
	rm -rf dist build/wheel
	$(BIN)/python -m build --outdir dist
	! $(BIN)/python -m zipfile --list dist/*.whl | grep -E '^(tests|benchmarks|examples)/'
	ls -l dist
	$(PYTHON) -m venv build/wheel
	$(BIN)/$(UV) --python build/wheel/bin/python dist/*.whl
	cd build && wheel/bin/python -c "import keras_nasnet; print(keras_nasnet.NASNET_A.name, keras_nasnet.__version__)"
	cd build && wheel/bin/keras-nasnet info NASNetMobile

release: package demo $(addprefix release-,$(BACKENDS))
	$(BIN)/twine check --strict dist/*
	@echo "To release: git tag -a v$(VERSION) -m 'keras_nasnet $(VERSION)' && git push origin v$(VERSION)"

# The wheel in an empty environment of a backend: it trains a small network and uses it.
SMALL := --model NASNetCIFAR --num-cells 1 --penultimate-filters 96 --no-report
release-%: package
	rm -rf build/$* build/run-$*
	$(PYTHON) -m venv build/$*
	$(BIN)/$(UV) --python build/$*/bin/python "$$(echo dist/*.whl)[$*,data,report]"
	cd build && KERAS_BACKEND=$* $*/bin/keras-nasnet train --data digits $(SMALL) \
		--set epochs=1 batch_size=64 augmentation= --out run-$*
	cd build && KERAS_BACKEND=$* $*/bin/keras-nasnet evaluate run-$* --data digits

VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' keras_nasnet/__init__.py)
version:
	@echo $(VERSION)

# Writes the versions that the three environments hold to constraints.txt.
lock: environments
	for backend in $(BACKENDS); do .venv/$$backend/bin/pip freeze --exclude-editable; done \
		| sed 's/+cpu$$//' | sort -fu > build/constraints.txt
	mv build/constraints.txt constraints.txt

clean:
	rm -rf .venv build dist docs/learn *.egg-info
