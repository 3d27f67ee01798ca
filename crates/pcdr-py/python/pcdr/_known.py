"""Facts that are known, and facts that are not, as ports in Python tell them."""

from __future__ import annotations

from typing import Any


def known(fact: Any) -> dict[str, Any]:
    """A fact that was observed."""
    return {"known": fact}


def unknown(code: str, message: str) -> dict[str, Any]:
    """A fact that was not observed, and why. Unknown never counts as false."""
    return {"unknown": {"code": code, "message": message}}
