"""gitops-sandbox: a local GitOps sandbox and integration-test harness."""

__version__ = "0.1.0"
