PYTHON ?= python3
READY = .venv/ready
RUN = PYTHONUTF8=1 OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} .venv/bin

demo: $(READY)  ## the app with all tabs on 127.0.0.1:7860
	HF_HUB_OFFLINE=1 .venv/bin/python spaces/scanline/app.py

test: $(READY)  ## all tests
	$(RUN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

smoke: $(READY)  ## a toy run of each kind of model through the real commands
	$(RUN)/python tests/smoke.py

lint: $(READY)  ## ruff
	.venv/bin/ruff check . && .venv/bin/ruff format --check .

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q --no-compile -r requirements.txt -e .
	.venv/bin/python -m compileall -q -j 0 -x '/tests/|transformers/models/[b-z]' .venv/lib > /dev/null || true  # on all cores
	touch $@

.PHONY: demo test smoke lint
