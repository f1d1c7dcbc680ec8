"""The command line: `freshet`. Commands are imported when they are run, so that help is quick."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

COMMANDS = {
    "demo": ("streams.cli.demo:demo", "Show Freshet at work: Kafka, Redis, a worker and a shop of events."),
    "up": ("streams.cli.local:up", "Start a local Kafka and Redis and leave them running."),
    "down": ("streams.cli.local:down", "Stop the local Kafka and Redis."),
    "worker": ("streams.cli.worker:worker", "Run one worker in the foreground."),
    "replay": ("streams.cli.replay:replay", "Produce a file of real events to the topic."),
    "quality": ("streams.cli.quality:quality", "Say how good the events of a file are."),
    "items": ("streams.cli.items:items", "Produce a file of items to the catalogue."),
    "users": ("streams.cli.users:users", "Produce a file of users: what the shop knows of them."),
    "recommend": ("streams.cli.lookup:recommend", "Show what is recommended to a user."),
    "explain": ("streams.cli.explain:explain", "Show why an item is recommended to a user, or why not."),
    "similar": ("streams.cli.lookup:similar", "Show what users who looked at an item also looked at."),
    "together": ("streams.cli.lookup:together", "Show what is bought together with an item."),
    "bought-after": ("streams.cli.lookup:bought_after", "Show what was bought after an item was looked at."),
    "trending": ("streams.cli.lookup:trending", "Show what is popular now."),
    "customer": ("streams.cli.customer:customer", "Show what is known of a customer."),
    "forget": ("streams.cli.forget:forget", "Erase users: what they did, and what is known of them."),
    "sales": ("streams.cli.shop:sales", "Show sales and active customers by month, day, hour or minute."),
    "top": ("streams.cli.shop:top", "Show the items, categories or searches that lead, or rise."),
    "segments": ("streams.cli.shop:segments", "Show how many customers are in each segment, and who moved."),
    "funnel": ("streams.cli.shop:funnel", "Show how far sessions and customers came from view to purchase."),
    "cohorts": ("streams.cli.shop:cohorts", "Show how many customers buy again, by the week of their first order."),
    "report": ("streams.cli.shop:report", "Show the shop's figures, or write them as a page with charts."),
    "cold": ("streams.cli.cold:cold", "Show what a new visitor is shown first."),
    "lifetimes": ("streams.cli.lifetimes:lifetimes", "Find out how long customers stay, and keep it for the look-ups."),
    "item": ("streams.cli.lookup:item", "Show what the catalogue says of an item."),
    "export": ("streams.cli.export:export", "Write the whole counted state as JSON lines."),
    "evaluate": ("streams.cli.evaluate:evaluate", "Measure how good the recommendations are, on files of events."),
    "bench": ("streams.cli.bench:bench", "Measure throughput, latency and cost, beside stock Faust."),
    "rebuild": ("streams.cli.rebuild:rebuild", "Build the state anew from the log, and switch to it."),
    "doctor": ("streams.cli.doctor:doctor", "Check broker, topics, Redis, versions and configuration."),
    "chaos": ("streams.cli.chaos:chaos", "Strike at a whole system at random, and prove that every event counted once."),
    "simulate": ("streams.cli.simulate:simulate", "Produce the events of an invented shop."),
}
"""Name of each command: where it is, and its line in the help."""

INTERRUPTED = 130
HINTS = {
    "rebuild": ": run it again, and it goes on where it was",
    "chaos": ": nothing is proven",
    "bench": ": nothing was measured",
}
"""What to know after Ctrl-C, where the command itself does not say it."""
BROKEN_PIPE = 141


class Commands(click.Group):
    """Finds commands in the table, and ends them with the exit codes that the contract promises."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [name for name, (target, _) in COMMANDS.items() if find_spec(target.partition(":")[0])]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), function)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but that it says which command is meant by a name that is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from streams.slips import meant

            hint = meant(args[0], self.list_commands(ctx))
            error.message = error.message.rstrip(".") + hint if hint else error.message
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            if sys.stdout:
                sys.stdout.flush()
        except KeyboardInterrupt as interrupt:
            hint = f": {interrupt}" if interrupt.args else HINTS.get(ctx.invoked_subcommand or "", "")
            click.echo(f"freshet: interrupted{hint}", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader has gone; Python must not try to write the rest to it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(BROKEN_PIPE)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            from streams.cli.diagnosis import explained
            from streams.failure import Failure

            message = explained(error)
            if message is None:
                raise
            raise Failure(message) from error
        return result


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="freshet", message="freshet %(version)s")
def main() -> None:
    """Freshet: Kafka events in, fresh recommendations out.

    Settings are environment variables FRESHET_*; `freshet doctor` lists them.
    """
