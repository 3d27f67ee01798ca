"""The calls that look, plan and carry out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal, TypeAlias

from pcdr import _pcdr
from pcdr._drive import finish
from pcdr._pcdr import Observation, Plan, Ports, Progress, Report, Status, Topology

Intent: TypeAlias = Literal[
    "configure",
    "failover",
    "disaster-failover",
    "planned-failover",
    "fence",
    "failback",
    "mirror-failover",
    "remove",
]


def wanted(
    intent: Intent,
    consents: Iterable[str],
    new_principal: Literal["primary", "mirror"] | None,
    by: Literal["t-sql", "cmdlet"],
    mirroring: bool,
) -> _pcdr.Wanted:
    if isinstance(consents, str):
        raise TypeError(f"consents was needed to be several names, but it is the text {consents!r}")
    if by not in ("t-sql", "cmdlet"):
        raise ValueError(f'by was needed to be "t-sql" or "cmdlet", but it is {by!r}')
    return {
        "intent": intent,
        "new_principal": new_principal,
        "by_cmdlet": by == "cmdlet",
        "mirroring": mirroring,
        "consents": list(consents),
    }


def observe(
    topology: Topology, *, ports: Ports | None = None, timeout_seconds: float | None = None
) -> Observation:
    """Look at every instance, every log backup and the pool at once. Changes nothing.

    Args:
        topology: What was designed.
        ports: How to reach it, where that is not the usual way.
        timeout_seconds: Longest wait for anybody; None waits as long as connections do.

    Returns:
        What was seen. What could not be seen is unknown in it, with the reason; that is no error.

    Raises:
        InstanceError: A file of the connection (password, certificate, journal) cannot be used.
        ValueError: ``timeout_seconds`` is negative, or the stand-ins are closed.
    """
    return finish(_pcdr.observe(topology, ports, timeout_seconds, None))


def status(
    topology: Topology,
    *,
    observation: Observation | None = None,
    now: datetime | None = None,
    ports: Ports | None = None,
    timeout_seconds: float | None = None,
) -> Status:
    """Tell whether a failover would work now, and what it would lose. Changes nothing.

    Args:
        topology: What was designed.
        observation: What was seen; None looks first.
        now: Time of judging, timezone-aware; only with ``observation``. None is the present.
        ports: How to reach it; only without ``observation``.
        timeout_seconds: As for :func:`observe`.

    Raises:
        InstanceError, ValueError: As :func:`observe`; ``now`` is naive.
    """
    if observation is not None:
        return _pcdr.status_from(topology, observation, now)
    _only_with_observation(now)
    return finish(_pcdr.status(topology, ports, timeout_seconds, None))


def plan(
    intent: Intent,
    topology: Topology,
    *,
    consents: Iterable[str] = (),
    new_principal: Literal["primary", "mirror"] | None = None,
    by: Literal["t-sql", "cmdlet"] = "t-sql",
    mirroring: bool = False,
    observation: Observation | None = None,
    now: datetime | None = None,
    ports: Ports | None = None,
) -> Plan:
    """Plan, and prove every step on the model. Changes nothing.

    Args:
        intent: What is wanted, by the command line's words; ``"failover"`` is the disaster failover.
        topology: What was designed.
        consents: Names of what is accepted although it would be refused; a refusal names its own.
        new_principal: Of a mirror failover, which it needs: the partner that is to be principal.
        by: Of a mirror failover: on the instances, or by the product's cmdlet.
        mirroring: Of ``"remove"``: remove mirroring too.
        observation: What was seen; None looks first.
        now: Time of planning, timezone-aware; only with ``observation``. Observations are aged
            against it. None is the present.
        ports: How to reach it; only without ``observation``.

    Raises:
        Refusal: No safe plan exists; branch on its ``code``.
        InstanceError: As :func:`observe`.
        ValueError: No such intent or consent, or ``now`` is naive.
        TypeError: An argument is of the wrong type.
    """
    asked = wanted(intent, consents, new_principal, by, mirroring)
    if observation is not None:
        return _pcdr.plan_from(asked, topology, observation, now)
    _only_with_observation(now)
    return finish(_pcdr.plan(asked, topology, ports, None))


def apply(
    plan: Plan,
    *,
    progress: Callable[[Progress], object] | None = None,
    keep: bool = False,
    ports: Ports | None = None,
) -> Report:
    """Carry a plan out: lock, observe again, then step by step, each effect read back.

    Plans again from what it sees, and goes on only where that leads to the plan's own steps or a
    remainder of them: applying the same plan after a crash, a cancellation or an error finishes it.

    Ctrl-C, and an exception that ``progress`` raises, stop the run cleanly: running steps are ended, no
    other one is started, a configuration is taken back; then the exception goes on. A second Ctrl-C
    does not wait for that.

    Args:
        plan: The plan.
        progress: Called in this thread with each thing that happens, in order.
        keep: Keep what a configuration did that fails, instead of taking it back.
        ports: How to reach the plan's topology.

    Raises:
        Refusal: The facts are not those of the plan any more; nothing was changed.
        InstanceError: A step failed, and ``details["step"]`` is its number; or nothing was changed
            because somebody else holds the lock (``code`` is ``"locked"``) or the journal cannot be used.
    """
    return finish(_pcdr.apply(plan, ports, keep, None), progress)


def _only_with_observation(now: datetime | None) -> None:
    if now is not None:
        raise ValueError("now was given without an observation, but what is looked at now is of now")
