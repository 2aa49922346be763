"""The Kubernetes API, for every room that works on a cluster."""
