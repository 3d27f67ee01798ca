"""The same in asyncio."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from conftest import journal

import pcdr
import pcdr.aio

CONSENTS = ["primary-site-lost"]


def with_servers(
    topology: pcdr.Topology,
    tmp_path: Path,
    work: Callable[[pcdr.aio.Servers, pcdr.Plan], Awaitable[None]],
) -> None:
    """Runs ``work`` in a loop of its own, with a failover that waits to be applied."""

    async def main() -> None:
        async with pcdr.aio.sim(topology, keep=tmp_path / "stand-ins") as servers:
            await servers.prepare()
            await servers.write(5)
            await servers.ship()
            await servers.lose_site("north")
            plan = await pcdr.aio.plan("failover", servers.topology, consents=CONSENTS)
            await work(servers, plan)

    asyncio.run(main())


def test_the_calls_do_the_same_while_the_loop_goes_on(
    topology: pcdr.Topology, tmp_path: Path
) -> None:
    async def work(servers: pcdr.aio.Servers, plan: pcdr.Plan) -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.001)
                turns += 1

        turning = asyncio.create_task(turn())
        told: list[str] = []

        async def tell(event: pcdr.Progress) -> None:
            await asyncio.sleep(0)
            told.append(event.kind)

        seen = await pcdr.aio.observe(servers.topology, timeout_seconds=30)
        now = await pcdr.aio.status(servers.topology)
        assert now.observation.unreachable.keys() == seen.unreachable.keys()
        again = await pcdr.aio.plan(
            "failover", servers.topology, consents=CONSENTS, observation=seen
        )
        assert again.steps == plan.steps
        report = await pcdr.aio.apply(plan, progress=tell)
        assert told.count("started") == len(report.steps) == len(plan)
        assert await servers.records("sql-s1", "mgc") == set(range(1, 6))
        assert turns > 100
        turning.cancel()

    with_servers(topology, tmp_path, work)


def test_a_cancelled_task_ends_after_its_run_and_the_same_plan_finishes_it(
    topology: pcdr.Topology, tmp_path: Path
) -> None:
    async def work(servers: pcdr.aio.Servers, plan: pcdr.Plan) -> None:
        begun = asyncio.Event()
        run = asyncio.create_task(pcdr.aio.apply(plan, progress=lambda event: begun.set()))
        await begun.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        entries = [entry["event"] for entry in journal(tmp_path)]
        assert entries[-1] == {"event": "run_ended", "succeeded": False}
        assert (await pcdr.aio.apply(plan)).steps
        assert await servers.records("sql-s1", "mgc") == set(range(1, 6))

    with_servers(topology, tmp_path, work)


def test_a_task_that_is_cancelled_twice_does_not_wait_and_the_same_plan_finishes_it(
    topology: pcdr.Topology, tmp_path: Path
) -> None:
    async def work(servers: pcdr.aio.Servers, plan: pcdr.Plan) -> None:
        begun = asyncio.Event()
        run = asyncio.create_task(pcdr.aio.apply(plan, progress=lambda event: begun.set()))
        await begun.wait()
        run.cancel()
        await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        while True:
            try:
                await pcdr.aio.apply(plan)
                break
            except pcdr.InstanceError as error:
                # The lock is let go when what was under way is dropped.
                assert error.code == "locked"
                await asyncio.sleep(0.01)
        assert await servers.records("sql-s1", "mgc") == set(range(1, 6))

    with_servers(topology, tmp_path, work)


def test_a_loop_that_ends_lets_its_run_end_first(topology: pcdr.Topology, tmp_path: Path) -> None:
    with pcdr.sim(topology, keep=tmp_path / "stand-ins") as servers:
        servers.prepare()
        servers.write(5)
        servers.ship()
        servers.lose_site("north")
        plan = pcdr.plan("failover", servers.topology, consents=CONSENTS)

        async def main() -> None:
            begun = asyncio.Event()
            run = pcdr.aio.apply(plan, progress=lambda event: begun.set())
            forgotten = asyncio.create_task(run)
            await begun.wait()
            assert not forgotten.done()

        asyncio.run(main())
        assert journal(tmp_path)[-1]["event"]["event"] == "run_ended"
        pcdr.apply(plan)
        assert servers.records("sql-s1", "mgc") == set(range(1, 6))


def test_a_callback_that_raises_stops_the_run_and_shows_its_traceback(
    topology: pcdr.Topology, tmp_path: Path
) -> None:
    async def work(servers: pcdr.aio.Servers, plan: pcdr.Plan) -> None:
        async def objects(event: pcdr.Progress) -> None:
            raise LookupError(event.kind)

        with pytest.raises(LookupError) as raised:
            await pcdr.aio.apply(plan, progress=objects)
        assert traceback.extract_tb(raised.value.__traceback__)[-1].name == "objects"
        assert journal(tmp_path)[-1]["event"]["event"] == "run_ended"

    with_servers(topology, tmp_path, work)


def test_looking_is_given_up_at_once(topology: pcdr.Topology, tmp_path: Path) -> None:
    async def work(servers: pcdr.aio.Servers, plan: pcdr.Plan) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(pcdr.aio.observe(servers.topology), timeout=0.001)
        with pytest.raises(pcdr.Refusal):
            await pcdr.aio.plan("failover", servers.topology)

    with_servers(topology, tmp_path, work)
