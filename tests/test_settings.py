"""Settings come from the environment; a wrong value is refused with its name, the value and what is allowed."""

from typing import Any

import pytest

from recsys.rules import ActionWeights, Rules
from streams.settings import Settings, SettingsError, names, read_settings, shown

DEFAULTS: dict[str, Any] = {
    "broker": "kafka://localhost:9092",
    "redis": "redis://localhost:6379/0",
    "kafka_security": "plaintext",
    "kafka_mechanism": "SCRAM-SHA-512",
    **dict.fromkeys(("kafka_user", "kafka_password", "kafka_ca", "kafka_certificate", "kafka_key"), ""),
    "topic_prefix": "",
    "key_prefix": "freshet:",
    "partitions": 4,
    "history": 50,
    "window": 5,
    "session_gap": 1800.0,
    "neighbours": 100,
    "action_weights": "add_to_cart=3,wishlist=2,purchase=4,rating=4",
    "baskets": True,
    "customers": True,
    "rates": "",
    "visitors": 100,
    "learner": True,
    "explore": 0.1,
    "top_n": 20,
    "hide": "current,once",
    "retention": 90.0,
    "catalogue": True,
    "accept_loss": False,
    "secret": "",
}
"""The contract's, but for the half-life, which is measured, `once`, which came when it could be learned, and `explore`."""

ALLOWED: list[tuple[str, str, Any]] = [
    ("broker", "kafka://a:1;kafka://b", "kafka://a:1;kafka://b"),
    ("broker", "shop.example:9092", "shop.example:9092"),
    ("redis", "rediss://:secret@cache:6380/15", "rediss://:secret@cache:6380/15"),
    *(
        ("redis", value, value)
        for value in ("redis+cluster://a", "redis+cluster://u:p@a:1,b,[::1]:3", "rediss+cluster://a:1/0")
    ),
    ("topic_prefix", "shop-1.test_", "shop-1.test_"),
    ("topic_prefix", "", ""),
    ("key_prefix", "shop:1:", "shop:1:"),
    ("partitions", "1", 1),
    ("history", "1", 1),
    ("window", "20", 20),
    ("session_gap", "0.5", 0.5),
    ("neighbours", "1", 1),
    ("neighbours", "10000", 10_000),
    ("visitors", "0", 0),
    ("visitors", "1000", 1000),
    ("half_life", "0", 0.0),
    ("half_life", "7.5", 7.5),
    ("action_weights", "purchase=10", "purchase=10"),
    ("action_weights", "browse = 0.5, click=1e-3,rating=1000", "browse = 0.5, click=1e-3,rating=1000"),
    ("baskets", "false", False),
    ("customers", "false", False),
    ("rates", "EUR=1, USD=0.9", "EUR=1, USD=0.9"),
    ("learner", "false", False),
    ("explore", "0", 0.0),
    ("explore", "0.5", 0.5),
    ("top_n", "1", 1),
    ("top_n", "500", 500),
    ("hide", "none", "none"),
    ("hide", "current, seen", "current, seen"),
    ("hide", "current,purchased", "current,purchased"),
    ("retention", "0.01", 0.01),
    ("catalogue", "false", False),
    ("accept_loss", "true", True),
    ("secret", "new-key, old,older", "new-key, old,older"),
    ("window", " 7 ", 7),
]

NO_INTEGER = ["", "many", "1.5", "null", "true", "nan", "1e99", "0x10", "9" * 400]
NO_NUMBER = ["", "many", "null", "true", "nan", "inf", "-inf", "-1", "1e999", "1,5"]
REFUSED: list[tuple[str, str]] = [
    *((name, value) for name in ("broker", "redis") for value in ("", "http://a:1", "kafka+ssl://a", ";", "redis://")),
    *(("broker", value) for value in ("kafka://", "a;;b", "redis://a:1")),
    *(("redis", value) for value in ("localhost", "localhost:6379", "kafka://a:1")),
    *(("topic_prefix", value) for value in ("a b", "é", "a/b", "x" * 101)),
    *(("key_prefix", value) for value in ("", "{a}", "a}", "a b", "x" * 101)),
    *(
        (name, value)
        for name in ("partitions", "history", "window", "neighbours", "top_n")
        for value in [*NO_INTEGER, "0", "-1"]
    ),
    *(
        ("window", "21"),
        ("neighbours", "10001"),
        ("visitors", "1001"),
        ("visitors", "-1"),
        ("top_n", "501"),
        ("explore", "0.51"),
        ("partitions", "1001"),
        ("history", "1001"),
    ),
    *((name, value) for name in ("session_gap", "half_life", "retention", "explore") for value in NO_NUMBER),
    *(("session_gap", "0"), ("retention", "0")),
    *(("hide", value) for value in ("", "everything", "current,", "none,seen", "Seen", "current;seen")),
    *(("action_weights", value) for value in ("", "purchase", "purchase=", "=4", "purchase=4,", "purchase=4;click=1")),
    *(
        ("action_weights", f"purchase={number}")
        for number in ("0", "1e-30", "-1", "nan", "inf", "1000.1", "many", "1_0", "1=2")
    ),
    *(("action_weights", f"{name}=2") for name in ("buy", "Purchase", "refund", "search", "remove_from_cart")),
    ("action_weights", "purchase=4,purchase=5"),
    *(("accept_loss", value) for value in ("", "yes", "maybe", "2")),
    *(("baskets", value) for value in ("", "yes", "maybe", "2")),
    *(("customers", value) for value in ("", "yes", "maybe", "2")),
    *(("rates", value) for value in ("EUR", "eur=1", "EUR=0", "EUR=-1", "EUR=x", "EUR=1e7", "EUR=1,EUR=2", "=1")),
    *(("catalogue", value) for value in ("", "yes", "maybe", "2")),
    *(("learner", value) for value in ("", "yes", "maybe", "2")),
    *(("secret", value) for value in ("a,,b", ",a", "a,", "a b")),
]

FALSE_ADDRESSES = [
    ("broker", "kafka://h:port"),
    ("broker", "kafka://h:99999"),
    ("broker", "kafka://a:1,b:2"),
    ("redis", "redis://h:99999/0"),
    ("redis", "redis://h:port/0"),
    ("redis", "redis://h:6379/zero"),
    ("redis", "redis+cluster://"),
    ("redis", "redis+cluster://a,,b"),
    ("redis", "redis+cluster://a:port"),
    ("redis", "redis+cluster://a,b:0"),
    ("redis", "cluster+redis://a"),
]


def variable(name: str) -> str:
    return f"FRESHET_{name.upper()}"


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_the_defaults_are_the_contracts(name: str, value: object) -> None:
    assert getattr(read_settings({}), name) == value


def test_every_variable_is_tested_here() -> None:
    assert set(names()) == {*DEFAULTS, "half_life"}
    here = {name for name in names() if not name.startswith("kafka_")}  # these go together: see test_brokers
    assert here == {name for name, *_ in ALLOWED} == {name for name, _ in REFUSED}


@pytest.mark.parametrize(("name", "value", "expected"), ALLOWED)
def test_an_allowed_value_is_taken_and_the_others_stay(name: str, value: str, expected: object) -> None:
    settings = read_settings({variable(name): value})
    assert getattr(settings, name) == expected
    assert settings.sources == {name}
    assert all(getattr(settings, other) == default for other, default in DEFAULTS.items() if other != name)


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_wrong_value_is_refused_with_name_value_and_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({variable(name): value})
    said = str(caught.value)
    begins = f"{variable(name)} is {shown(name, value)!r}: "  # a secret is told from no other
    assert said.startswith(begins)
    assert len(said) > len(begins) + 10
    assert "\n" not in said


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("window", "0", "a whole number from 1 to 20. "),
        ("window", "21", "a whole number from 1 to 20. "),
        ("top_n", "many", "a whole number from 1 to 500. "),
        ("neighbours", "10001", "a whole number from 1 to 10,000. "),
        ("explore", "1", "a number from 0 to 0.5. "),
        ("session_gap", "0", "a number above 0 and at most 31,536,000. "),
        ("retention", "nan", "a number above 0 and at most 36,500. "),
        ("learner", "yes", "expected true or false. "),
        ("kafka_security", "tls", "expected plaintext, sasl_plaintext, sasl_ssl or ssl. "),
        ("key_prefix", "a b", "1 to 100 characters, without braces and white space. "),
        ("topic_prefix", "a/b", "at most 100 of the characters A-Z, a-z, 0-9, ., _ and -. "),
        ("secret", "a,,b", "secrets without white space, with one comma between two. "),
        ("redis", "http://a", "redis://"),
        ("redis", "redis+cluster://a:1,b:2/3", "database 0 only: leave out /3"),
        ("broker", "http://a", "kafka://"),
        ("hide", "everything", "current, once, purchased"),
        ("action_weights", "buy=2", "'buy' is none of browse, click, add_to_cart, wishlist, purchase, rating"),
        ("action_weights", "purchase=0", "purchase must be between 0.001 and 1000, not 0"),
        ("action_weights", "purchase=many", "purchase=number, not 'purchase=many'"),
    ],
)
def test_what_is_allowed_is_said(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError, match=allowed):
        read_settings({variable(name): value})


@pytest.mark.parametrize(("name", "value"), FALSE_ADDRESSES)
def test_an_address_that_cannot_be_one_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError):
        read_settings({variable(name): value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("broker", "kafka://a:9092;b:65536"), ("broker", "a:0"), ("redis", "redis://me:1@h:99999/0"), ("redis", "redis://[::1]:0"),
        ("redis", "redis+cluster://a:1,b:70000"), ("redis", "redis://h:" + "9" * 5000),
    ],
)  # fmt: skip
def test_a_port_that_there_is_none_of_is_told_as_such(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="A port is a number between 1 and 65535"):
        read_settings({variable(name): value})


@pytest.mark.parametrize("value", ["redis://me:99999@h:6379/0", "redis://:99999;x@h", "redis://h:/0", "rediss://99999/0"])
def test_a_number_that_is_no_port_is_not_taken_for_one(value: str) -> None:
    assert read_settings({"FRESHET_REDIS": value}).redis == value


def test_a_password_does_not_stand_in_the_error() -> None:
    with pytest.raises(SettingsError, match="FRESHET_REDIS") as refused:
        read_settings({"FRESHET_REDIS": "redis://me:secret@h:99999/0"})
    assert "secret" not in str(refused.value)


def test_other_programs_variables_do_not_matter() -> None:
    assert read_settings({"PATH": "/bin", "TOP_N": "5"}) == Settings()


def test_the_rules_take_their_numbers_from_the_settings() -> None:
    given = {
        "history": "7",
        "window": "2",
        "session_gap": "1.5",
        "neighbours": "9",
        "half_life": "2",
        "explore": "0.2",
        "top_n": "3",
        "baskets": "false",
        "customers": "false",
        "rates": "USD=0.9,EUR=1",
        "visitors": "7",
        "learner": "false",
        "action_weights": "purchase=7,browse=0.5",
    }
    rules = read_settings({variable(name): value for name, value in given.items()} | {"FRESHET_HIDE": "none"}).rules
    assert (rules.history, rules.window, rules.session_gap_ms, rules.neighbours) == (7, 2, 1500, 9)
    assert (rules.half_life_ms, rules.top_n, rules.hide, rules.learner) == (2 * 86_400_000, 3, frozenset(), False)
    assert not rules.baskets
    assert (rules.customers, rules.rates) == (False, (("EUR", 1.0), ("USD", 0.9)))
    assert rules.visitors == 7
    assert rules.explore == 0.2
    assert rules.action_weights == ActionWeights(0.5, 1.0, 1.0, 1.0, 7.0, 1.0)


def test_the_default_weights_of_actions_are_those_of_the_rules() -> None:
    assert read_settings({}).rules.action_weights == Rules().action_weights


def test_a_prefix_stands_before_every_topic() -> None:
    assert read_settings({"FRESHET_TOPIC_PREFIX": "shop."}).topic("events") == "shop.events"


def test_brokers_are_hosts_with_ports() -> None:
    assert Settings(broker="kafka://a:1; kafka://b/;c").brokers.hosts == ("a:1", "b:9092", "c:9092")


def test_retention_is_at_least_a_second() -> None:
    assert Settings(retention=1e-9).retention_s == 1
    assert Settings(retention=1.0).retention_s == 86_400
