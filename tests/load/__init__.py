"""Load tests with ghz: `python -m tests.load`, which `make load` calls."""
