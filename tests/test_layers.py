"""The recommender knows neither Kafka nor Faust; of its modules only the store speaks Redis. The shell knows no command."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

RECSYS = Path(__file__).parents[1] / "recsys"
STREAMS = RECSYS.parent / "streams"


def test_the_recommender_imports_neither_kafka_nor_faust_nor_the_shell() -> None:
    modules = [f"recsys.{path.stem}" for path in RECSYS.glob("*.py") if path.stem != "__init__"] + ["recsys.readers"]
    program = f"""
import importlib, sys
for module in {modules!r}:
    importlib.import_module(module)
print([name for name in sys.modules if name.split(".")[0] in ("kafka", "aiokafka", "faust", "mode", "streams")])
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_only_the_stores_and_their_connections_speak_redis() -> None:
    speakers = {path.name for path in RECSYS.rglob("*.py") if any(name.split(".")[0] == "redis" for name in imported(path))}
    assert speakers == {"redis_store.py", "cluster_store.py", "connection.py"}


def test_the_shell_takes_nothing_from_the_commands_the_demo_and_what_is_beside_it() -> None:
    shell = [path for path in STREAMS.glob("*.py") if path.name != "__main__.py"]
    shell += [*(STREAMS / "rebuild").glob("*.py"), *(STREAMS / "local").glob("*.py")]
    beside = ("streams.cli", "streams.demo", "streams.shop", "streams.chaos", "streams.bench")
    assert len(shell) > 50
    assert [(path.name, name) for path in shell for name in imported(path) if name.startswith(beside)] == []


def test_the_map_of_the_code_names_every_module() -> None:
    text = (RECSYS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(text.partition("## Where things are")[2].partition("\n## ")[0].split())
    modules = {path.name for folder in (RECSYS, STREAMS) for path in folder.glob("[!_]*.py")}
    assert modules - named == set()


def imported(path: Path) -> Iterator[str]:
    """The modules that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_rules_and_the_settings_need_no_compiler() -> None:
    """Commands that only read settings start at once; numba takes a second to load."""
    program = "import sys, streams.settings; print('numba' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
