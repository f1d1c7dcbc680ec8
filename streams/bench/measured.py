"""What a benchmark measures, as it is written to JSON."""

from msgspec import Struct

from streams.bench.plan import Plan
from streams.bench.usage import Usage


class BenchFailed(RuntimeError):
    """Nothing can be measured: says why."""


class Pace(Struct, frozen=True):
    """How fast something was, from the first event appended to the last one done, and what it took."""

    events: int
    seconds: float
    usage: Usage
    memory_mb: float
    """The most that its processes held, together."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    def per_million(self, seconds: float | None) -> float | None:
        """So many seconds of CPU, for a million events."""
        return None if seconds is None else seconds / self.events * 1e6


class Latency(Struct, frozen=True):
    """Milliseconds from when an event was due to the broker's stamp of the recommendation that covers it."""

    part: float | None
    """Of the run's throughput; None for a rate that was given."""
    rate: float
    """Events a second."""
    events: int
    unanswered: int
    left: int
    """Events that were not out when the last one was sent: more than a second's, and the workers could not keep up."""
    late_ms: float
    """p99 of how much later than due an event was sent: it is in the latencies."""
    p50: float
    p95: float
    p99: float
    worst: float
    usage: Usage
    """Of all events, the first ones included."""


class LookUps(Struct, frozen=True):
    """Milliseconds of a GET of a recommendation, from when it was due, in a process of its own."""

    count: int
    p50: float
    p99: float
    worst: float


class Kept(Struct, frozen=True):
    """Bytes in Redis (MEMORY USAGE: key and value with what Redis takes for them), at the end of a run."""

    items: int
    users: int
    mean_item: float
    """With its public list."""
    mean_user: float
    """With what was bought, without the recommendation."""
    full_item: float
    """With a row of as many neighbours as are kept, without the public list."""
    list: float
    """The public list of an item that has all of one."""
    full_user: float
    """With a full history, without what was bought."""
    recommendation: float
    held_item: float | None
    """What each item that a customer holds adds; None where nobody holds several."""


class Run(Struct, frozen=True):
    """One run: all of it on the same events."""

    stock: Pace
    naive: Pace
    core: Pace
    """Freshet that learns, ranks and publishes, and nothing else."""
    methods: Pace
    """Freshet with all methods, without accounts of customers."""
    freshet: Pace
    """Freshet as it is without settings: everything."""
    counted: int
    """Interactions that Freshet's marks say it counted, of all `sent`."""
    sent: int
    latencies: list[Latency]
    look_ups: LookUps
    told: Latency
    """To the message of the customer."""
    start_s: float
    """From the start of the workers to the first recommendation published, with the state there."""
    kept: Kept


class CatchUp(Struct, frozen=True):
    """After a downtime, while new events keep coming."""

    downtime_s: float
    rate: float
    """Events a second, during the downtime and after it."""
    backlog: int
    seconds: float | None
    """From the start of the workers to when they were less than a second behind; None: they were not in time."""


class Scale(Struct, frozen=True):
    """The throughput beside a state of a size."""

    items: int
    users: int
    stored_items: int
    stored_users: int
    pace: Pace


class Machine(Struct, frozen=True):
    cpus: int
    load_average: float
    """Of the minute before the benchmark: processes that ran or waited."""
    python: str
    platform: str


class Measured(Struct, frozen=True, kw_only=True):
    """Everything."""

    plan: Plan
    machine: Machine
    runs: list[Run]
    catch_up: CatchUp | None = None
    scale: list[Scale] = []
    seconds: float
    interrupted: bool = False
    """Whether somebody broke it off: then there are perhaps fewer runs than planned, all of them whole, and not the rest."""
