"""What is shown of a run: progress, tables, JSON."""
