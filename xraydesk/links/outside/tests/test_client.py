"""HTTP requests of ours, over real sockets: what is connected to, and answers that are none (row 23 of the faults)."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from xraydesk.links.outgoing.wire import NoAnswer, NotReached
from xraydesk.links.outside import client
from xraydesk.links.outside.client import Barred, Reach, ask, opened
from xraydesk.links.outside.tests.http_peer import Asked, Told, peer

pytestmark = pytest.mark.link

HERE = Reach(networks=("127.0.0.0/8",))


def test_a_request_goes_out_and_its_answer_comes_back_whatever_its_status() -> None:
    heard: list[Asked] = []

    def answer(asked: Asked) -> Told:
        heard.append(asked)
        return Told(422, b"no", {"ETag": 'W/"1"'})

    with peer(answer) as base:
        answered = ask("PUT", f"{base}/a?b=1", reach=HERE, headers={"If-Match": "x"}, body=b"{}")
    assert (answered.status, answered.body, answered.headers["etag"]) == (422, b"no", 'W/"1"')
    assert (heard[0].method, heard[0].target, heard[0].body) == ("PUT", "/a?b=1", b"{}")
    assert heard[0].headers["host"] == base.removeprefix("http://")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_row_23_loopback_is_refused_before_anything_is_sent(host: str) -> None:
    heard: list[Asked] = []
    with peer(lambda asked: heard.append(asked) or Told()) as base:
        port = base.rpartition(":")[2]
        with pytest.raises(Barred):
            ask("GET", f"http://{host}:{port}/", reach=Reach())
    assert heard == []


def test_row_23_a_name_is_refused_by_what_it_resolves_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(*addresses: str) -> Any:
        return lambda host, port, **_: [(2, 1, 6, "", (address, port)) for address in addresses]

    for addresses in (("169.254.169.254",), ("8.8.8.8", "10.0.0.1")):
        monkeypatch.setattr(client.socket, "getaddrinfo", resolved(*addresses))
        with pytest.raises(Barred, match="lists no network"):
            ask("GET", "https://ehr.example/R4", reach=HERE)


def test_row_23_the_address_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that means another address a moment later is not asked again."""
    asked_for: list[str] = []
    connected: list[tuple[str, int]] = []

    def resolver(host: str, port: int, **_: Any) -> list[Any]:
        asked_for.append(host)
        return [(2, 1, 6, "", ("8.8.8.8" if len(asked_for) == 1 else "127.0.0.1", port))]

    def connect(address: tuple[str, int], seconds: float) -> socket.socket:
        connected.append(address)
        raise TimeoutError

    monkeypatch.setattr(client.socket, "getaddrinfo", resolver)
    monkeypatch.setattr(client.socket, "create_connection", connect)
    with pytest.raises(NotReached):
        ask("GET", "http://rebind.example/R4", reach=Reach())
    assert (asked_for, connected) == (["rebind.example"], [("8.8.8.8", 80)])


def test_row_23_a_redirect_is_not_followed() -> None:
    heard: list[Asked] = []
    with (
        peer(lambda asked: heard.append(asked) or Told()) as inner,
        peer(lambda asked: Told(302, b"", {"Location": f"{inner}/admin"})) as base,
    ):
        assert ask("GET", f"{base}/R4", reach=HERE).status == 302
    assert heard == []


def test_nobody_there_an_answer_that_is_none_and_a_name_that_is_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotReached):
        ask("GET", f"http://127.0.0.1:{port}/", reach=HERE)
    with peer(lambda asked: Told(0)) as base, pytest.raises(NoAnswer):
        ask("GET", base, reach=HERE)
    with pytest.raises(NotReached, match="not known"):
        ask("GET", "http://no-such-name.invalid/", reach=HERE)
    with pytest.raises(Barred, match="begins with"):
        ask("GET", "file:///etc/passwd", reach=HERE)


def test_an_answer_that_is_too_long_or_dribbles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_BYTES_MAX", 1000)
    with peer(lambda asked: Told(200, b"x" * 1001)) as base, pytest.raises(NoAnswer, match="longer"):
        ask("GET", base, reach=HERE)
    monkeypatch.setattr(client, "ANSWER_SECONDS_MAX", 0.3)
    over = threading.Event()

    def dribble(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.05):
                try:
                    connection.sendall(b"X-A: b\r\n")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=dribble, args=[listener], daemon=True)
        thread.start()
        with pytest.raises(NoAnswer):
            ask("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/", reach=HERE)
        over.set()
        thread.join()


def test_under_tls_the_certificate_of_the_name_is_asked_for() -> None:
    with peer(lambda asked: Told()) as base, pytest.raises(NotReached):
        ask("GET", base.replace("http:", "https:"), reach=HERE)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\nabcde\r\n",
    ],
)
def test_an_answer_that_is_cut_in_the_middle_is_none(said: bytes) -> None:
    def cut(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=cut, args=[listener], daemon=True)
        thread.start()
        with pytest.raises(NoAnswer, match="broke off"):
            ask("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/", reach=HERE)
        thread.join()


def test_what_is_large_comes_in_pieces_and_may_be_left_in_the_midst() -> None:
    whole = b"x" * (client.PIECE_BYTES + 10)
    with peer(lambda asked: Told(200, whole)) as base:
        with opened("GET", base, reach=HERE) as answer:
            pieces = [len(piece) for piece in answer.pieces(bytes_max=len(whole))]
        with opened("GET", base, reach=HERE) as answer:
            assert next(answer.pieces(bytes_max=len(whole)))
    assert pieces == [client.PIECE_BYTES, 10]
