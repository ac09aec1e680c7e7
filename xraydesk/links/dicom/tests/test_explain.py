"""`worklist explain` over a real association: its rule is held to what a C-FIND answers, and what was asked is kept."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest
from django.db import DatabaseError
from pydicom.dataset import Dataset

from tests.factories import AT, make_booking, make_exam, make_patient, make_site
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.lib.ids import new_uid
from xraydesk.links import asked
from xraydesk.links.dicom import worklist
from xraydesk.links.dicom.explain import explain, explain_all, machines_of
from xraydesk.links.dicom.tests.peers import listening
from xraydesk.links.dicom.tests.test_worklist import MWL, accessions, ask, query
from xraydesk.links.models import WorklistQuery
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Modality, Room
from xraydesk.scheduling.states import BookingState

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def site():
    made = make_site()
    Modality.objects.create(
        site=made, room=Room.objects.get(site=made, code="XR1"), ae_title="XR1CR", modality="CR"
    )
    return made


@pytest.fixture
def desk(tmp_path, site):
    with listening(tmp_path, [worklist.SERVICE]) as running:
        yield running


def told(site, exam, ae="XR1"):
    machines = machines_of(site)
    machine = next(m for m in machines if m.ae_title == ae)
    return explain_all(site=site, exam=exam, machine=machine, machines=machines, at=AT)


def test_for_every_standing_of_an_exam_the_rule_says_what_a_query_answers(desk, site):
    """Triage, booking and step in every combination: `explain` and a C-FIND of each station agree."""
    steps = (None, *StepState)
    bookings = (None, BookingState.BOOKED, BookingState.NO_SHOW, BookingState.DONE, BookingState.CANCELLED)
    made = []
    for number, (triage, booking, state) in enumerate(product(TriageState, bookings, steps)):
        exam = make_exam(site, triage=triage)
        if booking is not None:
            make_booking(exam, state=booking, start=AT + timedelta(minutes=30 * number))
        if state is not None:
            step = PerformedStep.objects.create(
                site=site,
                sop_instance_uid=new_uid(),
                state=state,
                by="modality:XR1",
                started_at=AT,
                ended_at=None if state == StepState.IN_PROGRESS else AT,
            )
            StepExam.objects.create(step=step, exam=exam)
        made.append(exam)
    some_are_listed = 0
    for machine in machines_of(site):
        on_it = set(accessions(desk, query(machine.ae_title)))
        some_are_listed += len(on_it)
        for exam in made:
            listed, why = explain(site=site, accession=exam.accession, ae_title=machine.ae_title, at=AT)
            assert listed == (exam.accession in on_it), (machine.ae_title, exam.triage, why)
    assert some_are_listed == 2  # booked and accepted, never begun or broken off


def test_what_a_machine_asked_is_kept_with_its_answer_and_held_against_the_exam(desk, site):
    exam = make_exam(site, patient=make_patient(site, family="Prüfer"))
    make_booking(exam)
    assert told(site, exam).asked == ()
    for _ in range(3):
        assert accessions(desk, query("XR1", date="20260302")) == [exam.accession]
    assert accessions(desk, query("XR1", date="20260303", time="0800-1800")) == []
    missed, found = told(site, exam).asked
    assert (found.query.times, found.query.answered, found.was_among, found.finds_it) == (3, 1, True, True)
    assert found.outcome == "answered"
    assert (missed.query.times, missed.query.answered, missed.was_among, missed.finds_it) == (
        1,
        0,
        False,
        False,
    )
    assert [(key.name, key.asked, key.have, key.passed) for key in missed.keys] == [
        ("Scheduled Station AE Title", "XR1", "XR1", True),
        ("Scheduled Procedure Step Start Date", "20260303, 0800-1800", "20260302, 100000", False),
    ]
    assert told(site, exam, "XR2").asked == ()


def test_a_query_for_another_status_or_by_an_unknown_key_is_told_as_it_went(desk, site):
    exam = make_exam(site)
    make_booking(exam)
    assert accessions(desk, query("XR1", status="STARTED")) == []
    assert accessions(desk, query("XR1", PatientSpeciesDescription="Homo sapiens")) == [exam.accession]
    unknown, started = told(site, exam).asked
    assert unknown.query.comment == "it asked for something that the desk does not know"
    assert unknown.finds_it
    assert not started.finds_it
    assert [key.name for key in started.keys if not key.passed] == ["Scheduled Procedure Step Status"]


def test_a_query_that_is_refused_is_kept_with_the_reason(desk, site):
    exam = make_exam(site)
    make_booking(exam)
    assert ask(desk, query("XR1", date="yesterday")) == ([0xA900], [])
    (kept,) = told(site, exam).asked
    assert (kept.outcome, kept.keys, kept.query.answered) == ("not understood", None, 0)
    assert kept.query.comment


def test_a_private_key_is_named_by_its_number(desk, site):
    exam = make_exam(site)
    make_booking(exam)
    row = WorklistQuery(
        site=site, calling_ae="XR1", sha256="0", first_at=AT, at=AT, status=0xC001, answered=0
    )
    row.keys = {"00091001": {"vr": "LO", "values": ["x"]}, "00080050": {"vr": "SH", "values": ["A0"]}}
    row.save()
    (kept,) = told(site, exam).asked
    assert [key.name for key in kept.keys] == ["Accession Number"]
    assert kept.outcome == "failed here (C001H)"


def test_only_the_newest_different_queries_of_a_station_are_kept_and_not_for_long(desk, site):
    exam = make_exam(site)
    make_booking(exam)
    for day in range(1, 25):
        asked.keep(
            site=site,
            calling_ae="XR1",
            address="10.0.0.1",
            keys={"day": day},
            answered=asked.Answered(0),
            at=AT + timedelta(minutes=day),
        )
    kept = WorklistQuery.objects.order_by("at").values_list("keys", flat=True)
    assert [one["day"] for one in kept] == [*range(5, 25)]
    assert asked.forget_old(at=AT + timedelta(days=asked.KEPT_DAYS, minutes=10)) == 6
    assert WorklistQuery.objects.count() == 14
    asked.keep(
        site=site,
        calling_ae="XR2",
        address="10.0.0.1",
        keys={"long": "x" * asked.KEYS_BYTES_MAX},
        answered=asked.Answered(0),
        at=AT,
    )
    assert WorklistQuery.objects.get(calling_ae="XR2").keys == {}


def test_a_query_that_cannot_be_written_down_is_answered_all_the_same(desk, site, monkeypatch):
    def fails(**_):
        raise DatabaseError

    monkeypatch.setattr(worklist, "keep", fails)
    exam = make_exam(site)
    make_booking(exam)
    assert accessions(desk, query("XR1")) == [exam.accession]
    assert not WorklistQuery.objects.exists()


def test_a_query_without_a_value_finds_everything(desk, site):
    exam = make_exam(site)
    make_booking(exam)
    everything = Dataset()
    everything.AccessionNumber = ""
    association = desk.associate([MWL])
    found = [answer for _, answer in association.send_c_find(everything, MWL) if answer is not None]
    association.release()
    desk.settle()
    assert [answer.AccessionNumber for answer in found] == [exam.accession]
    (kept,) = told(site, exam).asked
    assert (kept.keys, kept.finds_it, kept.was_among) == ((), True, True)
