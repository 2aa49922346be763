"""How far the rollout of a workload is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["rollout_waits_for", "workload_waits_for"]


def rollout_waits_for(deployment: Mapping[str, Any]) -> str | None:
    """Say what a Deployment's rollout waits for, as `kubectl rollout status` does; None when it is complete."""
    status, wanted = deployment.get("status", {}), deployment.get("spec", {}).get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment.get("metadata", {}).get("generation", 0):
        return "the controller has not seen the change yet"
    for field, meaning in (("updatedReplicas", "updated"), ("availableReplicas", "available")):
        if status.get(field, 0) < wanted:
            return f"{status.get(field, 0)} of {wanted} replicas are {meaning}"
    old = status.get("replicas", 0) - status.get("updatedReplicas", 0)
    return f"{old} replicas of the revision before are still there" if old else None


def workload_waits_for(workload: Mapping[str, Any]) -> str | None:
    """Say what a workload that is to run waits for; one that was scaled to nothing is complete, and does not run."""
    if workload["spec"].get("replicas", 1) == 0:
        return "it is stopped"
    return rollout_waits_for(workload)
