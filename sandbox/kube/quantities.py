"""Quantities of the Kubernetes API, such as memory and processor time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

__all__ = ["quantity"]


def quantity(value: Any) -> Decimal | None:
    """Read a quantity such as ``100m`` or ``64Mi`` (Kubernetes API, ``resource.Quantity``); None when it is none."""
    from sandbox.kube.client import parse_quantity  # noqa: PLC0415  # paid for by whoever speaks to a cluster

    try:
        number = Decimal(parse_quantity(value))
    except ValueError:
        return None
    # Decimal reads "NaN" and "Infinity" too; to the API they are no quantities.
    return number if number.is_finite() else None
