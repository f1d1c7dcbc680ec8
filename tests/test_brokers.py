"""How to get into Kafka and Redis is a whole or is refused, with the variable that is wrong; passwords are never shown."""

import re
from pathlib import Path

import pytest
from certificates import Authority
from cryptography.hazmat.primitives import serialization

from streams.brokers import Brokers
from streams.settings import REDIS_FILES, Settings, SettingsError, names, read_settings, secrets, without_password

SECRET = "sEcReT"
SASL = {"KAFKA_SECURITY": "sasl_ssl", "KAFKA_USER": "me", "KAFKA_PASSWORD": SECRET}


def read(**given: str) -> Settings:
    """Settings of these variables, written without FRESHET_."""
    return read_settings({f"FRESHET_{name}": value for name, value in given.items()})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


REFUSED: list[tuple[dict[str, str], str, str]] = [
    ({"KAFKA_SECURITY": "tls"}, "KAFKA_SECURITY", "sasl_ssl"),
    ({**SASL, "KAFKA_MECHANISM": "GSSAPI"}, "KAFKA_MECHANISM", "SCRAM-SHA-512"),
    ({"KAFKA_MECHANISM": "PLAIN"}, "KAFKA_MECHANISM", "FRESHET_KAFKA_SECURITY is plaintext"),
    ({"KAFKA_USER": "me"}, "KAFKA_USER", "FRESHET_KAFKA_SECURITY is plaintext"),
    ({"KAFKA_SECURITY": "ssl", "KAFKA_PASSWORD": SECRET}, "KAFKA_PASSWORD", "FRESHET_KAFKA_SECURITY is ssl"),
    ({"KAFKA_SECURITY": "sasl_plaintext", "KAFKA_PASSWORD": SECRET}, "KAFKA_USER", "must be set"),
    ({"KAFKA_SECURITY": "sasl_ssl", "KAFKA_USER": "me"}, "KAFKA_PASSWORD", "must be set"),
    ({"KAFKA_CA": "/ca.pem"}, "KAFKA_CA", "there is no TLS"),
    ({**SASL, "KAFKA_SECURITY": "sasl_plaintext", "KAFKA_CERTIFICATE": "/c.pem"}, "KAFKA_CERTIFICATE", "there is no TLS"),
    ({"KAFKA_SECURITY": "ssl", "KAFKA_KEY": "/key.pem"}, "KAFKA_KEY", "FRESHET_KAFKA_CERTIFICATE"),
    ({"KAFKA_SECURITY": "ssl", "KAFKA_CA": "/nowhere.pem"}, "KAFKA_CA", "cannot be read"),
    ({"KAFKA_SECURITY": "ssl", "KAFKA_CA": __file__}, "KAFKA_CA", "no certificate"),
    ({"KAFKA_SECURITY": "ssl", "KAFKA_CERTIFICATE": "/nowhere.pem"}, "KAFKA_CERTIFICATE", "cannot be read"),
    ({"KAFKA_SECURITY": "ssl", "KAFKA_CERTIFICATE": __file__}, "KAFKA_CERTIFICATE", "no certificate"),
    ({"BROKER": f"kafka://me:{SECRET}@host:9093"}, "BROKER", "FRESHET_KAFKA_USER"),
    ({"REDIS": f"redis://host/0?password={SECRET}"}, "REDIS", "ssl_ca_certs"),
    ({"REDIS": f"rediss://me:{SECRET}@host/0?db=3"}, "REDIS", "nothing else"),
    ({"REDIS": "redis://host/0?ssl_ca_certs=/ca.pem"}, "REDIS", "rediss://"),
    ({"REDIS": "rediss://host/0?ssl_ca_certs=/nowhere.pem"}, "REDIS", "cannot be read"),
    ({"REDIS": "rediss://host/0?ssl_check_hostname=maybe"}, "REDIS", "true or false"),
    ({"REDIS": "rediss://host/0?ssl_cert_reqs=perhaps"}, "REDIS", "required or none"),
]


@pytest.mark.parametrize(("given", "name", "said"), REFUSED, ids=[f"{name}: {said}" for _, name, said in REFUSED])
def test_what_makes_no_whole_is_refused_with_the_variable_that_is_wrong(given: dict[str, str], name: str, said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)) as refused:
        read(**given)
    text = str(refused.value)
    assert text.startswith(f"FRESHET_{name} is '")
    assert SECRET not in text
    assert "\n" not in text


def test_a_key_that_is_another_certificates_or_encrypted_is_refused(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.sign("one"), authority.sign("other")
    key = serialization.load_pem_private_key(one.key.read_bytes(), None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"phrase")
        )
    )
    for wrong, said in ((other.key, "are no certificate and its key"), (encrypted, "is encrypted")):
        with pytest.raises(SettingsError, match=rf"^FRESHET_KAFKA_KEY is '{wrong}': .*{said}"):
            read(KAFKA_SECURITY="ssl", KAFKA_CERTIFICATE=str(one.certificate), KAFKA_KEY=str(wrong))


def test_each_client_is_told_the_same(authority: Authority) -> None:
    ours = authority.sign("ours")
    tls = {"KAFKA_CA": str(authority.ca), "KAFKA_CERTIFICATE": str(ours.certificate), "KAFKA_KEY": str(ours.key)}
    told = read(**SASL, **tls).brokers.connection()
    assert (told["security_protocol"], told["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (told["sasl_plain_username"], told["sasl_plain_password"]) == ("me", SECRET)
    assert [each["subject"] for each in told["ssl_context"].get_ca_certs()] == [((("commonName", "test-ca"),),)]
    faust = read(**SASL, **tls).brokers.credentials()
    assert (faust.protocol.value, faust.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (faust.username, faust.password, faust.ssl_context) == ("me", SECRET, told["ssl_context"])
    faust = read(KAFKA_SECURITY="ssl", **tls).brokers.credentials()
    assert (faust.protocol.value, faust.context) == ("SSL", told["ssl_context"])
    assert Settings().brokers.credentials() is None
    assert "ssl_context" not in read(**SASL | {"KAFKA_SECURITY": "sasl_plaintext"}).brokers.connection()


def test_without_a_file_the_systems_authorities_are_trusted() -> None:
    context = Brokers(hosts=("a:1",), security="ssl").tls()
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


def test_a_password_is_taken_as_it_is() -> None:
    assert read(**SASL | {"KAFKA_PASSWORD": " a b "}).kafka_password == " a b "


def test_a_certificate_may_be_named_in_the_address_of_redis(authority: Authority) -> None:
    query = "&".join(f"{name}={authority.ca}" for name in REDIS_FILES) + "&ssl_check_hostname=false&ssl_cert_reqs=none"
    assert read(REDIS=f"rediss://host/0?{query}").redis.endswith(query)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://user@host:1/0", "redis://user@host:1/0"),
        (f"redis://:{SECRET}@host", "redis://:***@host"),
        (f"redis://me:{SECRET}@h@host:6379/0", "redis://me:***@host:6379/0"),
        (f"redis://me:a@{SECRET}@host", "redis://me:***@host"),
        (f"redis://me:a/{SECRET}@host", "redis://me:***@host"),
        (f"redis://me:a:{SECRET}@host", "redis://me:***@host"),
        (f"redis://me:a#{SECRET}@host", "redis://me:***@host"),
        (f"redis://me:a%40{SECRET}@host", "redis://me:***@host"),
        (f"redis://me:a?{SECRET}@host", "redis://***"),
        (f"redis://me@corp:{SECRET}@host:1", "redis://me@corp:***@host:1"),
        (f"redis://host/0?password={SECRET}", "redis://host/0?***"),
        (f"redis://host/0?username={SECRET}", "redis://host/0?***"),
        (f"redis://host/0?pass%77ord={SECRET}&x&{SECRET}", "redis://host/0?***&***&***"),
        (f"redis://host/0?password=a@{SECRET}", "redis://***"),
        ("rediss://host/0?ssl_ca_certs=/ca.pem", "rediss://host/0?ssl_ca_certs=/ca.pem"),
        (f"kafka://me:{SECRET}@a:1;kafka://me:{SECRET}@b:1", "kafka://me:***@b:1"),
        (f"a:1;me:{SECRET}@b:1", "a:***@b:1"),
        (f"me:{SECRET}@a:1", "me:***@a:1"),
        ("kafka://a:1;kafka://b:1", "kafka://a:1;kafka://b:1"),
        ("a:1;b:1", "a:1;b:1"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert without_password(address) == shown
    assert SECRET not in shown


def test_no_setting_shows_a_secret() -> None:
    settings = read(**SASL, REDIS=f"redis://me:%20{SECRET}@host")
    shown = [repr(settings), str(settings), repr(settings.brokers), *(settings.shown(name) for name in names())]
    assert not [text for text in shown if SECRET in text]
    assert secrets(settings) == [f"%20{SECRET}", f" {SECRET}", SECRET]
