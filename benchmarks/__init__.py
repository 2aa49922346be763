"""How fast it is: measured here, never asserted in a test. Raw data goes to ``benchmarks/results/``."""
