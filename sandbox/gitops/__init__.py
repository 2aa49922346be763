"""What a story speaks of: repositories, pipeline, Applications, revisions."""
