"""Signing and checking a webhook's body the way GitHub does: HMAC-SHA256 over the bytes as they were sent."""

from __future__ import annotations

import hmac

__all__ = ["SIGNATURE_HEADER", "is_signed", "sign"]

# The only one that Argo CD 3.6 looks at (go-playground/webhooks v6.4.0, github.go).
SIGNATURE_HEADER = "X-Hub-Signature-256"


def sign(secret: str, body: bytes) -> str:
    """Give the value of the signature header for ``body``."""
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def is_signed(secret: str, body: bytes, signature: str) -> bool:
    """Say whether ``signature`` was made with ``secret`` over ``body``, in a time that gives nothing away."""
    return hmac.compare_digest(sign(secret, body).encode(), signature.encode(errors="replace"))
