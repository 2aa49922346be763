"""What the pytest plugin does: a sandbox for all workers of a run, a tenant for each test, what a failure shows."""
