"""Stand-ins of SQL Server and of the Management Shell, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath

from pcdr import _pcdr
from pcdr._drive import finish
from pcdr._pcdr import Topology


class Servers:
    """The stand-ins of one topology. Names are those of the topology.

    Every method raises ``ValueError`` for a name that the topology does not have and once the stand-ins
    are closed, and :class:`pcdr.InstanceError` for what a server says.
    """

    def __init__(self, served: _pcdr.StandIns) -> None:
        self._served = served

    @property
    def topology(self) -> Topology:
        """The topology with the stand-ins' addresses: what the calls of pcdr take."""
        return self._served.topology

    def create_databases(self) -> None:
        """Create the application's databases on the primary, and nothing else."""
        finish(self._served.create_databases())

    def prepare(self) -> int:
        """Create the databases and configure mirroring and log shipping; in how many steps."""
        return finish(self._served.prepare())

    def write(self, count: int) -> int:
        """Write ``count`` chat records into each database where it takes writes; how many in all."""
        return finish(self._served.write(count))

    def ship(self) -> None:
        """Run backup, copy and restore job of each database, each to its end."""
        finish(self._served.ship())

    def records(self, instance: str, database: str) -> set[int]:
        """The numbers of the chat records in a copy of a database that can be read."""
        return finish(self._served.records(instance, database))

    def sql(self, instance: str, batch: str) -> None:
        """Send one batch of T-SQL to an instance."""
        finish(self._served.sql(instance, batch))

    def run_job(self, instance: str, job: str) -> None:
        """Start an Agent job, and do not wait for its end."""
        finish(self._served.run_job(instance, job))

    def lose_site(self, name: str) -> None:
        """Lose every instance, share and chat server of a site."""
        finish(self._served.lose_site(name))

    def return_site(self, name: str) -> None:
        """Bring a site back."""
        finish(self._served.return_site(name))

    def lose_instance(self, name: str) -> None:
        """Stop an instance as a power failure does."""
        finish(self._served.lose_instance(name))

    def return_instance(self, name: str) -> None:
        """Start an instance again."""
        finish(self._served.return_instance(name))

    def lose_share(self, name: str) -> None:
        """Put a share out of everybody's reach."""
        finish(self._served.lose_share(name))

    def return_share(self, name: str) -> None:
        """Bring a share back."""
        finish(self._served.return_share(name))

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Cut the link between two sites; ``"controller"`` is pcdr itself."""
        finish(self._served.cut(one, other, one_way))

    def heal(self, one: str, other: str) -> None:
        """Heal a link."""
        finish(self._served.heal(one, other))

    def kill_connections(self, instance: str) -> int:
        """End every client's session on an instance; how many there were."""
        return finish(self._served.kill_connections(instance))

    def corrupt(self, file: str) -> None:
        """Change a byte of a backup file, named by its UNC path or by its name in a share."""
        finish(self._served.corrupt(file))

    def truncate(self, file: str, size_bytes: int) -> None:
        """Cut a backup file, named as for :meth:`corrupt`."""
        finish(self._served.truncate(file, size_bytes))

    def close(self) -> None:
        """End the stand-ins. A second time does nothing."""
        finish(self._served.close())

    def __repr__(self) -> str:
        return f"<pcdr.Servers of {', '.join(self.topology.databases)}>"


@contextmanager
def sim(
    topology: Topology, *, seed: int = 0, keep: str | PathLike[str] | None = None
) -> Iterator[Servers]:
    """Serve stand-ins of a topology on the loopback address, over real sockets with TLS.

    Args:
        topology: What was designed; its addresses are replaced.
        seed: Of the stand-ins' choices, from 0 on.
        keep: An empty folder to hold disks, shares and journal; None: a temporary one, removed at
            the end.

    Raises:
        InstanceError: Folders, certificates or ports.
        ValueError: The folder to keep is not empty.
    """
    folder = None if keep is None else fspath(keep)
    servers = Servers(finish(_pcdr.sim(topology, seed, folder)))
    try:
        yield servers
    finally:
        servers.close()
