"""What tests and benchmarks share."""

from pathlib import Path

TESTS = str(Path(__file__).parents[1])  # for the PYTHONPATH of other processes
