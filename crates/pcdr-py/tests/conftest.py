"""Stand-ins for the tests. Each is built, configured and loaded over the wire, as a user's test would."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pcdr


@pytest.fixture(scope="session")
def topology() -> pcdr.Topology:
    return pcdr.Topology.from_text(pcdr.example())


@pytest.fixture
def servers(topology: pcdr.Topology, tmp_path: Path) -> Iterator[pcdr.Servers]:
    """Configured stand-ins with 5 chat records shipped and 3 that are on the primary only."""
    with pcdr.sim(topology, keep=tmp_path / "stand-ins") as servers:
        servers.prepare()
        servers.write(5)
        servers.ship()
        servers.write(3)
        yield servers


@pytest.fixture(scope="module")
def lost(topology: pcdr.Topology) -> Iterator[pcdr.Servers]:
    """The same after the loss of the primary site, for tests that only look and plan."""
    with pcdr.sim(topology) as servers:
        servers.prepare()
        servers.write(5)
        servers.ship()
        servers.write(3)
        servers.lose_site("north")
        yield servers


def journal(tmp_path: Path) -> list[dict[str, Any]]:
    """The journal of the stand-ins of the fixture ``servers``, oldest entry first."""
    text = (tmp_path / "stand-ins" / "state" / "journal.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]
