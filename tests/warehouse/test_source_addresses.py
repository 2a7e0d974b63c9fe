"""Addresses, asked of a real server on the loopback address that misbehaves on purpose."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.warehouse.web_server import DATE, WebServer, serving
from warehouse import http_client
from warehouse.home import UserError
from warehouse.http_client import HttpClient, is_private_address
from warehouse.places import RefusedError
from warehouse.registry import Network
from warehouse.source_addresses import HttpStorage, IndexSource
from warehouse.storage import forget

QUICK = Network(allow_private=True, timeout_s=0.4, retries=1)
PICTURE = b"a picture, as far as a server knows"
MODIFIED_NS = 1_772_532_000 * 1_000_000_000


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(http_client, "_FIRST_PAUSE_S", 0.01)
    forget()
    with serving() as web:
        web.files["/a.jpg"] = PICTURE
        yield web


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(QUICK)
    yield client
    client.close()


def refusal(client: HttpClient, address: str) -> str:
    with pytest.raises(RefusedError) as caught:
        client.get(address)
    assert caught.value.detail
    assert "127.0.0.1" not in caught.value.detail
    return caught.value.reason


def test_a_file_is_read_and_the_reader_says_who_it_is(web: WebServer, client: HttpClient) -> None:
    assert client.get(f"{web.address}/a.jpg") == PICTURE
    assert all(agent.startswith("sdaie") for agent in web.agents)


@pytest.mark.parametrize(
    ("path", "reason", "asked"),
    [
        ("/none.jpg", "missing", 1),
        ("/status/410", "missing", 1),
        ("/status/403", "http_403", 1),
        ("/status/501", "http_501", 1),
        ("/status/500", "http_500", 2),
        ("/busy/503/9", "http_503", 2),
        ("/stall", "timeout", 2),
        ("/stall_within", "timeout", 2),
        ("/cut", "cut_short", 2),
        ("/reset", "unreachable", 4),  # aiohttp tries a connection that breaks once more by itself
        ("/garbage", "unreachable", 2),
        ("/vast", "too_large", 1),
        ("/redirect/SELF", "too_many_redirects", 6),
        ("/redirect/ftp://127.0.0.1/a.jpg", "redirect_refused", 1),
        ("/redirect/file:///etc/passwd", "redirect_refused", 1),
    ],
)
def test_a_server_that_fails_gives_a_reason_and_is_asked_again_where_that_can_help(
    web: WebServer, client: HttpClient, path: str, reason: str, asked: int
) -> None:
    assert refusal(client, web.address + path) == reason
    assert web.asked[f"GET {path}"] == asked


@pytest.mark.parametrize("path", ["/busy/503/1", "/busy/429/1", "/hops/5"])
def test_a_passing_failure_and_a_few_redirects_do_no_harm(web: WebServer, client: HttpClient, path: str) -> None:
    assert client.get(web.address + path) == PICTURE


def test_a_body_that_ended_early_is_read_again(web: WebServer, client: HttpClient) -> None:
    assert client.get(f"{web.address}/cut_once") == b"x" * 10


def test_more_than_six_hops_are_too_many(web: WebServer, client: HttpClient) -> None:
    assert refusal(client, f"{web.address}/hops/6") == "too_many_redirects"


def test_a_body_without_end_is_cut_off_at_the_limit(
    web: WebServer, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "MAX_BYTES", 1 << 20)
    assert refusal(client, f"{web.address}/endless") == "too_large"


def test_a_body_that_comes_too_slowly_is_given_up(
    web: WebServer, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "SLOWEST", 1 << 50)
    assert refusal(client, f"{web.address}/trickle") == "timeout"


def test_an_empty_body_and_an_address_that_is_none_are_refused(web: WebServer, client: HttpClient) -> None:
    web.files["/empty.jpg"] = b""
    assert refusal(client, f"{web.address}/empty.jpg") == "empty"
    assert refusal(client, "http://") == "bad_address"
    assert refusal(client, "http://[::1/x") == "bad_address"
    assert refusal(client, "http://127.1:80/x") == "bad_address"
    assert refusal(client, "gopher://host/x") == "bad_address"


def test_a_host_that_never_answers_is_left_alone(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MOST_SILENCES", 3)
    client = HttpClient(QUICK.model_copy(update={"timeout_s": 0.1, "retries": 0}))
    assert [refusal(client, f"{web.address}/stall/{n}") for n in range(3)] == ["timeout"] * 3
    asked = web.asked.total()
    assert [refusal(client, f"{web.address}/stall/{n}") for n in range(3, 9)] == ["unreachable"] * 6
    assert web.asked.total() == asked
    monkeypatch.setattr(http_client, "LONGEST_PAUSE_S", 0.0)
    assert client.get(f"{web.address}/a.jpg") == PICTURE
    client.close()


def test_nothing_listens_and_no_such_host(client: HttpClient) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert refusal(client, f"http://127.0.0.1:{port}/a.jpg") == "unreachable"


def test_from_https_to_http_is_no_redirect() -> None:
    with pytest.raises(RefusedError, match="from https to http"):
        http_client._redirected(http_client._url("https://host/a"), "http://host/a")
    assert str(http_client._redirected(http_client._url("https://host/a"), "//user:word@other/b")) == "https://other/b"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]"])
def test_a_private_address_is_not_connected_to_unless_that_is_allowed(web: WebServer, host: str) -> None:
    guarded = HttpClient(QUICK.model_copy(update={"allow_private": False}))
    address = web.address.replace("127.0.0.1", host)
    assert refusal(guarded, f"{address}/a.jpg") == "private_address"
    assert not web.asked
    guarded.close()


def test_a_name_is_judged_by_the_address_that_is_connected_to(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was public when somebody looked may be private when a socket is made; a redirect is a way as well."""
    asked: list[str] = []

    def answer(host: str) -> bool:
        asked.append(host)
        return len(asked) > 1

    monkeypatch.setattr(http_client, "is_private_address", answer)
    guarded = HttpClient(QUICK.model_copy(update={"allow_private": False}))
    port = web.address.rpartition(":")[2]
    assert refusal(guarded, f"{web.address}/redirect/http://localhost:{port}/a.jpg") == "private_address"
    assert asked[0] == "127.0.0.1"
    assert web.asked.total() == 1
    guarded.close()


@pytest.mark.parametrize(
    ("address", "private"),
    [
        *((address, True) for address in ("10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "127.8.8.8")),
        *((address, True) for address in ("0.0.0.0", "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255")),
        *((address, True) for address in ("::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1")),
        *((address, True) for address in ("2002:7f00:1::", "64:ff9b::a00:1", "2001:db8::1")),
        *((address, False) for address in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")),
    ],
)
def test_private_addresses_are_told_in_every_way_of_writing_them(address: str, private: bool) -> None:
    assert is_private_address(address) is private


def test_a_listing_says_what_servers_say_and_which_of_them_fail(web: WebServer) -> None:
    storage = HttpStorage(f"{web.address}/", QUICK)
    there, other, missing, failing = storage.facts(["a.jpg", f"{web.address}/no_head/a.jpg", "none", "status/503"])
    assert there == (len(PICTURE), MODIFIED_NS, f'"{len(PICTURE)}"')
    assert DATE.startswith("Tue, 03 Mar 2026")
    assert other == there
    assert missing == (None, None, None)
    assert failing == (None, None, "head: http_503")
    assert web.asked["GET /a.jpg"] == 0


def test_reads_at_once_are_bounded_in_all_and_for_each_host(web: WebServer) -> None:
    for limits, most in (({"concurrency": 3, "per_host": 9}, 3), ({"concurrency": 9, "per_host": 2}, 2)):
        client = HttpClient(QUICK.model_copy(update=limits))
        web.most_at_once = 0
        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(client.get, [f"{web.address}/slow"] * 6)) == {b"slow"}
        assert web.most_at_once == most
        client.close()


def test_waiting_for_others_is_no_timeout(web: WebServer) -> None:
    client = HttpClient(QUICK.model_copy(update={"per_host": 1, "retries": 0}))
    started = time.monotonic()
    answers = client.headers([f"{web.address}/slow"] * 5)
    assert time.monotonic() - started > QUICK.timeout_s
    assert not [answer for answer in answers if isinstance(answer, RefusedError)]
    client.close()


def test_an_index_page_is_a_folder_of_files(web: WebServer) -> None:
    web.files["/set/"] = b'<a href="../">up</a><a href="x/">x</a><a href="b.jpg">b</a><a href="?C=N">sort</a><a>'
    web.files["/set/x/"] = b'<a href="/set/x/1.jpg">1</a><a href="//other.host/2.jpg">2</a><a href="x/">loop</a>'
    web.files["/set/x/x/"] = b'<a href="/set/x/">up</a><a href="http://[">bad</a>'
    web.files["/set/b.jpg"] = web.files["/set/x/1.jpg"] = PICTURE
    source = IndexSource(f"{web.address}/set/", QUICK, "mine")
    listed = source.listing()
    assert [(item.uri, item.group, item.size) for item in listed] == [
        ("b.jpg", "mine/b.jpg", len(PICTURE)),
        ("x/1.jpg", "mine/x", len(PICTURE)),
    ]
    assert source.read("x/1.jpg") == PICTURE
    before = web.asked.total()
    assert source.listing() == listed
    assert web.asked.total() == before
    forget()
    web.files.pop("/set/x/")
    with pytest.raises(UserError, match="cannot be listed"):
        source.listing()
