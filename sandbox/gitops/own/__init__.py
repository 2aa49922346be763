"""A repository of the user's own: mirrored as it is on disk, its Applications created, and a verdict given on each."""
