# Every target sets up the environment by itself; see scripts/bootstrap.sh.
.PHONY: demo test lint bench lock clean env
PYTHON := .venv/bin/python

env:
	@scripts/bootstrap.sh

demo: env
	@.venv/bin/captioner demo

test: env
	@$(PYTHON) -m pytest -n 2

lint: env
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

bench: env
	@$(PYTHON) -m benchmarks.featurizer
	@$(PYTHON) -m benchmarks.decoding
	@$(PYTHON) -m benchmarks.training
	@$(PYTHON) -m benchmarks.metrics
	@$(PYTHON) -m benchmarks.serving
	@$(PYTHON) -m benchmarks.soak

lock: env
	@.venv/bin/uv pip compile setup.py --all-extras --override requirements.override --generate-hashes \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_40 --upgrade --quiet -o requirements.lock
	@.venv/bin/uv pip compile kubeflow/cuda.in --constraint requirements.lock --generate-hashes \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_40 --upgrade --quiet -o kubeflow/cuda.lock

clean:
	rm -rf .venv demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
