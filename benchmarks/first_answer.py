"""Brings a kind sandbox up and waits for the application's answer: ``python -m benchmarks.first_answer NAME``."""

from __future__ import annotations

import sys

from benchmarks.on_kind import first_answer

if __name__ == "__main__":
    first_answer(sys.argv[1])
