"""Messages as an EHR writes them, and a peer that reads its answers."""

from __future__ import annotations

import socket
from itertools import count

_numbers = count(1)


def header(type_: str = "ORM^O01^ORM_O01", control: str = "", app: str = "EHR", **more: str) -> str:
    fields = {"charset": "UNICODE UTF-8", "accept": "", "application": "", "version": "2.5.1"} | more
    control = control or f"C{next(_numbers)}"
    return (
        f"MSH|^~\\&|{app}|HOSP|XRAYDESK|XRAY|20260302100000||{type_}|{control}|P|{fields['version']}|||"
        f"{fields['accept']}|{fields['application']}||{fields['charset']}"
    )


def order(
    *,
    control: str = "",
    placer: str = "P1",
    patient: str = "N1",
    action: str = "NW",
    status: str = "",
    name: str = "Prüfer^Ada",
    app: str = "EHR",
    start: str = "202603021030",
    extra: str = "",
    **more: str,
) -> str:
    lines = [
        header(more.pop("type_", "ORM^O01^ORM_O01"), control, app, **more),
        f"PID|1||{patient}^^^HOSP^MR||{name}||19690512|F|||12 Bar St^^Town^MO^63110||(555)555-0100",
        "PV1|1|O|RAD^^^HOSP||||||||||||||||VN1",
        f"ORC|{action}|{placer}^{app}|||{status}||1^^^{start}^^R|||||1234^Order^Otto^^^Dr",
        f"OBR|1|{placer}^{app}||XRCHEST2^Chest 2 views^L||||||||||||1234^Order^Otto^^^Dr||||||||||||||||||||{start}",
    ]
    return "\r".join([*lines, *([extra] if extra else [])]) + "\r"


def obr(
    *,
    placer: str = "P1",
    filler: str = "",
    code: str = "XRCHEST2^Chest 2 views^L",
    accession: str = "",
    status: str = "F",
    said: str = "",
    reader: str = "",
) -> str:
    """One OBR of a report."""
    fields = {2: f"{placer}^EHR" if placer else "", 3: filler, 4: code}
    fields |= {18: accession, 22: said, 25: status, 32: reader}
    return "OBR|1|" + "|".join(fields.get(n, "") for n in range(2, 33))


def result(
    *,
    control: str = "",
    placer: str = "P1",
    patient: str = "N1",
    accession: str = "",
    filler: str = "",
    status: str = "F",
    text: str = "No acute finding.",
    values: tuple[str, ...] | None = None,
    reader: str = "99&Reader&Rita",
    said: str = "20260302110000",
    name: str = "Prüfer^Ada",
    born: str = "19690512",
    app: str = "EHR",
) -> str:
    """A report as a reporting system writes it; `values` stand in place of its one line of text."""
    order = f"{placer}^EHR" if placer else ""
    lines = [
        header("ORU^R01^ORU_R01", control, app),
        f"PID|1||{patient}^^^HOSP^MR||{name}||{born}|F",
        "PV1|1|O",
        f"ORC|RE|{order}|{filler}",
        obr(placer=placer, filler=filler, accession=accession, status=status, said=said, reader=reader),
    ]
    usual = (f"OBX|1|TX|GDT||{text}||||||{status}",) if text else ()
    return "\r".join([*lines, *(usual if values is None else values)]) + "\r"


def adt(
    event: str,
    *,
    control: str = "",
    patient: str = "N1",
    pv1: str = "PV1|1|I|W3^12^B|||||||||||||||||VN1",
    extra: str = "",
) -> str:
    lines = [
        header(f"ADT^{event}", control),
        f"EVN|{event}|20260302100000",
        f"PID|1||{patient}^^^HOSP^MR||Prüfer^Ada||19690512|F",
        pv1,
    ]
    return "\r".join([*lines, *([extra] if extra else [])]) + "\r"


def framed(message: str | bytes) -> bytes:
    return b"\x0b" + (message.encode() if isinstance(message, str) else message) + b"\x1c\r"


def answers(connection: socket.socket, number: int = 1) -> list[bytes]:
    """The next answers, each without its frame; fewer where the peer hangs up."""
    held = b""
    while held.count(b"\x1c\r") < number:
        part = connection.recv(65536)
        if not part:
            break
        held += part
    return [a.lstrip(b"\x0b") for a in held.split(b"\x1c\r") if a]


def code(answer: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2."""
    msa = next(line for line in answer.decode().split("\r") if line.startswith("MSA")).split("|")
    return msa[1], msa[2]


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
