"""New orders of several connections in one transaction: as if each had come alone, whatever its neighbours hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from tests.factories import AT
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey.receive import receive_order
from xraydesk.lib import locks, prepared
from xraydesk.links.hl7.apply import Steps
from xraydesk.links.hl7.receive import Peer, Receiver, Taken
from xraydesk.links.hl7.tests.sent import adt, order
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam, Order
from xraydesk.patients.models import Patient

pytestmark = pytest.mark.django_db
HERE = Peer()


@pytest.fixture
def together(site: Site, receiver: Receiver) -> Callable[..., list[str | None]]:
    """Give the desk messages as if they came over several connections at once; MSA of each, None where it is left."""

    def together(*sent: str, by: Receiver = receiver) -> list[str | None]:
        found = by.receive_together([Taken(raw.encode(), HERE, AT) for raw in sent])
        return [answer[0].decode().split("\r")[1] if answer else None for answer in found]

    return together


Together = Callable[..., list[str | None]]


def new(number: int, **said: str) -> str:
    return order(**{"control": f"C{number}", "placer": f"P{number}", "patient": f"N{number}"} | said)


def test_they_are_asked_about_in_one_round_trip_and_written_in_another(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []
    real = prepared._ask

    def counted(questions: list[prepared.Question], **how: bool) -> Any:
        trips.append(len(questions))
        return real(questions, **how)

    together(new(90), new(91))
    monkeypatch.setattr(prepared, "_ask", counted)
    assert together(*map(new, range(5))) == [f"MSA|AA|C{n}" for n in range(5)]
    # Two of the locks, three of each order, one of the procedure that all of them ask for, one for keys.
    assert trips == [2 + 5 * 3 + 1 + 1, 5]


def test_each_is_kept_applied_and_told_of_as_its_own(together: Together) -> None:
    assert together(new(1, name="Ñandú^José"), new(2)) == ["MSA|AA|C1", "MSA|AA|C2"]
    for number, family in ((1, "Ñandú"), (2, "Prüfer")):
        exam = Exam.objects.get(order__placer=f"P{number}")
        message = Message.objects.get(control_id=f"C{number}")
        told = Fact.objects.get(kind=FactKind.ORDER_RECEIVED, accession=exam.accession)
        assert (exam.patient.family, exam.patient.pk) == (family, message.patient)
        assert message.accession == exam.accession
        assert told.pk in message.facts
        assert bytes(message.raw).split(b"|")[9] == f"C{number}".encode()
    assert not {*Message.objects.get(control_id="C1").facts} & {*Message.objects.get(control_id="C2").facts}


def test_those_that_concern_one_patient_order_or_number_are_not_taken_together(together: Together) -> None:
    """Row 20: the second one finds what the first one made."""
    assert together(new(1), new(2, patient="N1"), new(3)) == ["MSA|AA|C1", None, "MSA|AA|C3"]
    assert together(new(4), new(5, placer="P4")) == [None, None]
    assert together(new(6), new(7, control="C6")) == [None, None]
    assert Patient.objects.count() == 2


def test_what_is_no_new_order_is_left_to_be_taken_by_itself(together: Together) -> None:
    enveloped = "BHS|^~\\&\r" + new(3) + "BTS|1\r"
    found = together(
        adt("A08", control="C8", patient="N8"),
        new(1),
        "no message",
        enveloped,
        order(control="C9", placer="P9", action="CA"),
        new(4) + new(5),
        new(2),
        new(6, app="STRANGER"),
        new(7, control=" "),
    )
    assert found == [None, "MSA|AA|C1", None, None, None, None, "MSA|AA|C2", None, None]
    assert Message.objects.count() == 2


def test_a_bad_one_harms_none_of_its_neighbours(site: Site, together: Together) -> None:
    """What a step left before it failed is undone with what the others did; one by one each has its own answer."""

    def fails(**said: Any) -> Any:
        with prepared.step():
            received = receive_order(**said)
            if received.order.placer == "P2":
                raise ZeroDivisionError
            return received

    receiver = Receiver(Steps(order=fails))
    sent = [new(1), new(2), new(3)]
    assert together(*sent, by=receiver) == [None, None, None]
    assert not Message.objects.exists()
    assert not Patient.objects.exists()
    for number, raw in enumerate(sent, start=1):
        answer = receiver.receive(raw.encode(), peer=HERE, at=AT)[0]
        assert f"MSA|AA|C{number}".encode() in answer
    assert set(Order.objects.values_list("placer", flat=True)) == {"P1", "P3"}
    assert Item.objects.get().message == Message.objects.get(control_id="C2").pk


def test_a_resend_among_them_is_answered_as_before_and_stored_once(
    together: Together, receiver: Receiver
) -> None:
    """Row 2."""
    assert together(new(1), new(2)) == ["MSA|AA|C1", "MSA|AA|C2"]
    assert together(new(2), new(3), new(1)) == ["MSA|AA|C2", "MSA|AA|C3", "MSA|AA|C1"]
    assert sorted(Message.objects.values_list("control_id", "seen")) == [("C1", 2), ("C2", 2), ("C3", 1)]
    assert Order.objects.count() == 3


def test_another_body_under_a_known_number_is_kept_too_and_put_before_a_person(together: Together) -> None:
    """Row 3."""
    assert together(new(1), new(2)) == ["MSA|AA|C1", "MSA|AA|C2"]
    assert together(new(5, control="C1"), new(6)) == ["MSA|AA|C1", "MSA|AA|C6"]
    assert Message.objects.filter(control_id="C1").count() == 2
    assert "came twice" in Item.objects.get().text


def test_an_order_of_a_known_patient_brings_the_record_up_to_date_between_new_ones(
    together: Together,
) -> None:
    assert together(new(1), new(2)) == ["MSA|AA|C1", "MSA|AA|C2"]
    found = together(new(3), new(4, patient="N1", name="Osei^Kwabena"), new(5))
    assert found == ["MSA|AA|C3", "MSA|AA|C4", "MSA|AA|C5"]
    assert Patient.objects.get(identifiers__value="N1").family == "Osei"
    assert Order.objects.filter(patient__identifiers__value="N1").count() == 2
    assert Patient.objects.count() == 4


def test_no_more_locks_are_asked_for_at_once_than_anyone_may(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LOCKS_AT_ONCE_MAX", 7)
    assert together(new(1), new(2), new(3)) == ["MSA|AA|C1", "MSA|AA|C2", None]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_answered_where_the_database_went_away(site: Site, together: Together) -> None:
    """Row 1: each is tried by itself then, and gets no answer while the database stays away."""

    def lost(**said: Any) -> Any:
        raise OperationalError("the connection is lost")

    assert together(new(1), new(2), by=Receiver(Steps(order=lost))) == [None, None]
    assert not Message.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_they_are_committed_together_before_any_is_answered(together: Together) -> None:
    assert together(new(1), new(2)) == ["MSA|AA|C1", "MSA|AA|C2"]
    connection.close()  # whatever was not committed is gone
    assert Order.objects.count() == Message.objects.count() == 2
