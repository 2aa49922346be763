"""Argo CD: as processes, as pods, and what is alike for both."""
