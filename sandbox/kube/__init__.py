"""Speaking to a Kubernetes API: what every room that needs a cluster speaks through."""
