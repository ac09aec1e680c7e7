"""Asking, from outside and without libraries, whether the desk answers."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable

from xraydesk.project.addresses import Address

SECONDS_MAX = 3.0
ANSWER_BYTES_MAX = 16_384

INSTANCE_VARIABLE = "XRAYDESK_INSTANCE"
INSTANCE_HEADER = "x-xraydesk-instance"
"""How a process tells its own supervisor from another desk's that took the port a moment earlier."""


def takes_connections(address: Address) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection(address.from_here, SECONDS_MAX).close()
    except OSError:
        return False
    return True


def answers_ready(address: Address, *, tls: bool, instance: str) -> bool:
    """Whether `/readyz` there answers 200, and as a process that this supervisor started."""
    try:
        with socket.create_connection(address.from_here, SECONDS_MAX) as plain:
            line = _to_itself().wrap_socket(plain) if tls else plain
            line.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while len(answer) < ANSWER_BYTES_MAX and (part := line.recv(4096)):
                answer += part
            head = answer.partition(b"\r\n\r\n")[0].lower()
            return head.startswith(b"http/1.1 200") and f"{INSTANCE_HEADER}: {instance}".encode() in head
    except OSError:
        return False


def _to_itself() -> ssl.SSLContext:
    """TLS to this very machine: whose name the certificate carries does not matter for this question."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def wait_for(questions: list[Callable[[], bool]], seconds_max: float, between: Callable[[], None]) -> bool:
    """Ask until every question was once answered yes, doing `between` in between; False when time is up."""
    deadline = time.monotonic() + seconds_max
    open_questions = list(questions)
    while open_questions:
        open_questions = [question for question in open_questions if not question()]
        if open_questions:
            if time.monotonic() > deadline:
                return False
            between()
    return True
