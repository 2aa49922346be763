"""What only a sandbox in somebody's cluster is made of, and by whose leave it is there."""
