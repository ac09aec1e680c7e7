"""Tries a connection out: does anybody listen, does he take an association, does he answer a C-ECHO? (PS3.4 annex A)"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ

from xraydesk.links.dicom.doctor_rules import rejection_in_words
from xraydesk.links.dicom.secure import tls_to
from xraydesk.links.dicom.sop_classes import MESSAGE_SYNTAXES, VERIFICATION
from xraydesk.siteplan.routing_plan import DestinationPlan

CONNECT_SECONDS_MAX = 3.0
ANSWER_SECONDS_MAX = 5.0


_NO_ASSOCIATION = "It takes the connection, and then no association: it hangs up, or says nothing."
_NO_TLS = (
    "It takes the connection, and then no association with TLS: see that each trusts the other's certificate."
)


@dataclass(frozen=True)
class Found:
    """What a try found out: whether anybody listens, whether the echo came back, and all of it as one sentence."""

    reached: bool
    echoed: bool
    said: str


def probe(
    *, host: str, port: int, called: str, calling: str, destination: DestinationPlan | None = None
) -> Found:
    """Connect, associate and verify, with TLS where the destination has it. Takes some seconds where nobody answers."""
    try:
        tls = tls_to(destination) if destination is not None else None
    except OSError as error:
        return Found(False, False, f"A certificate file for it cannot be read here ({type(error).__name__}).")
    try:
        socket.create_connection((host, port), CONNECT_SECONDS_MAX).close()
    except TimeoutError:
        return Found(
            False,
            False,
            "Nothing answers there: it is off, its address is another, or a firewall is between.",
        )
    except ConnectionRefusedError:
        return Found(False, False, "The computer is there, but nothing listens at that port.")
    except OSError as error:
        return Found(False, False, f"It cannot be reached: {error.strerror or type(error).__name__}.")
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ANSWER_SECONDS_MAX
    ae.connection_timeout = CONNECT_SECONDS_MAX
    ae.add_requested_context(VERIFICATION, list(MESSAGE_SYNTAXES))
    # pynetdicom takes a rejection that comes before its caller's thread has looked for a failure to connect
    # (`is_rejected` is false then), so the PDU itself is asked: it is told of before the connection is closed.
    rejections: list[A_ASSOCIATE_RJ] = []

    def heard(event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            rejections.append(event.pdu)

    association = ae.associate(
        host, port, ae_title=called, tls_args=tls, evt_handlers=[(evt.EVT_PDU_RECV, heard)]
    )
    if rejections:
        source, reason = rejections[0].source or 0, rejections[0].reason_diagnostic or 0
        return Found(True, False, rejection_in_words(source, reason, ours=calling, theirs=called))
    if not association.is_established:
        return Found(True, False, _NO_TLS if tls is not None else _NO_ASSOCIATION)
    try:
        status = association.send_c_echo().get("Status")
    except (ValueError, RuntimeError):
        # pynetdicom says so where the context of C-ECHO was not accepted, or the association has gone.
        return Found(True, False, "It takes the association, but knows no C-ECHO.")
    finally:
        association.release()
    if status == 0x0000:
        return Found(True, True, "It answers.")
    return Found(
        True, False, "It did not answer the C-ECHO." if status is None else f"It answered {status:04X}."
    )
