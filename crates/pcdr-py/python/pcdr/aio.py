"""The calls of pcdr for asyncio: the same names, arguments, results and exceptions.

A task that is cancelled stops its work cleanly before ``CancelledError`` goes on: what only looks is
dropped at once; a run ends its running steps and starts no other one, and applying the same plan again
finishes it. A task that is cancelled a second time does not wait for that.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from os import PathLike, fspath
from typing import Literal, TypeVar

from pcdr import _calls, _pcdr
from pcdr._calls import Intent, wanted
from pcdr._pcdr import Job, Observation, Plan, Ports, Progress, Report, Status, Topology

__all__ = ["Servers", "apply", "observe", "plan", "sim", "status"]

T = TypeVar("T")


async def _finish(
    job: Job[T], progress: Callable[[Progress], Awaitable[object] | object] | None = None
) -> T:
    """The job's result; the loop goes on meanwhile."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    job.wake_by(lambda: loop.call_soon_threadsafe(changed.set))
    try:
        while True:
            # Before looking: what happens after the look sets it again.
            changed.clear()
            has_ended = job.has_ended
            for event in job.events():
                told = None if progress is None else progress(event)
                if inspect.isawaitable(told):
                    await told
            if has_ended:
                return job.result()
            await changed.wait()
    except BaseException:
        job.cancel()
        try:
            while not job.has_ended:
                await changed.wait()
                changed.clear()
        except BaseException:
            job.abort()
            raise
        raise


async def observe(
    topology: Topology, *, ports: Ports | None = None, timeout_seconds: float | None = None
) -> Observation:
    """As :func:`pcdr.observe`."""
    loop = asyncio.get_running_loop()
    return await _finish(_pcdr.observe(topology, ports, timeout_seconds, loop))


async def status(
    topology: Topology,
    *,
    observation: Observation | None = None,
    now: datetime | None = None,
    ports: Ports | None = None,
    timeout_seconds: float | None = None,
) -> Status:
    """As :func:`pcdr.status`."""
    if observation is not None or now is not None:
        return _calls.status(topology, observation=observation, now=now)
    loop = asyncio.get_running_loop()
    return await _finish(_pcdr.status(topology, ports, timeout_seconds, loop))


async def plan(
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
    """As :func:`pcdr.plan`. With an observation it plans in this thread, and waits for nothing."""
    if observation is None and now is None:
        asked = wanted(intent, consents, new_principal, by, mirroring)
        return await _finish(_pcdr.plan(asked, topology, ports, asyncio.get_running_loop()))
    return _calls.plan(
        intent,
        topology,
        consents=consents,
        new_principal=new_principal,
        by=by,
        mirroring=mirroring,
        observation=observation,
        now=now,
    )


async def apply(
    plan: Plan,
    *,
    progress: Callable[[Progress], Awaitable[object] | object] | None = None,
    keep: bool = False,
    ports: Ports | None = None,
) -> Report:
    """As :func:`pcdr.apply`; ``progress`` is called in the loop, and may be a coroutine function."""
    loop = asyncio.get_running_loop()
    return await _finish(_pcdr.apply(plan, ports, keep, loop), progress)


class Servers:
    """As :class:`pcdr.Servers`, with methods to be awaited."""

    def __init__(self, served: _pcdr.StandIns) -> None:
        self._served = served

    @property
    def topology(self) -> Topology:
        """The topology with the stand-ins' addresses: what the calls of pcdr take."""
        return self._served.topology

    async def create_databases(self) -> None:
        """Create the application's databases on the primary, and nothing else."""
        await _finish(self._served.create_databases())

    async def prepare(self) -> int:
        """Create the databases and configure mirroring and log shipping; in how many steps."""
        return await _finish(self._served.prepare())

    async def write(self, count: int) -> int:
        """Write ``count`` chat records into each database where it takes writes; how many in all."""
        return await _finish(self._served.write(count))

    async def ship(self) -> None:
        """Run backup, copy and restore job of each database, each to its end."""
        await _finish(self._served.ship())

    async def records(self, instance: str, database: str) -> set[int]:
        """The numbers of the chat records in a copy of a database that can be read."""
        return await _finish(self._served.records(instance, database))

    async def sql(self, instance: str, batch: str) -> None:
        """Send one batch of T-SQL to an instance."""
        await _finish(self._served.sql(instance, batch))

    async def run_job(self, instance: str, job: str) -> None:
        """Start an Agent job, and do not wait for its end."""
        await _finish(self._served.run_job(instance, job))

    async def lose_site(self, name: str) -> None:
        """Lose every instance, share and chat server of a site."""
        await _finish(self._served.lose_site(name))

    async def return_site(self, name: str) -> None:
        """Bring a site back."""
        await _finish(self._served.return_site(name))

    async def lose_instance(self, name: str) -> None:
        """Stop an instance as a power failure does."""
        await _finish(self._served.lose_instance(name))

    async def return_instance(self, name: str) -> None:
        """Start an instance again."""
        await _finish(self._served.return_instance(name))

    async def lose_share(self, name: str) -> None:
        """Put a share out of everybody's reach."""
        await _finish(self._served.lose_share(name))

    async def return_share(self, name: str) -> None:
        """Bring a share back."""
        await _finish(self._served.return_share(name))

    async def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Cut the link between two sites; ``"controller"`` is pcdr itself."""
        await _finish(self._served.cut(one, other, one_way))

    async def heal(self, one: str, other: str) -> None:
        """Heal a link."""
        await _finish(self._served.heal(one, other))

    async def kill_connections(self, instance: str) -> int:
        """End every client's session on an instance; how many there were."""
        return await _finish(self._served.kill_connections(instance))

    async def corrupt(self, file: str) -> None:
        """Change a byte of a backup file, named by its UNC path or by its name in a share."""
        await _finish(self._served.corrupt(file))

    async def truncate(self, file: str, size_bytes: int) -> None:
        """Cut a backup file, named as for :meth:`corrupt`."""
        await _finish(self._served.truncate(file, size_bytes))

    async def close(self) -> None:
        """End the stand-ins. A second time does nothing."""
        await _finish(self._served.close())

    def __repr__(self) -> str:
        return f"<pcdr.aio.Servers of {', '.join(self.topology.databases)}>"


@asynccontextmanager
async def sim(
    topology: Topology, *, seed: int = 0, keep: str | PathLike[str] | None = None
) -> AsyncIterator[Servers]:
    """As :func:`pcdr.sim`."""
    folder = None if keep is None else fspath(keep)
    servers = Servers(await _finish(_pcdr.sim(topology, seed, folder)))
    try:
        yield servers
    finally:
        await servers.close()
