"""Ports that are written in Python, under pcdr's own planner and run."""

import asyncio
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import pcdr
import pcdr.aio

CONSENTS = ["primary-site-lost"]


class Switch:
    """An application with a switch: which site's database it uses."""

    def __init__(self, servers: pcdr.Servers) -> None:
        self.servers = servers
        self.state = "Normal"
        self.actions: list[Any] = []

    def observe(self) -> dict[str, Any]:
        return {
            "state": pcdr.known(self.state),
            "replicas_up_to_date": pcdr.known({}),
            "is_configuration_writable": pcdr.known(True),
        }

    def run(self, action: Any, progress: pcdr.StepProgress) -> None:
        self.actions.append(action)
        progress.report(50.0, "half way")
        if isinstance(action, dict) and "set_state" in action:
            self.state = action["set_state"]
        if isinstance(action, dict) and "await_servers" in action:
            # It serves: that it wrote to the database is what the step waits for.
            for number, server in enumerate(action["await_servers"]):
                self.servers.sql(
                    "sql-s1",
                    "INSERT INTO mgc.dbo.tblServerIdentity (serverID, serverAddress, "
                    f"serverLastPingTime) VALUES ({number + 100}, N'{server}', GETUTCDATE());",
                )


class AsyncSwitch(Switch):
    async def observe(self) -> dict[str, Any]:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().observe()

    async def run(self, action: Any, progress: pcdr.StepProgress) -> None:  # type: ignore[override]
        await asyncio.sleep(0.01)
        await asyncio.to_thread(super().run, action, progress)


@contextmanager
def lost(topology: pcdr.Topology) -> Iterator[pcdr.Servers]:
    with pcdr.sim(topology) as servers:
        servers.prepare()
        servers.lose_instance("sql-s2")
        servers.lose_site("north")
        yield servers


def fail_over(servers: pcdr.Servers, ports: pcdr.Ports) -> list[pcdr.Progress]:
    consents = [*CONSENTS, "without-mirror"]
    plan = pcdr.plan("failover", servers.topology, consents=consents, ports=ports)
    events: list[pcdr.Progress] = []
    pcdr.apply(plan, ports=ports, progress=events.append)
    return events


@pytest.mark.parametrize("kind", [Switch, AsyncSwitch])
def test_a_pool_in_python_is_switched_by_the_failover(
    topology: pcdr.Topology, kind: type[Switch]
) -> None:
    with lost(topology) as servers:
        switch = kind(servers)
        events = fail_over(servers, pcdr.Ports(pool=switch))
        assert switch.state == "FailedOver"
        assert "clear_active_servers" in switch.actions
        assert "half way" in [event.detail for event in events if event.kind == "progressed"]
        seen = pcdr.observe(servers.topology, ports=pcdr.Ports(pool=switch)).to_dict()
        assert seen["pool"]["known"]["state"] == {"known": "FailedOver"}


def test_coroutines_of_a_port_run_in_the_loop_that_called(topology: pcdr.Topology) -> None:
    with lost(topology) as servers:
        loops = set()

        class Where(AsyncSwitch):
            async def observe(self) -> dict[str, Any]:  # type: ignore[override]
                loops.add(asyncio.get_running_loop())
                return await super().observe()

        async def main() -> None:
            await pcdr.aio.observe(servers.topology, ports=pcdr.Ports(pool=Where(servers)))
            assert loops == {asyncio.get_running_loop()}

        asyncio.run(main())


class OutOfOrder(Exception):
    pass


def test_an_exception_of_a_port_arrives_with_its_traceback(topology: pcdr.Topology) -> None:
    with lost(topology) as servers:

        class Broken(Switch):
            def run(self, action: Any, progress: pcdr.StepProgress) -> None:
                raise OutOfOrder(action)

        with pytest.raises(pcdr.InstanceError) as raised:
            fail_over(servers, pcdr.Ports(pool=Broken(servers)))
        cause = raised.value.__cause__
        assert isinstance(cause, OutOfOrder)
        assert traceback.extract_tb(cause.__traceback__)[-1].filename == __file__
        assert "OutOfOrder" in raised.value.message


def test_an_exception_while_looking_is_the_cause_of_the_refusal(topology: pcdr.Topology) -> None:
    with lost(topology) as servers:

        class Blind(Switch):
            def observe(self) -> dict[str, Any]:
                raise OutOfOrder

        with pytest.raises(pcdr.Refusal) as raised:
            fail_over(servers, pcdr.Ports(pool=Blind(servers)))
        assert isinstance(raised.value.__cause__, OutOfOrder)


@pytest.mark.parametrize("answer", [None, 1, "Normal", {"state": "Normal"}, {"state": object()}])
def test_an_answer_of_the_wrong_form_is_unknown_with_the_reason(
    topology: pcdr.Topology, answer: object
) -> None:
    class Odd(Switch):
        observe: Callable[[], Any]

    with pcdr.sim(topology) as servers:
        odd = Odd(servers)
        odd.observe = lambda: answer
        seen = pcdr.observe(servers.topology, ports=pcdr.Ports(pool=odd)).to_dict()
        assert "observe" in seen["pool"]["unknown"]["message"]


class Store:
    """Lock and journal in memory, as an application would keep them in its database."""

    def __init__(self) -> None:
        self.holder: dict[str, Any] | None = None
        self.journal: list[dict[str, Any]] = []

    def lock(self, owner: dict[str, Any]) -> "Store":
        if self.holder is not None:
            raise pcdr.InstanceError(f"{self.holder['who']} holds it", code="locked")
        self.holder = owner
        return self

    def release(self) -> None:
        self.holder = None

    def append(self, entry: dict[str, Any]) -> None:
        self.journal.append(entry)

    async def entries(self) -> list[dict[str, Any]]:
        return self.journal


def test_a_run_store_in_python_has_the_lock_and_the_journal(topology: pcdr.Topology) -> None:
    store = Store()
    ports = pcdr.Ports(store=store)
    with pcdr.sim(topology) as servers:
        servers.create_databases()
        plan = pcdr.plan("configure", servers.topology)
        store.holder = {"who": "somebody"}
        with pytest.raises(pcdr.InstanceError, match="somebody") as raised:
            pcdr.apply(plan, ports=ports)
        assert raised.value.code == "locked" and store.journal == []

        store.holder = None
        report = pcdr.apply(plan, ports=ports)
        assert store.holder is None, "the lock was let go"
        assert report.journal is None
        events = [entry["event"]["event"] for entry in store.journal]
        assert events[0] == "run_started" and events[-1] == "run_ended"
        assert events.count("step_succeeded") == len(plan)
        assert {entry["run"] for entry in store.journal} == {report.run}
        assert [entry["number"] for entry in store.journal] == list(range(1, len(events) + 1))
