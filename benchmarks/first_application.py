"""Brings a sandbox up and proves a first Application: ``python -m benchmarks.first_application NAME``."""

from __future__ import annotations

import sys

from benchmarks.measures import first_application

if __name__ == "__main__":
    first_application(sys.argv[1])
