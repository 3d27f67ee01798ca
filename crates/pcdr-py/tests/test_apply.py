"""Carrying plans out on stand-ins."""

import os
import signal
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import pytest
from conftest import journal

import pcdr


def failover(servers: pcdr.Servers) -> pcdr.Plan:
    servers.lose_site("north")
    return pcdr.plan("failover", servers.topology, consents=["primary-site-lost"])


def test_every_intent_but_the_disaster_goes_once_round(servers: pcdr.Servers) -> None:
    topology = servers.topology
    swap = pcdr.plan("mirror-failover", topology, new_principal="mirror")
    pcdr.apply(swap)
    pcdr.apply(pcdr.plan("mirror-failover", topology, new_principal="primary"))
    assert not pcdr.plan("configure", topology).steps

    there = pcdr.plan("planned-failover", topology)
    assert there.predicted_losses == []
    pcdr.apply(there)
    assert servers.records("sql-s1", "mgc") == set(range(1, 9)), "a planned failover loses nothing"
    assert not pcdr.plan("fence", topology).steps, "the old primary is fenced already"
    pcdr.apply(pcdr.plan("failback", topology))
    assert servers.records("sql-n1", "mgc") == set(range(1, 9))

    pcdr.apply(pcdr.plan("remove", topology, mirroring=True))
    removed = pcdr.observe(topology).to_dict()["instances"]["sql-n1"]["known"]
    assert removed["log_shipping_primary"] == {"known": {}}


def test_a_failover_saves_what_was_shipped_and_tells_every_step(servers: pcdr.Servers) -> None:
    plan = failover(servers)
    events: list[pcdr.Progress] = []
    report = pcdr.apply(plan, progress=events.append)
    assert servers.records("sql-s1", "mgc") == set(range(1, 6))
    started = [event.step.number for event in events if event.kind == "started" and event.step]
    ended = [event.step.number for event in events if event.kind == "ended" and event.step]
    assert sorted(started) == [step.number for step in plan.steps]
    assert ended == [step.number for step in report.steps]
    assert all(step.started_at <= step.acted_at <= step.ended_at for step in report.steps)
    assert report.started_at <= report.ended_at and len(report.plan) == len(plan)
    assert report.journal is not None
    assert report.run in Path(report.journal).read_text()
    assert not pcdr.plan("failover", servers.topology, consents=["primary-site-lost"]).steps


class Unwilling(Exception):
    pass


def test_a_callback_that_raises_stops_the_run_and_shows_its_traceback(
    servers: pcdr.Servers, tmp_path: Path
) -> None:
    plan = failover(servers)

    def objects(event: pcdr.Progress) -> None:
        if event.kind == "ended":
            raise Unwilling(event)

    with pytest.raises(Unwilling) as raised:
        pcdr.apply(plan, progress=objects)
    frames = traceback.extract_tb(raised.value.__traceback__)
    assert frames[-1].name == "objects" and frames[-1].filename == __file__
    entries = [entry["event"] for entry in journal(tmp_path)]
    assert entries[-1] == {"event": "run_ended", "succeeded": False}, "it ended by itself"
    done = sum(1 for entry in entries if entry["event"] == "step_succeeded")

    rest = pcdr.apply(plan)
    assert rest.steps and servers.records("sql-s1", "mgc") == set(range(1, 6))
    assert done > 0


def test_ctrl_c_stops_the_run_and_the_same_plan_finishes_it(
    servers: pcdr.Servers, tmp_path: Path
) -> None:
    plan = failover(servers)
    pressed = threading.Event()

    def press() -> None:
        pressed.wait()
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press)
    finger.start()
    kinds: Counter[str] = Counter()

    def note(event: pcdr.Progress) -> None:
        kinds[event.kind] += 1
        pressed.set()

    with pytest.raises(KeyboardInterrupt):
        pcdr.apply(plan, progress=note)
    finger.join()
    assert journal(tmp_path)[-1]["event"]["event"] == "run_ended"
    assert kinds["started"] < len(plan)

    assert pcdr.apply(plan).steps
    assert servers.records("sql-s1", "mgc") == set(range(1, 6))


def test_a_configuration_that_is_stopped_is_taken_back(
    topology: pcdr.Topology, tmp_path: Path
) -> None:
    with pcdr.sim(topology, keep=tmp_path / "stand-ins") as servers:
        servers.create_databases()
        plan = pcdr.plan("configure", servers.topology)
        kinds: Counter[str] = Counter()

        def stop_late(event: pcdr.Progress) -> None:
            kinds[event.kind] += 1
            if kinds["ended"] == 8:
                raise Unwilling

        with pytest.raises(Unwilling):
            pcdr.apply(plan, progress=stop_late)
        seen = pcdr.observe(servers.topology).to_dict()["instances"]
        assert seen["sql-n1"]["known"]["log_shipping_primary"] == {"known": {}}
        assert pcdr.apply(pcdr.plan("configure", servers.topology)).steps


def test_one_run_at_a_time_and_the_other_is_told_who_holds_the_lock(servers: pcdr.Servers) -> None:
    plan = failover(servers)
    errors: list[pcdr.InstanceError] = []

    def another(event: pcdr.Progress) -> None:
        if event.kind == "started" and not errors:
            with pytest.raises(pcdr.InstanceError) as raised:
                pcdr.apply(plan)
            errors.append(raised.value)

    pcdr.apply(plan, progress=another)
    (error,) = errors
    assert error.code == "locked" and str(os.getpid()) in error.message


def test_facts_that_changed_are_a_refusal_and_nothing_is_done(
    servers: pcdr.Servers, tmp_path: Path
) -> None:
    plan = failover(servers)
    before = len(journal(tmp_path))
    servers.return_site("north")
    with pytest.raises(pcdr.Refusal) as raised:
        pcdr.apply(plan)
    assert raised.value.code == "primary_alive"
    assert len(journal(tmp_path)) == before


def test_a_step_that_fails_is_an_error_of_the_world(
    topology: pcdr.Topology, tmp_path: Path
) -> None:
    with pcdr.sim(topology) as servers:
        servers.create_databases()
        plan = pcdr.plan("configure", servers.topology)
        servers.lose_share("log-backups")
        events: list[pcdr.Progress] = []
        with pytest.raises(pcdr.InstanceError) as raised:
            pcdr.apply(plan, progress=events.append)
        error = raised.value
        assert error.details["number"] == 3201 and error.details["at"] == "sql-n1"
        assert error.details["step"] in plan.graph and error.details["succeeded"] > 0
        assert error.details["taken_back"]["is_complete"] is True
        assert error.remedy and error.code == "file_inaccessible"
        (failed,) = [event for event in events if event.kind == "failed"]
        assert failed.code == error.code and failed.step is not None
        assert failed.step.number == error.details["step"]
        assert "takes_back" in [event.kind for event in events]

        servers.return_share("log-backups")
        assert len(pcdr.apply(plan).steps) == len(plan)


def test_other_threads_go_on_while_a_run_is_waited_for(servers: pcdr.Servers) -> None:
    plan = failover(servers)
    run = threading.Thread(target=pcdr.apply, args=(plan,))
    began = time.monotonic()
    run.start()
    turns = 0
    while run.is_alive():
        time.sleep(0.001)
        turns += 1
    # A wait that held the interpreter would let this thread in once in 100 ms.
    assert turns > 30 * (time.monotonic() - began)
