"""Texts of providers, without the secrets of ours that some of them quote."""

from __future__ import annotations

from pointsman_server.config.secrets import Secret

HIDDEN = "***"
SHORTEST = 4
"""Hiding anything shorter would only tear words apart."""


def hide(text: str, secret: Secret) -> str:
    """The text without the secret."""
    value = secret.reveal()
    return text.replace(value, HIDDEN) if len(value) >= SHORTEST else text
