"""HTTP: what an answer means, and what becomes of a request that gets none."""

from __future__ import annotations

import socket

import pytest

from pipeline.alerts.http import Answer, NotReached, UrllibHttp, judge, retry_after, shortened
from pipeline.alerts.notice import Delivered, Later, Refused
from pipeline.alerts.secrets import SecretMissing, Secrets
from schemas.secret_refs import SecretRef
from tests.alerts.http_server import Receiver
from tests.alerts.made import SECRET, SECRETS, T0, THE_SECRET

HTTP = UrllibHttp(connect_seconds=1, read_seconds=0.2)


@pytest.mark.parametrize(
    ("status", "outcome", "may_have_it"),
    [
        (200, Delivered, None), (202, Delivered, None), (204, Delivered, None),
        (301, Refused, None), (400, Refused, None), (401, Refused, None), (404, Refused, None),
        (408, Later, False), (429, Later, False), (500, Later, True), (502, Later, True), (503, Later, True),
    ],
)  # fmt: skip
def test_what_a_status_means(status: int, outcome: type, may_have_it: bool | None) -> None:
    found = judge(Answer(status, {}, b"said \n so"), T0)
    assert isinstance(found, outcome)
    assert getattr(found, "may_have_it", None) == may_have_it
    assert (found.answer if isinstance(found, Delivered) else found.reason) == f"{status} said so"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0), ("0", 0.0), ("999999", 3600.0), ("soon", None), ("", None), ("-5", None),
        ("Wed, 25 Nov 2026 10:02:00 GMT", 120.0), ("Wed, 25 Nov 2026 09:00:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_how_long_a_receiver_asks_to_wait(text: str, seconds: float | None) -> None:
    assert retry_after(Answer(429, {"retry-after": text}, b""), T0) == seconds


def test_a_redirect_is_not_followed_with_our_secrets() -> None:
    with Receiver() as elsewhere, Receiver(status=302, headers={"Location": elsewhere.url}) as receiver:
        assert HTTP.request("POST", receiver.url, b"x", {"Authorization": SECRET}).status == 302
        assert elsewhere.requests == []


def test_an_answer_that_never_comes_may_have_been_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(NotReached, match="no answer in time") as raised:
            HTTP.request("POST", f"http://127.0.0.1:{silent.getsockname()[1]}/", b"x")
        assert raised.value.may_have_it
    with Receiver(status=0) as receiver:
        with pytest.raises(NotReached, match="the connection broke") as raised:
            HTTP.request("POST", receiver.url, b"x")
        assert raised.value.may_have_it


def test_a_receiver_that_is_not_there_has_not_taken_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotReached, match="refused") as raised:
        HTTP.request("POST", f"http://127.0.0.1:{port}/{SECRET}", b"x")
    assert not raised.value.may_have_it
    assert SECRET not in str(raised.value)


def test_an_endless_answer_is_cut() -> None:
    with Receiver(body=b"x" * 1_000_000) as receiver:
        assert len(HTTP.request("GET", receiver.url).body) == 64 << 10
    assert len(shortened("y" * 1_000)) == 300


def test_secrets_are_masked_in_every_form() -> None:
    secrets = Secrets(SECRETS)
    assert secrets.mask(SECRET) == SECRET, "it was not handed out yet"
    assert secrets.reveal(THE_SECRET) == SECRET
    assert (
        secrets.mask(f"a {SECRET} b s3cr3t-of-the-route%2F%2B c s3cr3t-of-the-route/%2B d")
        == "a *** b *** c *** d"
    )


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (SecretRef("environment", "NOWHERE"), "NOWHERE} is not set"),
        (SecretRef("environment", "EMPTY"), "is empty"),
        (SecretRef("environment", "SHORT"), "too short"),
        (SecretRef("file", "/nowhere/secret"), "No such file"),
    ],
)
def test_a_secret_that_is_not_there_is_said(ref: SecretRef, said: str) -> None:
    with pytest.raises(SecretMissing, match=said) as raised:
        Secrets({"EMPTY": " ", "SHORT": "abc"}).reveal(ref)
    assert raised.value.hint
