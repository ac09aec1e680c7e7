"""ADT messages that join, part or renumber records and stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from xraydesk.attention.models import Item
from xraydesk.journey.merge import undo_merge
from xraydesk.links.hl7.merging import MERGES, PAIRS_MAX, read_merges
from xraydesk.links.hl7.patient import EVENTS, NOT_OURS, numbers_named
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.hl7.refusals import Rejected
from xraydesk.links.hl7.tests.sent import adt, header, order
from xraydesk.links.messages import replay
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam
from xraydesk.patients.merge_rules import MergeKind
from xraydesk.patients.models import Merge, Patient
from xraydesk.patients.queries import by_identifier

from tests.factories import AT  # isort: skip

Ask = Callable[..., list[str]]


def read(event: str, *segments: str) -> object:
    raw = "\r".join((header(f"ADT^{event}", "C1"), *segments)).encode()
    return read_merges(read_message(raw), event, "UTC")


PID = "PID|1||N1^^^HOSP^MR||Prüfer^Ada||19690512|F||||||||||AC9"
MRG = "MRG|N2^^^HOSP^MR||AC1||V1"


def test_a_message_names_the_numbers_of_those_that_stay_and_of_those_that_go() -> None:
    raw = "\r".join((header("ADT^A40", "C1"), PID, MRG, PID)).encode()
    assert numbers_named(read_message(raw)) == ("N1", "N2")


@pytest.mark.parametrize("event", [event for event in MERGES if event not in ("A24", "A37")])
def test_each_event_says_who_stays_and_what_goes(event: str) -> None:
    (news,) = read(event, PID, MRG, "PV1|1|I|||||||||||||||||V2")
    assert news.kind is MERGES[event]
    assert [i.value for i in news.patient.identifiers] == ["N1"]
    assert [i.value for i in news.prior] == ["N2"]
    assert (news.prior_account, news.prior_visit) == ("AC1", "V1")
    assert (news.patient.visit.account, news.patient.visit.number) == ("AC9", "V2")


def test_no_event_has_two_meanings() -> None:
    groups = [set(EVENTS), set(MERGES), set(NOT_OURS)]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_a_visit_may_stand_on_either_side_and_several_may_go_over_at_once() -> None:
    first, second = read(
        "A45", PID, "PV1|1|I|||||||||||||||||V2", MRG, "MRG|N3^^^HOSP||||V5", "PV1|2|I|||||||||||||||||V6"
    )
    assert (first.patient.visit.number, second.patient.visit.number) == ("V2", "V6")
    assert second.prior_visit == "V5"
    assert [i.value for i in second.patient.identifiers] == ["N1"]


def test_old_senders_name_the_number_that_goes_in_mrg_4() -> None:
    (news,) = read("A34", PID, "MRG||||N2")
    assert [i.value for i in news.prior] == ["N2"]


def test_two_numbers_are_parted_by_two_pid() -> None:
    (news,) = read("A37", PID, "PID|2||N2^^^HOSP^MR")
    assert (news.kind, [i.value for i in news.prior]) == (MergeKind.UNLINK, ["N2"])


@pytest.mark.parametrize(
    ("event", "segments"),
    [
        ("A40", (PID,)),
        ("A40", (MRG,)),
        ("A40", (PID, "MRG|")),
        ("A40", ("PID|1", MRG)),
        ("A45", (PID, "MRG|||AC1")),
        ("A37", (PID,)),
        ("A24", (PID,)),
        ("A40", (PID, *[MRG] * (PAIRS_MAX + 1))),
    ],
)
def test_what_does_not_say_who_stays_and_what_goes_is_refused(event: str, segments: tuple[str, ...]) -> None:
    with pytest.raises(Rejected):
        read(event, *segments)


def test_the_number_that_says_whose_a_moved_one_is_now_may_stand_in_pid_2() -> None:
    (news,) = read("A43", "PID|1|E2^^^EPI|N1^^^HOSP^MR", "MRG|N1^^^HOSP^MR||||E1^^^EPI")
    assert news.kind is MergeKind.MOVE_NUMBERS
    assert [i.value for i in news.patient.identifiers] == ["N1", "E2"]
    (linked,) = read("A24", PID, "PID|2||C2^^^CLINIC^MR")
    assert (linked.kind, [i.value for i in linked.prior]) == (MergeKind.LINK, ["C2"])


def merging(stays: str = "N1", goes: str = "N2", event: str = "A40", control: str = "") -> str:
    return adt(event, control=control, patient=stays, pv1=f"MRG|{goes}^^^HOSP^MR")


@pytest.mark.django_db
def test_orders_of_the_record_that_goes_are_of_the_one_that_stays(ask: Ask) -> None:
    ask(order(placer="P1", patient="N1"))
    ask(order(placer="P2", patient="N2"))
    assert ask(merging(control="M1"))[1] == "MSA|AA|M1"
    ada = Patient.objects.get(identifiers__value="N1")
    assert {exam.patient for exam in Exam.objects.all()} == {ada}
    assert Message.objects.get(control_id="M1").state == "applied"
    assert ask(order(control="X1", placer="P2", patient="N2", action="XO"))[1] == "MSA|AA|X1"
    ask(order(placer="P3", patient="N2"))
    assert Exam.objects.filter(patient=ada).count() == 3


@pytest.mark.django_db
def test_a_merge_again_is_kept_and_changes_nothing(ask: Ask) -> None:
    """Row 19: repeated under another control number."""
    ask(order(patient="N2"))
    ask(merging())
    assert ask(merging(control="M2"))[1] == "MSA|AA|M2"
    assert Message.objects.get(control_id="M2").state == "kept, nothing to do"
    assert Merge.objects.count() == 1


@pytest.mark.django_db
def test_a_merge_into_itself_or_in_a_circle_is_a_duplicate_key(ask: Ask) -> None:
    """Row 18: ERR 205, nothing changed, and a person is told."""
    ask(order(patient="N2"))
    itself = ask(merging("N2", "N2", control="M1"))
    assert itself[1].startswith("MSA|AR|M1|")
    assert itself[2].split("|")[2:4] == ["MRG^1^1", "205^Duplicate key identifier^HL70357"]
    assert not Merge.objects.exists()
    ask(merging("N1", "N2", control="M2"))
    circle = ask(merging("N2", "N1", control="M3"))
    assert circle[2].split("|")[3].startswith("205^")
    assert Merge.objects.count() == 1
    assert {i.kind for i in Item.objects.all()} == {"merge of two patients"}


@pytest.mark.django_db
def test_records_that_stand_otherwise_than_the_sender_believes_wait_for_a_person(ask: Ask) -> None:
    for patient in ("N1", "N2", "N3"):
        ask(order(placer=patient, patient=patient))
    ask(merging("N1", "N2"))
    assert ask(merging("N3", "N2", control="M2"))[1] == "MSA|AA|M2"
    assert Item.objects.get().kind == "merge of two patients"
    message = Message.objects.get(control_id="M2")
    assert message.state == "waiting for a person"
    assert by_identifier(site=message.site, value="N2") == by_identifier(site=message.site, value="N1")
    ask(merging("N2", "N9", event="A37", control="M3"))
    assert Message.objects.get(control_id="M3").state != "applied"


@pytest.mark.django_db
def test_all_merges_of_a_message_are_done_or_none(ask: Ask) -> None:
    for patient in ("N1", "N2", "N3"):
        ask(order(placer=patient, patient=patient))
    pair = "PID|1||{}^^^HOSP^MR||Prüfer^Ada\rMRG|{}^^^HOSP^MR"
    both = "\r".join((header("ADT^A40", "M1"), pair.format("N1", "N2"), pair.format("N3", "N3")))
    assert ask(both)[1].startswith("MSA|AR|M1")
    assert not Merge.objects.exists()
    # The cause mended at the sender: the same message cannot be, so a person replays it after the records changed.
    replay(message_id=Message.objects.get(control_id="M1").pk, at=AT, by="user:ada")
    assert not Merge.objects.exists()
    good = "\r".join((header("ADT^A40", "M2"), pair.format("N1", "N2"), pair.format("N1", "N3")))
    assert ask(good)[1] == "MSA|AA|M2"
    assert Merge.objects.count() == 2


@pytest.mark.django_db
def test_a_stay_of_the_wrong_patient_goes_over(ask: Ask) -> None:
    ask(order(placer="P1", patient="N1"))
    ask(order(placer="P2", patient="N2"))
    moved = adt(
        "A45", control="M1", patient="N1", pv1="MRG|N2^^^HOSP^MR||||VN1", extra="PV1|1|O|||||||||||||||||VN1"
    )
    assert ask(moved)[1] == "MSA|AA|M1"
    assert Exam.objects.filter(patient__identifiers__value="N1").count() == 2


@pytest.mark.django_db
def test_a_merge_that_says_too_little_is_refused_at_its_place(ask: Ask) -> None:
    assert ask(adt("A40", control="M1"))[2].split("|")[2] == "MRG^1"
    refused = ask(adt("A42", control="M2", pv1="MRG|N2^^^HOSP^MR"))
    assert refused[1].startswith("MSA|AE|M2|")


def linking(one: str = "N1^^^HOSP", other: str = "C2^^^CLINIC", event: str = "A24", control: str = "") -> str:
    return adt(event, control=control, patient="").replace("|1||^^^HOSP^MR|", f"|1||{one}^MR|") + (
        f"PID|2||{other}^MR||Prüfer^Ada||19690512|F\r"
    )


def of_clinic(**more: str) -> str:
    return order(patient="C2^^^CLINIC^MR~", **more).replace("~^^^HOSP^MR", "")


@pytest.mark.django_db
def test_linked_numbers_of_two_issuers_are_of_one_record_and_parted_again_by_the_sender(ask: Ask) -> None:
    ask(order(placer="P1", patient="N1"))
    ask(of_clinic(placer="P2"))
    assert Patient.objects.count() == 2
    assert ask(linking(control="L1"))[1] == "MSA|AA|L1"
    assert Message.objects.get(control_id="L1").state == "applied"
    ada = Patient.objects.get(merged_into=None)
    assert {i.value for i in ada.identifiers.all()} == {"N1", "C2"}
    assert Exam.objects.filter(patient=ada).count() == 2
    ask(linking(control="L2"))
    assert Message.objects.get(control_id="L2").state == "kept, nothing to do"
    assert ask(linking(event="A37", control="L3"))[1] == "MSA|AA|L3"
    assert {(e.order.placer, e.patient.identifiers.get().value) for e in Exam.objects.all()} == {
        ("P1", "N1"),
        ("P2", "C2"),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("known", ["N1", "C2", ""])
def test_a_linked_number_that_never_came_here_finds_the_record_once_it_does(ask: Ask, known: str) -> None:
    if known:
        ask(order(placer="P1", patient="N1") if known == "N1" else of_clinic(placer="P1"))
    ask(linking())
    ask(of_clinic(placer="P2"))
    ask(order(placer="P3", patient="N1"))
    assert len({exam.patient_id for exam in Exam.objects.all()}) == 1


@pytest.mark.django_db
def test_linked_records_that_are_not_alike_or_of_one_issuer_wait_for_a_person(ask: Ask) -> None:
    ask(order(placer="P1", patient="N1"))
    ask(order(placer="P2", patient="N2"))
    ask(of_clinic(placer="P3", name="Doe^Jay"))
    for number, other in enumerate(("N2^^^HOSP", "C2^^^CLINIC")):
        assert ask(linking(other=other, control=f"L{number}"))[1] == f"MSA|AA|L{number}"
    assert Message.objects.filter(state="waiting for a person").count() == 2
    assert {i.kind for i in Item.objects.all()} == {"merge of two patients"}
    assert not Merge.objects.exists()
    vague = linking(one="N1^^^HOSP^AN", control="L9").replace("N1^^^HOSP^AN^MR", "N1^^^HOSP^AN")
    assert ask(vague)[1].startswith("MSA|AE|L9|")


def numbers_moved(to: str, number: str, control: str = "") -> str:
    return adt("A43", control=control, patient=f"{to}^^^HOSP^MR~{number}", pv1=f"MRG|{number}^^^HOSP^MR")


@pytest.mark.django_db
def test_a_number_that_is_another_patients_now_takes_along_what_can_only_be_theirs(ask: Ask) -> None:
    ask(order(placer="P1", patient="N1"))
    ask(order(placer="P2", patient="N2"))
    assert ask(numbers_moved("N1", "N2", control="M1"))[1] == "MSA|AA|M1"
    ada = Patient.objects.get(merged_into=None)
    assert Exam.objects.filter(patient=ada).count() == 2
    ask(numbers_moved("N1", "N2", control="M2"))
    assert Message.objects.get(control_id="M2").state == "kept, nothing to do"
    ask(numbers_moved("N1", "N7"))
    ask(order(placer="P7", patient="N7"))
    assert Exam.objects.filter(patient=ada).count() == 3


@pytest.mark.django_db
def test_a_number_of_a_record_that_has_others_goes_alone_and_comes_back(ask: Ask) -> None:
    ask(order(placer="P1", patient="N1"))
    ask(adt("A08", patient="N2^^^HOSP^MR~N3", pv1="PV1|1|N"))
    assert ask(numbers_moved("N1", "N3", control="M1"))[1] == "MSA|AA|M1"
    merge = Merge.objects.get()
    assert (merge.whole, merge.stays.identifiers.count(), merge.goes.identifiers.get().value) == (
        False,
        2,
        "N2",
    )
    undo_merge(merge_id=merge.pk, at=AT, by="user:ada")
    assert merge.stays.identifiers.get().value == "N1"
    ask(order(placer="P2", patient="N2"))
    ask(numbers_moved("N1", "N3", control="M2"))
    assert Message.objects.get(control_id="M2").state == "waiting for a person"


@pytest.mark.django_db
def test_a_moved_number_that_says_too_little_or_too_much_changes_nothing(ask: Ask) -> None:
    for patient in ("N1", "N2", "N3"):
        ask(order(placer=patient, patient=patient))
    alone = adt("A43", control="M1", patient="N2", pv1="MRG|N2^^^HOSP^MR")
    several = adt("A43", control="M2", patient="N1", pv1="MRG|N2^^^HOSP^MR~N3^^^HOSP^MR")
    account = adt("A43", control="M3", patient="N1", pv1="MRG|N2^^^HOSP^AN")
    assert [ask(m)[1][:6] for m in (alone, several, account)] == ["MSA|AA", "MSA|AA", "MSA|AE"]
    assert not Merge.objects.exists()
    assert {i.kind for i in Item.objects.filter(text__contains="several records")} == {
        "merge of two patients"
    }
