"""Containers and the images that they are made of: what an engine of real containers stands on."""
