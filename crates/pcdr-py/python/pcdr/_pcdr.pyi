"""The native part of pcdr: types and the one home of their documentation."""

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from os import PathLike
from typing import Any, Generic, Literal, NoReturn, Protocol, TypedDict, TypeVar, final, type_check_only

__all__ = [
    "Instance",
    "Job",
    "Observation",
    "Plan",
    "Ports",
    "PredictedLoss",
    "Progress",
    "Report",
    "StandIns",
    "Status",
    "Step",
    "StepProgress",
    "StepReport",
    "Topology",
    "Violation",
    "apply",
    "example",
    "observe",
    "plan",
    "plan_from",
    "sim",
    "status",
    "status_from",
]

_T = TypeVar("_T", covariant=True)

@type_check_only
class Wanted(TypedDict):
    """What is wanted, and what is accepted for it."""

    intent: str
    new_principal: str | None
    by_cmdlet: bool
    mirroring: bool
    consents: list[str]

@final
class Instance:
    """An instance of a topology.

    ``role`` is its designed role, for example ``"primary_mirror"``; ``server_name`` is ``@@SERVERNAME``;
    ``port`` is None where SQL Server Browser tells it.
    """

    @property
    def name(self) -> str: ...
    @property
    def site(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def server_name(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Violation:
    """One violation of a planning rule or of the form of a topology.

    ``line`` and ``column`` are from 1, and columns count characters. ``source`` is the document that
    states the rule; empty for the form. ``message`` never holds the value of a secret.
    """

    @property
    def code(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...
    @property
    def message(self) -> str: ...
    @property
    def remedy(self) -> str: ...
    @property
    def source(self) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Topology:
    """A designed topology that keeps every planning rule: there is no other one. Cannot be changed."""

    @staticmethod
    def from_file(path: str | PathLike[str]) -> Topology:
        """Read a TOML file.

        Raises:
            TopologyError: It breaks rules; ``violations`` lists all of them.
            UsageError: It cannot be read.
        """

    @staticmethod
    def from_text(text: str) -> Topology:
        """Read the text of such a file.

        Raises:
            TopologyError: It breaks rules.
        """

    @staticmethod
    def from_dict(mapping: Mapping[str, Any]) -> Topology:
        """Read what such a file says, as mappings, lists, text, numbers and truth values.

        Raises:
            TopologyError: It breaks rules; lines are those of the text that the mapping makes.
            TypeError: A value is of another kind, or None. The message says where.
        """

    @staticmethod
    def validate(text: str) -> list[Violation]:
        """Everything that is wrong with a text, in its order; empty when nothing is."""

    @property
    def identity(self) -> str:
        """What lock and journal go by: databases, pool, and where its instances are."""

    @property
    def sites(self) -> list[str]: ...
    @property
    def instances(self) -> list[Instance]: ...
    @property
    def databases(self) -> list[str]:
        """The log-shipped ones."""

    @property
    def pool(self) -> str | None:
        """Its fully qualified name; None without one."""

    @property
    def servers(self) -> list[str]:
        """The pool's chat servers; empty without a pool."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Observation:
    """What was seen, by whom, when. What was not seen is unknown, with a reason."""

    @staticmethod
    def from_json(text: str) -> Observation:
        """Read what :meth:`to_json` wrote.

        Raises:
            UsageError: It is something else.
        """

    @property
    def taken_at(self) -> datetime:
        """When looking began; in UTC."""

    @property
    def observer(self) -> str: ...
    @property
    def unreachable(self) -> dict[str, str]:
        """Instances that did not answer, each with the reason."""

    def to_json(self) -> str: ...
    def to_dict(self) -> dict[str, Any]:
        """All of it. A fact is ``{"known": …}`` or ``{"unknown": {"code": …, "message": …}}``."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> NoReturn: ...
    __hash__: None  # type: ignore[assignment]

@final
class Status:
    """What an observation says of every protection. ``str()`` is the command's text."""

    @property
    def verdict(self) -> str:
        """``"ready"``, ``"attention"``, ``"unknown"``, ``"not-ready"`` or ``"alarm"``."""

    @property
    def is_ready(self) -> bool: ...
    @property
    def findings(self) -> list[dict[str, Any]]:
        """Everything that is not as it should be, the worst first, each with a ``code``."""

    @property
    def protections(self) -> list[dict[str, Any]]:
        """Mirroring and log shipping of each database, with lags and what is at risk."""

    @property
    def observation(self) -> Observation: ...
    def to_json(self) -> str: ...
    def to_dict(self) -> dict[str, Any]:
        """What ``pcdr status --json`` prints."""

@final
class Step:
    """One instruction of a plan. ``str()`` is its only wording.

    ``number`` is from 1. ``after`` holds the numbers of the steps that must have succeeded before,
    ascending. ``source`` is the document and step that prescribes it. ``expected`` is the predicted
    duration. ``instance`` and ``database`` are None where it changes neither. ``action`` is all of it as
    plain data.
    """

    @property
    def number(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def after(self) -> list[int]: ...
    @property
    def source(self) -> str: ...
    @property
    def expected(self) -> timedelta: ...
    @property
    def instance(self) -> str | None: ...
    @property
    def database(self) -> str | None: ...
    @property
    def action(self) -> dict[str, Any]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class PredictedLoss:
    """The records of one database that a plan will lose.

    Records from log position ``from_lsn`` on are lost (inclusive). Everything committed before
    ``saved_until`` is saved; None when no header tells, and ``span`` is None then. Nothing accepted after
    ``lost_until`` is known of. ``span`` is the longest time that lost records can come from.
    """

    @property
    def database(self) -> str: ...
    @property
    def from_lsn(self) -> str: ...
    @property
    def saved_until(self) -> datetime | None: ...
    @property
    def lost_until(self) -> datetime: ...
    @property
    def span(self) -> timedelta | None: ...
    @property
    def text(self) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Plan:
    """A proved plan, or what was read from a file of one. Cannot be changed.

    ``str()`` is what the command shows, ``len()`` the number of steps, and a notebook shows a table.
    """

    @staticmethod
    def from_json(text: str, topology: Topology) -> Plan:
        """Read what :meth:`to_json` or ``pcdr plan -o`` wrote.

        What is read is data; applying it observes and plans again.

        Raises:
            UsageError: It is no plan (``code`` is ``"plan_file"``) or one of another topology
                (``"plan_of_another_topology"``).
        """

    def to_json(self) -> str:
        """The file that ``pcdr apply`` takes."""

    @property
    def topology(self) -> Topology: ...
    @property
    def intent(self) -> str:
        """For example ``"disaster-failover"``."""

    @property
    def planned_at(self) -> datetime: ...
    @property
    def observed_at(self) -> datetime: ...
    @property
    def consents(self) -> list[str]:
        """Those that it needed."""

    @property
    def steps(self) -> list[Step]:
        """In the order of their numbers, which is one order that the graph allows."""

    @property
    def graph(self) -> dict[int, list[int]]:
        """By step, the steps that must have succeeded before."""

    @property
    def predicted_losses(self) -> list[PredictedLoss]:
        """By database; empty when nothing can be lost."""

    @property
    def predicted_duration(self) -> timedelta:
        """Along the longest path."""

    @property
    def invariants(self) -> list[str]:
        """What holds after every step, on the model."""

    @property
    def notes(self) -> list[str]: ...
    @property
    def left_behind(self) -> list[str]:
        """What is left to do by hand when instances are back that cannot be reached."""

    @property
    def facts(self) -> dict[str, str]:
        """What the steps rest on."""

    @property
    def evidence(self) -> str | None:
        """For the loss of the primary site; None where none was needed."""

    def runbook(self) -> str:
        """The same for a person: Markdown with the exact T-SQL and cmdlets."""

    def _repr_html_(self) -> str: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]:
        """A plan without steps is a plan too: there is nothing to do."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> NoReturn: ...
    __hash__: None  # type: ignore[assignment]

@final
class Progress:
    """Something that happened in a run.

    ``kind`` is ``"started"``, ``"progressed"``, ``"ended"`` (its effect was observed), ``"failed"`` or
    ``"takes_back"`` (a configuration failed; what it created is taken back, and steps are numbered anew).
    ``step`` is None for the last. ``percent`` is 0.0 to 100.0, of ``"progressed"`` only. ``code`` is the
    error's, of ``"failed"`` only.
    """

    @property
    def kind(self) -> Literal["started", "progressed", "ended", "failed", "takes_back"]: ...
    @property
    def step(self) -> Step | None: ...
    @property
    def percent(self) -> float | None: ...
    @property
    def detail(self) -> str | None: ...
    @property
    def code(self) -> str | None: ...

@final
class StepReport:
    """When a step ran: started, done by its port's word, and observed to have taken effect."""

    @property
    def number(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def acted_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime: ...

@final
class Report:
    """A run that ended in success.

    ``plan`` is what was carried out: the plan, or the remainder of it that was left to do. ``steps`` are
    in the order in which they ended. ``run`` is its id in the ``journal``, whose file is named.
    """

    @property
    def run(self) -> str: ...
    @property
    def journal(self) -> str | None: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime: ...
    @property
    def steps(self) -> list[StepReport]: ...

@final
class StepProgress:
    """What a step in Python tells and asks."""

    def report(self, percent: float, detail: str = "") -> None:
        """Tell how far it is: 0.0 to 100.0, and more for people."""

    @property
    def is_cancelled(self) -> bool:
        """Whether the run shall stop. A step that can stop cleanly does so soon, and raises."""

@type_check_only
class PoolControl(Protocol):
    """The application around the databases. Methods are plain or coroutine functions.

    ``observe`` changes nothing. It gives ``state`` (``"Normal"`` or ``"FailedOver"``),
    ``replicas_up_to_date`` (by server) and ``is_configuration_writable``, each as :func:`pcdr.known` or
    :func:`pcdr.unknown`. ``run`` gets an action as in :attr:`Step.action` under ``"do"``, and returns
    when the change was accepted; of an action whose effect is already there it succeeds. What they
    raise is an error of the world; a :class:`pcdr.InstanceError` keeps its code.
    """

    def observe(self) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]: ...
    def run(self, action: Any, progress: StepProgress, /) -> object: ...

@type_check_only
class RunLock(Protocol):
    """A held lock. ``release`` is a plain function, called once, at the end of the run."""

    def release(self) -> object: ...

@type_check_only
class RunStore(Protocol):
    """The lock and the journal of runs. Methods are plain or coroutine functions.

    At most one lock is held at a time: ``lock`` raises :class:`pcdr.InstanceError` with the code
    ``"locked"``, naming the holder. ``owner`` has ``who`` and ``run``. An entry is durable when
    ``append`` returns, and ``entries`` gives all of them as they were, in the order appended.
    """

    def lock(self, owner: dict[str, Any], /) -> RunLock | Awaitable[RunLock]: ...
    def append(self, entry: dict[str, Any], /) -> object: ...
    def entries(self) -> list[dict[str, Any]] | Awaitable[list[dict[str, Any]]]: ...

@final
class Ports:
    """How a topology is reached, where that is not the usual way.

    Args:
        state: Folder of lock and journal; None: one of its own under the user's state folder.
        trace_sql: File to record every batch in that is sent, with duration and outcome; secrets masked.
        pool: The application around the databases, in the place of the product's Management Shell.
        store: Lock and journal, in the place of files.

    Raises:
        InstanceError: The trace cannot be written.
    """

    def __new__(
        cls,
        *,
        state: str | PathLike[str] | None = None,
        trace_sql: str | PathLike[str] | None = None,
        pool: PoolControl | None = None,
        store: RunStore | None = None,
    ) -> Ports: ...

@final
class Job(Generic[_T]):
    """Work that goes on in threads of its own."""

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until something has happened or the time is up; whether the work has ended."""

    def events(self) -> list[Progress]:
        """What has happened since the last call, in order."""

    @property
    def has_ended(self) -> bool: ...
    def wake_by(self, waker: Callable[[], object]) -> None:
        """Call ``waker``, from any thread, whenever something has happened."""

    def cancel(self) -> None:
        """Ask the work to stop: cleanly where it changes something, at once where it only looks."""

    def abort(self) -> None:
        """End the work wherever it is, as the end of the process would."""

    def result(self) -> _T:
        """The result of work that has ended; can be asked for once."""

@final
class StandIns:
    """Stand-ins that are served until they are closed."""

    @property
    def topology(self) -> Topology: ...
    def lose_site(self, name: str) -> Job[None]: ...
    def return_site(self, name: str) -> Job[None]: ...
    def lose_instance(self, name: str) -> Job[None]: ...
    def return_instance(self, name: str) -> Job[None]: ...
    def lose_share(self, name: str) -> Job[None]: ...
    def return_share(self, name: str) -> Job[None]: ...
    def cut(self, one: str, other: str, one_way: bool) -> Job[None]: ...
    def heal(self, one: str, other: str) -> Job[None]: ...
    def kill_connections(self, instance: str) -> Job[int]: ...
    def corrupt(self, file: str) -> Job[None]: ...
    def truncate(self, file: str, size_bytes: int) -> Job[None]: ...
    def run_job(self, instance: str, job: str) -> Job[None]: ...
    def sql(self, instance: str, batch: str) -> Job[None]: ...
    def create_databases(self) -> Job[None]: ...
    def prepare(self) -> Job[int]: ...
    def write(self, count: int) -> Job[int]: ...
    def ship(self) -> Job[None]: ...
    def records(self, instance: str, database: str) -> Job[set[int]]: ...
    def close(self) -> Job[None]: ...

def example() -> str:
    """The text of the example topology: a stretched Persistent Chat pool."""

def observe(
    topology: Topology,
    ports: Ports | None,
    timeout_seconds: float | None,
    event_loop: AbstractEventLoop | None,
) -> Job[Observation]: ...
def status(
    topology: Topology,
    ports: Ports | None,
    timeout_seconds: float | None,
    event_loop: AbstractEventLoop | None,
) -> Job[Status]: ...
def status_from(
    topology: Topology, observation: Observation, now: datetime | None
) -> Status: ...
def plan(
    wanted: Wanted,
    topology: Topology,
    ports: Ports | None,
    event_loop: AbstractEventLoop | None,
) -> Job[Plan]: ...
def plan_from(
    wanted: Wanted, topology: Topology, observation: Observation, now: datetime | None
) -> Plan: ...
def apply(
    plan: Plan, ports: Ports | None, keep: bool, event_loop: AbstractEventLoop | None
) -> Job[Report]: ...
def sim(topology: Topology, seed: int, keep: str | None) -> Job[StandIns]: ...
