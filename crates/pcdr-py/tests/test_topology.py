"""What was designed."""

import pickle
import tomllib
from pathlib import Path
from typing import Any

import pytest

import pcdr


def test_the_example_is_read_as_it_is_written(topology: pcdr.Topology) -> None:
    written = tomllib.loads(pcdr.example())
    assert topology.sites == [site["name"] for site in written["sites"]]
    assert {i.name for i in topology.instances} == {i["name"] for i in written["instances"]}
    assert topology.databases == ["mgc"]
    assert topology.pool == written["pool"]["fqdn"]
    assert len(topology.servers) == len(written["pool"]["servers"])
    primary = next(i for i in topology.instances if i.role == "primary")
    assert (primary.site, primary.host, primary.port) == ("north", "sql-n1.example.net", 1433)


def test_file_text_and_mapping_give_the_same_topology(
    topology: pcdr.Topology, tmp_path: Path
) -> None:
    file = tmp_path / "a b.toml"
    file.write_text(pcdr.example())
    from_file = pcdr.Topology.from_file(file)
    from_dict = pcdr.Topology.from_dict(tomllib.loads(pcdr.example()))
    assert from_file == topology == from_dict
    assert hash(from_file) == hash(topology)
    other = pcdr.Topology.from_text(pcdr.example().replace('"sql-n1"', '"sql-x1"'))
    assert other != topology and other.identity != topology.identity


def test_every_violation_is_told_with_its_place() -> None:
    broken = pcdr.example().replace('site = "north"', 'site = "nowhere"', 1).replace("1433", "0", 1)
    found = pcdr.Topology.validate(broken)
    assert len(found) >= 2
    assert [(v.line, v.column) for v in found] == sorted((v.line, v.column) for v in found)
    lines = broken.splitlines()
    assert any("nowhere" in lines[v.line - 1] for v in found)
    with pytest.raises(pcdr.TopologyError) as raised:
        pcdr.Topology.from_text(broken)
    assert list(raised.value.violations) == found
    assert raised.value.code == "invalid_topology"
    assert isinstance(raised.value, ValueError)
    assert pcdr.Topology.validate(pcdr.example()) == []


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(pcdr.UsageError, match="nothing.toml") as raised:
        pcdr.Topology.from_file(tmp_path / "nothing.toml")
    assert raised.value.code == "topology_file"


def test_a_password_in_a_topology_is_refused_and_shown_nowhere() -> None:
    text = pcdr.example().replace('password_env = "PCDR_PASSWORD"', 'password = "hunter2"')
    with pytest.raises(pcdr.TopologyError) as raised:
        pcdr.Topology.from_text(text)
    error = raised.value
    assert "secret_in_file" in [violation.code for violation in error.violations]
    for shown in (str(error), repr(error), repr(error.violations), repr(dict(error.details))):
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("topology.mirroring.endpoint_name", None),
        ("topology.mirroring.endpoint_name", b"bytes"),
        ("topology.mirroring.endpoint_name", {1: "a"}),
        ("topology.mirroring.endpoint_name", object()),
    ],
)
def test_a_value_of_the_wrong_type_is_told_with_its_place(place: str, value: object) -> None:
    mapping: dict[str, Any] = tomllib.loads(pcdr.example())
    mapping["mirroring"]["endpoint_name"] = value
    with pytest.raises(TypeError, match=place):
        pcdr.Topology.from_dict(mapping)


def test_a_mapping_that_holds_itself_ends() -> None:
    mapping: dict[str, Any] = {}
    mapping["sites"] = [mapping]
    with pytest.raises(ValueError, match="too deeply"):
        pcdr.Topology.from_dict(mapping)


def test_a_topology_is_not_pickled(topology: pcdr.Topology) -> None:
    with pytest.raises(TypeError, match=r"cannot pickle pcdr\.Topology: give the other process"):
        pickle.dumps(topology)
