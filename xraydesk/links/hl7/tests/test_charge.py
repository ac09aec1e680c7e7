"""A charge and its credit on the wire."""

from __future__ import annotations

from dataclasses import replace

from tests.factories import AT
from xraydesk.links.hl7.charge import ChargeTold, charge_segments
from xraydesk.links.hl7.reader import read_message

TOLD = ChargeTold(
    number="A1-1",
    credit=False,
    service_at=AT,
    posted_at=AT,
    code="RXKNEE2",
    text="Knee 2 views | both",
    system="L",
    modifiers=("RT", "50"),
    quantity=1,
    room="XR2",
    filler="A1",
    placer="P1",
    placer_authority="EHR",
    procedure_code="XRKNEE2",
    procedure_text="Knee",
    provider_number="7001",
    provider_name=("Okafor", "Ngozi"),
)
HEADER = "MSH|^~\\&|XRAYDESK|XRAY|EHR|HOSP|20260302||DFT^P03|1|P|2.5.1\r"


def text_of(told: ChargeTold) -> str:
    return "\r".join(segment.text() for segment in charge_segments(told))


def read(told: ChargeTold) -> list[str]:
    message = read_message((HEADER + text_of(told) + "\r").encode(), fallback="utf-8")
    ft1 = message.first("FT1")
    return [ft1.get(n) for n in (2, 4, 6, 7, 10, 23, 25)] + [ft1.get(7, 2), ft1.get(16, 4), ft1.get(21)]


def test_a_charge_is_read_as_it_was_written_and_text_adds_no_field() -> None:
    number, service, kind, code, quantity, filler, procedure, text, room, provider = read(TOLD)
    assert (number, kind, code, quantity, filler, procedure) == (
        "A1-1",
        "CG",
        "RXKNEE2",
        "1",
        "A1",
        "XRKNEE2",
    )
    assert service.startswith("20260302150000")
    assert (text, room, provider) == ("Knee 2 views | both", "XR2", "7001")
    assert "|RT~50" in text_of(TOLD)


def test_a_credit_carries_the_number_of_its_charge() -> None:
    told = read(replace(TOLD, credit=True, provider_number=""))
    assert (told[0], told[2], told[-1]) == ("A1-1", "CD", "")


def test_the_order_is_named_by_both_its_numbers() -> None:
    assert text_of(TOLD).endswith("\rORC|RE|P1^EHR|A1")
    assert text_of(replace(TOLD, placer_authority="")).endswith("\rORC|RE|P1|A1")
