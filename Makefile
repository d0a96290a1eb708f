PY := .venv/bin/python

.PHONY: native
native: ## build the native module into src
	.venv/bin/cmake -S cpp -B build/native -G Ninja -DPython_EXECUTABLE=$(CURDIR)/$(PY) \
		-DCMAKE_MAKE_PROGRAM=$(CURDIR)/.venv/bin/ninja -DCMAKE_INSTALL_PREFIX=$(CURDIR)/src --log-level=WARNING
	.venv/bin/ninja --quiet -C build/native install
