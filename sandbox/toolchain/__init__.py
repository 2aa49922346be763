"""From versions.toml to verified programs in the cache."""
