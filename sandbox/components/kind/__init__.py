"""What only the kind engine is made of: nodes and registries in containers."""
