"""Every refusal and every error, as exceptions with a stable ``code``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdr._pcdr import Violation

__all__ = ["Bug", "InstanceError", "PcdrError", "Refusal", "TopologyError", "UsageError"]


class PcdrError(Exception):
    """What every exception of pcdr is.

    Attributes:
        code: Stable, to branch on, for example ``"log_chain_gap"``.
        message: What was needed and what was found; names the instance.
        remedy: What to do next.
        details: The values in the message, as plain data; read-only.
    """

    code: str
    message: str
    remedy: str
    details: Mapping[str, Any]

    def __init__(
        self,
        message: str,
        *,
        code: str,
        remedy: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.remedy = remedy
        self.details = MappingProxyType(dict(details or {}))

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]" + (f". {self.remedy}" if self.remedy else "")

    def _keywords(self) -> dict[str, Any]:
        return {"code": self.code, "remedy": self.remedy, "details": dict(self.details)}

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception has to survive the way out of another process, as of a pool of them.
        return (_again, (type(self), self.message, self._keywords()))


def _again(kind: type[PcdrError], message: str, keywords: dict[str, Any]) -> PcdrError:
    return kind(message, **keywords)


class Refusal(PcdrError):
    """No safe plan exists for what was observed, and nothing was changed.

    It is an answer: the same observation gives it again.

    Attributes:
        consent: Name of the consent that overrides it; None where there is no way out but the remedy.
        price: What that consent costs, for people; None without one.
    """

    consent: str | None
    price: str | None

    def __init__(
        self,
        message: str,
        *,
        code: str,
        remedy: str = "",
        details: Mapping[str, Any] | None = None,
        consent: str | None = None,
        price: str | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy, details=details)
        self.consent = consent
        self.price = price

    def _keywords(self) -> dict[str, Any]:
        return super()._keywords() | {"consent": self.consent, "price": self.price}


class InstanceError(PcdrError):
    """The world failed: a server, link, share, shell or journal. It may pass.

    ``details`` holds ``at`` (where) and ``number`` (SQL Server's, or None). Of a step of a run also
    ``step`` (its number), ``succeeded`` (how many steps had), and ``taken_back`` (what a failed
    configuration took back; None where steps stay done). A port in Python that raised is the
    ``__cause__``.
    """


class UsageError(PcdrError, ValueError):
    """A call that cannot be right, whatever the world is like."""


class TopologyError(UsageError):
    """The topology breaks rules.

    Attributes:
        violations: All that is wrong, in the order of the text; never empty.
    """

    violations: Sequence[Violation]

    def __init__(
        self,
        message: str,
        *,
        code: str,
        remedy: str = "",
        details: Mapping[str, Any] | None = None,
        violations: Sequence[Violation] = (),
    ) -> None:
        super().__init__(message, code=code, remedy=remedy, details=details)
        self.violations = tuple(violations)

    def _keywords(self) -> dict[str, Any]:
        return super()._keywords() | {"violations": self.violations}


class Bug(PcdrError):
    """A broken invariant in pcdr itself: stop, and report it with its message."""
