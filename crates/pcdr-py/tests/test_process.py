"""What concerns the process: closing, secrets, forks, imports."""

import subprocess
import sys
from pathlib import Path

import pytest

import pcdr


def run(script: str) -> str:
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_closed_stand_ins_say_so(topology: pcdr.Topology) -> None:
    with pcdr.sim(topology) as servers:
        served = servers.topology
        seen = pcdr.observe(served)
    for call in (
        lambda: servers.write(1),
        lambda: pcdr.observe(served),
        lambda: pcdr.plan("configure", served),
        lambda: pcdr.plan("configure", served, observation=seen),
    ):
        with pytest.raises(ValueError, match="are closed"):
            call()
    servers.close()


def test_a_name_that_the_stand_ins_do_not_have_is_told(topology: pcdr.Topology) -> None:
    with pcdr.sim(topology) as servers:
        with pytest.raises(pcdr.UsageError, match="west"):
            servers.lose_site("west")
        with pytest.raises(pcdr.UsageError, match="no share holds"):
            servers.corrupt("nothing.trn")
        with pytest.raises(pcdr.InstanceError, match="208") as raised:
            servers.sql("sql-n1", "SELECT * FROM no_such_table;")
        assert raised.value.details["number"] == 208


def test_the_folder_to_keep_has_to_be_empty(topology: pcdr.Topology, tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(pcdr.UsageError) as raised, pcdr.sim(topology, keep=tmp_path):
        pass
    assert raised.value.code == "folder_not_empty"


def test_the_password_shows_up_nowhere(topology: pcdr.Topology, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with pcdr.sim(topology, keep=tmp_path / "stand-ins") as servers:
        password = (tmp_path / "stand-ins" / "password").read_text().strip()
        ports = pcdr.Ports(trace_sql=trace)
        servers.create_databases()
        seen = pcdr.observe(servers.topology, ports=ports)
        plan = pcdr.plan("configure", servers.topology, ports=ports)
        report = pcdr.apply(plan, ports=ports)
        (tmp_path / "stand-ins" / "password").write_text("hunter2-wrong\n")
        wrong = pcdr.observe(servers.topology)
    assert password and set(wrong.unreachable) == {i.name for i in topology.instances}
    shown = [servers.topology, servers, ports, seen, plan, report, plan.steps, report.steps, wrong]
    texts = [str(one) + repr(one) for one in shown]
    texts += [seen.to_json(), plan.to_json(), plan.runbook(), wrong.to_json(), trace.read_text()]
    texts += [Path(report.journal or "").read_text() if report.journal else ""]
    assert not any(password in text or "hunter2-wrong" in text for text in texts)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_forked_process_is_told_to_be_spawned() -> None:
    script = """
import os, pcdr, warnings
warnings.simplefilter("ignore")
topology = pcdr.Topology.from_text(pcdr.example())
with pcdr.sim(topology) as servers:
    pcdr.observe(servers.topology)
    child = os.fork()
    if child == 0:
        try:
            pcdr.observe(servers.topology)
        except pcdr.UsageError as error:
            os._exit(3 if error.code == "forked" else 4)
        os._exit(5)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(script).strip() == "3"


def test_a_process_that_is_forked_before_the_first_call_works() -> None:
    script = """
import os, pcdr, warnings
child = os.fork()
if child == 0:
    with pcdr.sim(pcdr.Topology.from_text(pcdr.example())) as servers:
        os._exit(3 if not pcdr.observe(servers.topology).unreachable else 4)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(script).strip() == "3"


def test_importing_is_quick_and_leaves_asyncio_alone() -> None:
    script = """
import time
began = time.perf_counter()
import pcdr
print(time.perf_counter() - began)
import sys
print("asyncio" in sys.modules)
"""
    told = [run(script).split() for _ in range(7)]
    assert {asyncio for _, asyncio in told} == {"False"}
    quickest = min(float(seconds) for seconds, _ in told)
    print(f"import pcdr: {quickest * 1000:.1f} ms")
    assert quickest <= 0.050
