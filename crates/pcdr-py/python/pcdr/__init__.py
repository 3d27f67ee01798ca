"""Plans, proves, rehearses and carries out the disaster recovery of log-shipped SQL Server databases.

>>> import pcdr
>>> with pcdr.sim(pcdr.Topology.from_text(pcdr.example())) as servers:
...     servers.prepare()
...     servers.lose_site("north")
...     plan = pcdr.plan("failover", servers.topology, consents=["primary-site-lost"])
...     pcdr.apply(plan)

``pcdr.aio`` has the same calls for asyncio.
"""

from pcdr._calls import apply, observe, plan, status
from pcdr._known import known, unknown
from pcdr._pcdr import (
    Instance,
    Observation,
    Plan,
    Ports,
    PredictedLoss,
    Progress,
    Report,
    Status,
    Step,
    StepProgress,
    StepReport,
    Topology,
    Violation,
    example,
)
from pcdr._sim import Servers, sim
from pcdr.errors import Bug, InstanceError, PcdrError, Refusal, TopologyError, UsageError

__all__ = [
    "Bug",
    "Instance",
    "InstanceError",
    "Observation",
    "PcdrError",
    "Plan",
    "Ports",
    "PredictedLoss",
    "Progress",
    "Refusal",
    "Report",
    "Servers",
    "Status",
    "Step",
    "StepProgress",
    "StepReport",
    "Topology",
    "TopologyError",
    "UsageError",
    "Violation",
    "apply",
    "example",
    "known",
    "observe",
    "plan",
    "sim",
    "status",
    "unknown",
]
