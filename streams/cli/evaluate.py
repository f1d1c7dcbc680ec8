"""`freshet evaluate`: how good the recommendations are, on files of events; needs no broker and no Redis."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import click
import msgspec
from rich.table import Table

from recsys.catalogue.catalogue import Catalogue
from recsys.evaluation import evaluate as evaluation
from recsys.evaluation.baselines import BASKET_BASELINES, SESSION_BASELINES
from recsys.evaluation.evaluate import Evaluated
from recsys.evaluation.events import described, frozen, prequential
from recsys.evaluation.purchases import bought
from recsys.evaluation.ratings import PREDICTIONS, rated
from recsys.evaluation.rehearsal import rehearse_next_basket, rehearse_next_item
from recsys.evaluation.report import check_report, write_report
from recsys.evaluation.result import Method, Result, as_json, side_by_side
from recsys.evaluation.strategies import DESCRIBED, STRATEGIES
from recsys.readers import FORMATS, ITEMS, Reader, read_prefixes
from recsys.rules import Rules
from streams.cli.failure import Failure, demand_folder, reads, writes
from streams.cli.items import JSONL, catalogue_of
from streams.cli.progress import Progress
from streams.cli.reading import Reading, given, oddities, opened, passed
from streams.cli.terminal import Terminal
from streams.settings import Settings, read_settings

PREFIXES = "prefixes"
ALL = "all"
TASKS: dict[str, Mapping[str, object]] = {
    "next-item": SESSION_BASELINES,
    "next-basket": BASKET_BASELINES,
    "rating": PREDICTIONS,
}
METRICS = {
    "next-item": ("hit_rate", "mrr", "ndcg", "coverage", "novelty", "diversity"),
    "next-basket": ("recall", "ndcg", "hit_rate", "coverage", "novelty", "diversity"),
    "rating": ("rmse", "mae", "precision"),
}
"""What the table shows of each task; `--json` and `--report` have all."""


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
        check(report)
    demand_other_files([path for path in (file, test, items) if path], [path for path in (predictions, report) if path])
    readings: list[Reading] = []
    file = given(file)
    with ExitStack() as stack:
        out = stack.enter_context(written(predictions)) if predictions else None
        if report is not None:
            demand_folder(report)
        with opened(file, format_name) as reader, passed_over_told(readings):
            readings.append(Reading(file, reader, "reading", limit))
            if task == "next-basket":
                found = next_basket(readings[0], begin or 0.0, rules, at, methods, out)
            elif task == "rating":
                found = next_rating(readings[0], begin or 0.0, at, methods)
            else:
                shop = catalogue_of(items, items_format) if items is not None else None
                found = next_item(readings, test, test_format, shop, rules, at, methods, alone, out)
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
    out: IO[str] | None,
) -> Result:
    """Foretells the next items; writes what was foretold to `out`. `readings` is of the file, and gets that of the test."""
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
    if out:
        out.writelines(json.dumps({"items": items}) + "\n" for items in found.lists())
    return found.result


def next_basket(reading: Reading, begin: float, rules: Rules, at: int, methods: Sequence[str], out: IO[str] | None) -> Result:
    """Foretells the next baskets; writes what was foretold to `out`."""
    baskets = bought(reading, begin)
    demand_events([reading])
    say_that_it_compiles()
    rehearse_next_basket(rules, methods)
    with Shown() as shown:
        found = evaluation.next_basket(baskets, rules, at, methods, shown)
    demand_questions(found, "no user has a purchase after two others in the part of the file that is measured")
    if out:
        out.writelines(
            json.dumps({"event_id": event_id, "user_id": user_id, "items": items}) + "\n"
            for (event_id, user_id), items in zip(baskets.asked, found.lists(), strict=True)
        )
    return found.result


def next_rating(reading: Reading, begin: float, at: int, methods: Sequence[str]) -> Result:
    """Foretells ratings."""
    with Shown() as shown:
        found = rated(reading, begin, at, methods, shown)
    demand_events([reading])
    if not found.predictions:
        raise Failure("nothing can be measured: no event of the part that is measured has a rating after another one")
    return found


@contextmanager
def passed_over_told(readings: Sequence[Reading]) -> Iterator[None]:
    """Where nothing can be measured, the lines that were passed over are told first: perhaps that is why."""
    try:
        yield
    except Failure:
        for line in lines_passed_over([reading.reader for reading in readings]):
            click.echo(f"freshet: {line}", err=True)
        raise


def demand_questions(found: Evaluated, why: str) -> None:
    if not found.result.predictions:
        raise Failure(f"nothing can be measured: {why}")


def say_that_it_compiles() -> None:
    click.echo("freshet: compiling (the first time a minute or two)", err=True)


def demand_events(readings: Sequence[Reading]) -> None:
    for reading in readings:
        if not reading.events:
            raise Failure(f"nothing can be measured: {reading.file} has no events")


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


def check(report: Path) -> None:
    try:
        check_report(report)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--report") from None
    except ModuleNotFoundError as error:
        raise Failure(str(error)) from None


def demand_other_files(read: Sequence[Path], written: Sequence[Path]) -> None:
    """Nothing that is read may be written over."""
    for path in written:
        if any(path.exists() and other.exists() and path.samefile(other) for other in read):
            raise click.UsageError(f"{path} is read: write to another file")


@contextmanager
def written(path: Path) -> Iterator[IO[str]]:
    """A file that is there when all of it is written, and not before."""
    part = path.with_name(path.name + ".part")
    try:
        with writes(path):
            with part.open("w", encoding="utf-8") as file:
                yield file
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def show(result: Result, readers: Sequence[Reader]) -> None:
    """The result as a table for a terminal of 80 columns."""
    console = Terminal()
    if result.task == "rating":
        what = f"{result.predictions:,} predictions, in stars; precision of each user's first {result.at}, in per cent"
    else:
        what = f"{result.predictions:,} predictions of {result.at} items, in per cent"
    console.print(f"{result.task}, {result.mode}: {what} (± half the 95 % interval)", soft_wrap=True)
    table = Table("method", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for metric in METRICS[result.task]:
        table.add_column(metric, justify="right", no_wrap=True)
    for method in side_by_side(result):
        table.add_row(method.name, *(cell(method, metric) for metric in METRICS[result.task]))
    console.print(table)
    for line in summary_lines(result, readers):
        console.print(line, soft_wrap=True)


def cell(method: Method, metric: str) -> str:
    """
    >>> cell(Method("freshet", {"mrr": 0.3214}, {"mrr": (0.31, 0.33)}), "mrr")
    '32.1±1.0'
    """
    unit, digits = (1, 3) if metric in ("rmse", "mae") else (100, 1)
    value = f"{unit * method.metrics[metric]:.{digits}f}"
    if metric not in method.intervals:
        return value
    low, high = method.intervals[metric]
    return f"{value}±{unit / 2 * (high - low):.{digits}f}"


def summary_lines(result: Result, readers: Sequence[Reader]) -> list[str]:
    lines = []
    for metric in METRICS[result.task]:
        above = result.difference.get(metric)
        if above and above.interval:
            low, high = (100 * bound for bound in above.interval)
            lines.append(f"{metric}: {100 * above.mean:+.1f} ({low:+.1f} to {high:+.1f}) against {above.baseline}")
    for add in result.added:
        bounds = f"±{100 * add.half_width:.1f}" if add.half_width is not None else ""
        change = f"{100 * add.without:.1f} to {100 * add.found:.1f} ({100 * add.difference:+.1f}{bounds})"
        lines.append(f"hit_rate by descriptions, {add.part}: {change} of {add.questions:,}")
    lines.append(
        f"{result.events:,} events and {result.predictions:,} predictions in {result.seconds:.1f} s, without the baselines"
    )
    return lines + lines_passed_over(readers)


def lines_passed_over(readers: Sequence[Reader]) -> list[str]:
    """What was left out of the file, and of the test behind it, and what was bad there."""
    lines: list[str] = []
    for reader, of in zip(readers, ("", " of the test"), strict=False):
        for what, found in (("left out", reader.left_out), ("bad", reader.bad)):
            lines += found.told(what, of)
    return lines
