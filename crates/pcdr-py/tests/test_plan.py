"""Observations, statuses, plans and refusals."""

import json
import pickle
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import pcdr


@pytest.fixture(scope="module")
def plan(lost: pcdr.Servers) -> pcdr.Plan:
    return pcdr.plan("failover", lost.topology, consents=["primary-site-lost"])


def test_a_refusal_names_its_way_out_and_that_way_leads_on(lost: pcdr.Servers) -> None:
    with pytest.raises(pcdr.Refusal) as raised:
        pcdr.plan("failover", lost.topology)
    refusal = raised.value
    assert refusal.code == "primary_loss_not_proved"
    assert refusal.consent == "primary-site-lost" and refusal.price
    assert refusal.remedy in str(refusal) and refusal.code in str(refusal)
    assert refusal.details["evidence"]["claims"]
    assert isinstance(refusal, pcdr.PcdrError) and not isinstance(refusal, pcdr.InstanceError)
    assert pcdr.plan("failover", lost.topology, consents=[refusal.consent]).steps


def test_a_refusal_survives_the_way_out_of_another_process(lost: pcdr.Servers) -> None:
    with pytest.raises(pcdr.Refusal) as raised:
        pcdr.plan("failover", lost.topology)
    again = pickle.loads(pickle.dumps(raised.value))
    assert type(again) is pcdr.Refusal
    assert str(again) == str(raised.value)
    assert (again.consent, again.price) == (raised.value.consent, raised.value.price)
    assert again.details == raised.value.details


def test_details_cannot_be_changed(lost: pcdr.Servers) -> None:
    with pytest.raises(pcdr.Refusal) as raised:
        pcdr.plan("failover", lost.topology)
    details: Any = raised.value.details
    with pytest.raises(TypeError):
        details["evidence"] = None


def test_the_graph_orders_the_steps_as_they_are_numbered(plan: pcdr.Plan) -> None:
    assert [step.number for step in plan.steps] == list(range(1, len(plan) + 1))
    assert plan.graph == {step.number: step.after for step in plan.steps}
    assert all(before < number for number, after in plan.graph.items() for before in after)
    assert all(step.source and step.text == str(step) for step in plan.steps)
    longest: dict[int, timedelta] = {}
    for step in plan.steps:
        before = max((longest[number] for number in step.after), default=timedelta())
        longest[step.number] = before + step.expected
    assert plan.predicted_duration == max(longest.values())


def test_a_plan_tells_what_it_will_lose_and_why_it_is_safe(plan: pcdr.Plan) -> None:
    (loss,) = plan.predicted_losses
    assert loss.database == "mgc" and loss.saved_until is not None
    assert loss.span == loss.lost_until - loss.saved_until
    assert loss.saved_until.tzinfo is timezone.utc
    assert plan.intent == "disaster-failover" and plan.consents == ["primary-site-lost"]
    assert plan.invariants and plan.evidence and "sql-n1" in plan.evidence
    assert plan.observed_at <= plan.planned_at
    assert str(plan).count("\n") > len(plan)


def test_a_runbook_has_the_statement_of_the_recovery(plan: pcdr.Plan) -> None:
    assert [step for step in plan.steps if "recover mgc" in step.text]
    assert "RESTORE DATABASE [mgc] WITH RECOVERY" in plan.runbook()


def test_a_plan_in_a_notebook_is_a_table_without_live_markup(plan: pcdr.Plan) -> None:
    assert plan._repr_html_().count("<tr>") == len(plan) + 1
    text = plan.to_json().replace('"mgc"', '"<script>alert(1)</script>"')
    html = pcdr.Plan.from_json(text, plan.topology)._repr_html_()
    assert "&lt;script&gt;" in html and "<script" not in html


def test_a_plan_reads_back_as_it_was_written(plan: pcdr.Plan) -> None:
    again = pcdr.Plan.from_json(plan.to_json(), plan.topology)
    assert again == plan and again.steps == plan.steps
    assert json.loads(plan.to_json())["topology"] == plan.topology.identity


def test_a_plan_of_another_topology_or_no_plan_is_told(
    plan: pcdr.Plan, topology: pcdr.Topology
) -> None:
    with pytest.raises(pcdr.UsageError) as raised:
        pcdr.Plan.from_json(plan.to_json(), topology)
    assert raised.value.code == "plan_of_another_topology"
    for text in ("", "{}", "[1", json.dumps(json.loads(plan.to_json()) | {"pcdr_plan": 99})):
        with pytest.raises(pcdr.UsageError) as raised:
            pcdr.Plan.from_json(text, topology)
        assert raised.value.code == "plan_file"


def test_an_observation_reads_back_and_gives_the_same_plan(lost: pcdr.Servers) -> None:
    seen = pcdr.observe(lost.topology)
    assert set(seen.unreachable) == {"sql-n1", "sql-n2", "sql-n3"}
    again = pcdr.Observation.from_json(seen.to_json())
    assert again == seen
    assert set(seen.to_dict()["instances"]) == {i.name for i in lost.topology.instances}
    now = seen.taken_at + timedelta(seconds=10)
    plans = [
        pcdr.plan(
            "failover", lost.topology, consents=["primary-site-lost"], observation=one, now=now
        )
        for one in (seen, again)
    ]
    assert plans[0] == plans[1]
    assert plans[0].planned_at == now
    with pytest.raises(pcdr.Refusal) as raised:
        pcdr.plan(
            "failover",
            lost.topology,
            consents=["primary-site-lost"],
            observation=seen,
            now=now + timedelta(hours=1),
        )
    assert raised.value.code == "observation_too_old"


def test_objects_serve_many_threads_at_once(lost: pcdr.Servers) -> None:
    seen = pcdr.observe(lost.topology)
    plans: list[pcdr.Plan] = []

    def work() -> None:
        for _ in range(5):
            plans.append(
                pcdr.plan(
                    "failover",
                    lost.topology,
                    consents=["primary-site-lost"],
                    observation=seen,
                    now=seen.taken_at,
                )
            )

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plans) == 40 and all(one == plans[0] for one in plans)


def test_status_judges_what_was_seen(lost: pcdr.Servers) -> None:
    now = pcdr.status(lost.topology)
    assert now.verdict != "ready" and not now.is_ready
    assert now.findings and all(finding["code"] for finding in now.findings)
    again = pcdr.status(lost.topology, observation=now.observation, now=now.observation.taken_at)
    assert again.verdict == now.verdict
    assert json.loads(now.to_json()) == now.to_dict()
    assert "sql-n1" in str(now)


def test_naive_times_and_wrong_arguments_are_told(lost: pcdr.Servers) -> None:
    seen = pcdr.observe(lost.topology)
    topology: Any = lost.topology
    with pytest.raises(ValueError, match="timezone-aware, but it is naive"):
        pcdr.plan("failover", topology, observation=seen, now=datetime.now())
    with pytest.raises(TypeError, match="now was needed to be a datetime, but it is str"):
        pcdr.plan("failover", topology, observation=seen, now="now")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="without an observation"):
        pcdr.plan("failover", topology, now=datetime.now(timezone.utc))
    with pytest.raises(ValueError, match="'swap' is no intent|\"swap\" is no intent"):
        pcdr.plan("swap", topology)  # type: ignore[arg-type]
    with pytest.raises(pcdr.UsageError, match="accept-everything") as raised:
        pcdr.plan("failover", topology, consents=["accept-everything"])
    assert raised.value.code == "consent"
    with pytest.raises(TypeError, match="several names"):
        pcdr.plan("failover", topology, consents="primary-site-lost")
    with pytest.raises(ValueError, match="new_principal"):
        pcdr.plan("mirror-failover", topology)
    with pytest.raises(ValueError, match="mirroring was given, but failover"):
        pcdr.plan("failover", topology, mirroring=True)
    with pytest.raises(TypeError):
        pcdr.plan("failover", "topology.toml")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout_seconds"):
        pcdr.observe(topology, timeout_seconds=-1.0)


def test_plans_and_observations_are_not_pickled(plan: pcdr.Plan, lost: pcdr.Servers) -> None:
    with pytest.raises(TypeError, match=r"cannot pickle pcdr\.Plan: use to_json"):
        pickle.dumps(plan)
    with pytest.raises(TypeError, match=r"cannot pickle pcdr\.Observation: use to_json"):
        pickle.dumps(pcdr.observe(lost.topology))


def test_nothing_can_be_assigned(plan: pcdr.Plan) -> None:
    with pytest.raises(AttributeError):
        plan.intent = "configure"  # type: ignore[misc]
