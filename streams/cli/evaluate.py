"""`freshet evaluate`: how good the recommendations are, on files of events; needs no broker and no Redis."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import msgspec

from recsys.catalogue.catalogue import Catalogue
from recsys.evaluation import evaluate as evaluation
from recsys.evaluation.baselines import BASKET_BASELINES, SESSION_BASELINES
from recsys.evaluation.evaluate import Evaluated
from recsys.evaluation.events import described, frozen, prequential
from recsys.evaluation.purchases import bought
from recsys.evaluation.ratings import PREDICTIONS, rated
from recsys.evaluation.rehearsal import rehearse_next_basket, rehearse_next_item
from recsys.evaluation.report import FORMS, write_report
from recsys.evaluation.result import Result, as_json
from recsys.evaluation.strategies import DESCRIBED, STRATEGIES
from recsys.readers import FORMATS, ITEMS, read_prefixes
from recsys.rules import Rules
from streams.cli.files import Write, demand_other_files, demand_report, reads, whole, writes
from streams.cli.items import JSONL, catalogue_of
from streams.cli.reading import Reading, given, oddities, opened, passed
from streams.cli.scores import lines_passed_over, show
from streams.failure import Failure
from streams.progress import Progress
from streams.settings import Settings, read_settings

PREFIXES = "prefixes"
ALL = "all"
TASKS: dict[str, Mapping[str, object]] = {
    "next-item": SESSION_BASELINES,
    "next-basket": BASKET_BASELINES,
    "rating": PREDICTIONS,
}


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), required=True, help="Format of the file.")
@click.option("--test", type=click.Path(path_type=Path), help="Learn FILE, then rank every prefix of every session of this.")
@click.option("--test-format", type=click.Choice([*FORMATS, PREFIXES]), help="Format of the test file.")
@click.option("--task", type=click.Choice(list(TASKS)), default="next-item", show_default=True, help="What is foretold.")
@click.option(
    "--from",
    "begin",
    type=click.FloatRange(0, 1),
    help="next-basket, rating: measure after this part of the time.",
)
@click.option("--limit", type=click.IntRange(1), help="The first events of FILE, in the order in which they are read, at most.")
@click.option("--at", type=click.IntRange(1, 500), default=20, show_default=True, help="Items that are recommended.")
@click.option("--baselines", help="Methods beside it, with commas, or none; all if not given.")
@click.option(
    "--strategy",
    "strategies",
    type=click.Choice([*STRATEGIES, ALL]),
    multiple=True,
    help="next-item: measure this strategy alone, too; can be given again.",
)
@click.option("--items", type=click.Path(path_type=Path), help="next-item: what the items are, known from the start.")
@click.option(
    "--items-format", type=click.Choice([JSONL, *ITEMS]), default=JSONL, show_default=True, help="Format of the items."
)
@click.option("--predictions", type=click.Path(path_type=Path), help="Write what was ranked, a JSON line a prediction.")
@click.option("--report", type=click.Path(path_type=Path), help="Write tables and charts, as .html or .svg.")
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")
def evaluate(
    *,
    file: Path,
    format_name: str,
    test: Path | None,
    test_format: str | None,
    task: str,
    begin: float | None,
    limit: int | None,
    at: int,
    baselines: str | None,
    strategies: tuple[str, ...],
    items: Path | None,
    items_format: str,
    predictions: Path | None,
    report: Path | None,
    json_wanted: bool,
) -> None:
    """Measure how good the recommendations are on the events of FILE (- is stdin), with the worker's own
    ranking.

    --strategy adds what each way to recommend does alone: by items met together (item-based), by users who met the same
    (user-based), by what is popular (trending), and personal, which is freshet itself; with --items also by what is described
    alike (content-based), and by all but descriptions (collaborative). --task rating foretells ratings, by
    items that are rated alike.

    Without --test every event that goes on with a session is foretold, and then learned, in the order of the file. With
    --test the users of the test are strangers, whoever they are in FILE. Nothing is hidden, unless FRESHET_HIDE is set;
    the baselines, user-based and trending never hide anything.
    """
    if (test is None) is not (test_format is None):
        raise click.UsageError("--test and --test-format go together")
    if task == "next-basket" and test is not None:
        raise click.UsageError("--task next-basket learns and measures one FILE: leave out --test")
    if task == "rating" and (test is not None or predictions is not None or report is not None):
        raise click.UsageError("--task rating measures one FILE and prints: leave out --test, --predictions and --report")
    if task == "next-item" and begin is not None:
        raise click.UsageError("--from is for --task next-basket and rating")
    if task != "next-item" and strategies:
        raise click.UsageError("--strategy is for --task next-item")
    if task != "next-item" and items is not None:
        raise click.UsageError("--items is for --task next-item")
    offered = [name for name in STRATEGIES if items is not None or name not in DESCRIBED]
    alone = offered if ALL in strategies else list(dict.fromkeys(strategies))
    for name in alone:
        if name not in offered:
            raise click.UsageError(f"--strategy {name} needs --items: which items are alike is told by their descriptions")
    methods = chosen(baselines, TASKS[task])
    rules = rules_of(read_settings(), task)
    if report is not None:
        demand_report(report, *FORMS)
    demand_other_files([path for path in (file, test, items) if path], [path for path in (predictions, report) if path])
    readings: list[Reading] = []
    file = given(file)
    with ExitStack() as stack:
        write = stack.enter_context(whole(predictions)) if predictions else None
        with opened(file, format_name) as reader, passed_over_told(readings):
            readings.append(Reading(file, reader, "reading", limit))
            if task == "next-basket":
                found = next_basket(readings[0], begin or 0.0, rules, at, methods, write)
            elif task == "rating":
                found = next_rating(readings[0], begin or 0.0, at, methods)
            else:
                shop = catalogue_of(items, items_format) if items is not None else None
                found = next_item(readings, test, test_format, shop, rules, at, methods, alone, write)
    result = msgspec.structs.replace(found, file=file.name)
    for line in oddities(readings) if task == "next-item" else ():
        click.echo(f"freshet: {line}", err=True)
    if report is not None:
        with writes(report):
            write_report(report, result)
    if json_wanted:
        readers = [reading.reader for reading in readings]
        of_files = [{"left_out": passed(reader.left_out), "bad": passed(reader.bad)} for reader in readers]
        click.echo(json.dumps(as_json(result) | of_files[0] | ({"test": of_files[1]} if of_files[1:] else {})))
    else:
        show(result, [reading.reader for reading in readings])


def next_item(
    readings: list[Reading],
    test: Path | None,
    test_format: str | None,
    shop: Catalogue | None,
    rules: Rules,
    at: int,
    methods: Sequence[str],
    alone: Sequence[str],
    write: Write | None,
) -> Result:
    """Foretells the next items; writes what was foretold. `readings` is of the file, and gets that of the test."""
    reading = readings[0]
    if test is None:
        events = prequential(reading, rules)
    elif test_format == PREFIXES:
        with reads(test):
            questions = list(read_prefixes(test))
        events = frozen(reading, questions, rules)
    else:
        with opened(test, str(test_format)) as tested:
            readings.append(Reading(test, tested, "reading the test"))
            events = frozen(reading, iter(readings[1]), rules)
    demand_events(readings)
    if shop is not None:
        events = described(events, shop)
    say_that_it_compiles()
    rehearse_next_item(rules, methods, alone)
    with Shown() as shown:
        found = evaluation.next_item(events, rules, at, methods, shown, alone)
    demand_questions(found, "no session has a second event")
    if write:
        for items in found.lists():
            write(line_of({"items": items}))
    return found.result


def next_basket(reading: Reading, begin: float, rules: Rules, at: int, methods: Sequence[str], write: Write | None) -> Result:
    """Foretells the next baskets; writes what was foretold."""
    baskets = bought(reading, begin)
    demand_events([reading])
    say_that_it_compiles()
    rehearse_next_basket(rules, methods)
    with Shown() as shown:
        found = evaluation.next_basket(baskets, rules, at, methods, shown)
    demand_questions(found, "no user has a purchase after two others in the part of the file that is measured")
    if write:
        for (event_id, user_id), items in zip(baskets.asked, found.lists(), strict=True):
            write(line_of({"event_id": event_id, "user_id": user_id, "items": items}))
    return found.result


def next_rating(reading: Reading, begin: float, at: int, methods: Sequence[str]) -> Result:
    """Foretells ratings."""
    with Shown() as shown:
        found = rated(reading, begin, at, methods, shown)
    demand_events([reading])
    if not found.predictions:
        raise NothingToMeasure("nothing can be measured: no event of the part that is measured has a rating after another one")
    return found


def line_of(prediction: Mapping[str, object]) -> bytes:
    return json.dumps(prediction).encode() + b"\n"


class NothingToMeasure(Failure):
    """The files ask nothing that could be foretold."""


@contextmanager
def passed_over_told(readings: Sequence[Reading]) -> Iterator[None]:
    """Where nothing can be measured, the lines that were passed over are told first: perhaps that is why."""
    try:
        yield
    except NothingToMeasure:
        for line in lines_passed_over([reading.reader for reading in readings]):
            click.echo(f"freshet: {line}", err=True)
        raise


def demand_questions(found: Evaluated, why: str) -> None:
    if not found.result.predictions:
        raise NothingToMeasure(f"nothing can be measured: {why}")


def say_that_it_compiles() -> None:
    click.echo("freshet: compiling (the first time a minute or two)", err=True)


def demand_events(readings: Sequence[Reading]) -> None:
    for reading in readings:
        if not reading.events:
            raise NothingToMeasure(f"nothing can be measured: {reading.file} has no events")


class Shown(ExitStack):
    """A progress bar for each method, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._method = ""

    def __call__(self, method: str, done: int, of: int) -> None:
        if method != self._method:
            self.close()
            self._method = method
            self._progress = self.enter_context(Progress(method, "lines"))
        self._progress.show(done / of if of else 1.0, done)


def chosen(names: str | None, of: Mapping[str, object]) -> list[str]:
    """The baselines that were asked for.

    >>> chosen("v_sknn, most_popular", SESSION_BASELINES), chosen("none", SESSION_BASELINES)
    (['v_sknn', 'most_popular'], [])
    """
    if names is None:
        return list(of)
    if names.strip() == "none":
        return []
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in wanted:
        if name not in of:
            raise click.BadParameter(f"{name!r} is none of {', '.join(of)}", param_hint="--baselines")
    return wanted


def rules_of(settings: Settings, task: str) -> Rules:
    """The worker's rules; nothing is hidden unless FRESHET_HIDE says so. Of baskets only what was bought can be hidden."""
    rules = settings.rules
    if "hide" not in settings.sources:
        rules = msgspec.structs.replace(rules, hide=frozenset())
    if task == "next-basket" and not rules.learner:
        raise Failure("FRESHET_LEARNER is false: next baskets are foretold by what is learned: unset it")
    if task == "next-basket" and rules.hide - {"once", "purchased"}:
        raise Failure(f"FRESHET_HIDE is {settings.hide!r}: for the next basket it is once, purchased or none")
    return rules
