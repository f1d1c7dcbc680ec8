"""The recommender knows neither Kafka nor Faust; of its modules only the store speaks Redis."""

import ast
import subprocess
import sys
from pathlib import Path

RECSYS = Path(__file__).parents[1] / "recsys"


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
    speakers = set()
    for path in RECSYS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.split(".")[0] == "redis" for name in names):
                speakers.add(path.name)
    assert speakers == {"redis_store.py", "cluster_store.py", "connection.py"}


def test_the_rules_and_the_settings_need_no_compiler() -> None:
    """Commands that only read settings start at once; numba takes a second to load."""
    program = "import sys, streams.settings; print('numba' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
