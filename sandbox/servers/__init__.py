"""Programs of our own that a sandbox runs as processes; each reads one JSON file of settings."""
