"""Order messages, read into what the department asks."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from xraydesk.links.hl7.controls import CONTROLS, NUMBER_GIVEN, control_of
from xraydesk.links.hl7.order import NumberAsked, read_number_requests, read_requisitions
from xraydesk.links.hl7.patient import EVENTS, read_news
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.hl7.refusals import Condition, NeedsPerson, Rejected
from xraydesk.orders.requisition import Requisition
from xraydesk.orders.states import Priority
from xraydesk.patients.demographics import Allergy, Identifier
from xraydesk.patients.events import PatientEvent
from xraydesk.siteplan.link_plan import OrderControl

ZONE = "America/New_York"
PID = "PID|1||N1^^^HOSP^MR||Prüfer^Ada"


def segment(name: str, fields: dict[int, str]) -> str:
    return "|".join([name, *(fields.get(n, "") for n in range(1, max(fields) + 1))])


def read(*lines: str, pid: str = PID) -> tuple[Requisition, ...]:
    raw = "\r".join(["MSH|^~\\&|EHR|HOSP|||||ORM^O01|C1|P|2.5.1", *([pid] if pid else []), *lines])
    return read_requisitions(read_message(raw.encode()), zone=ZONE)


def one(*lines: str, pid: str = PID) -> Requisition:
    (requisition,) = read(*lines, pid=pid)
    return requisition


@pytest.mark.parametrize(
    ("code", "status", "control"),
    [
        ("NW", "", OrderControl.NEW),
        ("NW", "IP", OrderControl.NEW),
        ("NW", "SC", OrderControl.NEW),
        ("RO", "", OrderControl.NEW),
        ("CH", "", OrderControl.NEW),
        ("XO", "", OrderControl.CHANGE),
        ("XO", "SC", OrderControl.CHANGE),
        ("XO", "CM", OrderControl.COMPLETED_ELSEWHERE),
        ("CA", "", OrderControl.CANCEL),
        ("CA", "CA", OrderControl.CANCEL),
        ("OC", "CA", OrderControl.CANCEL),
        ("RP", "", OrderControl.CANCEL),
        ("DC", "CA", OrderControl.DISCONTINUE),
        ("HD", "", OrderControl.HOLD),
        ("RL", "", OrderControl.RELEASE),
    ],
)
def test_a_pair_that_makes_sense_says_what_is_wanted(code: str, status: str, control: OrderControl) -> None:
    assert control_of(code, status, 1) is control


@pytest.mark.parametrize(
    ("code", "status", "control"),
    [
        ("SC", "", OrderControl.NEWS),
        ("SC", "CM", OrderControl.NEWS),
        ("SC", "CA", OrderControl.CANCEL),
        ("NW", "", OrderControl.NEW),
        ("NW", "ORDERED", OrderControl.NEW),
        ("XO", "CM", OrderControl.COMPLETED_ELSEWHERE),
        ("XO", "A", OrderControl.CHANGE),
        ("NA", "", OrderControl.NEWS),
        ("DC", "", OrderControl.HOLD),
        ("DC", "CA", OrderControl.DISCONTINUE),
    ],
)
def test_a_links_own_pair_counts_before_the_standard_and_its_control_alone_after_it(
    code: str, status: str, control: OrderControl
) -> None:
    words = {
        "SC": OrderControl.NEWS,
        "SC CA": OrderControl.CANCEL,
        "NW": OrderControl.NEW,
        "XO": OrderControl.CHANGE,
        "NA": OrderControl.NEWS,
        "DC": OrderControl.HOLD,
    }
    assert control_of(code, status, 1, words) is control


CODES = sorted({c for c, _ in CONTROLS} | {"ZZ", "RE", "SC", "OP"})
STATUSES = sorted({s for _, s in CONTROLS} | {"A", "ER", "XX"})


@pytest.mark.parametrize(
    ("code", "status"), [(c, s) for c in CODES for s in STATUSES if (c, s) not in CONTROLS]
)
def test_every_other_pair_is_refused_at_its_place(code: str, status: str) -> None:
    """Row 16: unknown ORC-1/ORC-5 pair."""
    with pytest.raises(Rejected) as error:
        control_of(code, status, 2)
    assert (error.value.condition, error.value.where) == (Condition.VALUE_NOT_FOUND, "ORC^2^1")
    assert error.value.condition.ack == "AE"


def test_an_empty_order_control_is_missing_and_a_number_for_an_order_of_ours_is_for_a_person() -> None:
    with pytest.raises(Rejected) as error:
        control_of("", "", 1)
    assert error.value.condition is Condition.FIELD_MISSING
    with pytest.raises(NeedsPerson):
        control_of(NUMBER_GIVEN, "", 1)


def test_numbers_are_asked_for_by_orders_that_ask_for_nothing_else() -> None:
    def asked(*lines: str) -> tuple[NumberAsked, ...]:
        return read_number_requests(read_message("\r".join(("MSH|^~\\&|EHR", PID, *lines)).encode()))

    several = ("ORC|SN|P1^EHR", "OBR|1|P1^EHR||X", "ORC|SN|P2", "ORC|SN|P1^EHR")
    assert asked(*several) == (NumberAsked("P1", "EHR"), NumberAsked("P2", ""))
    assert asked("ORC|SN|P1", "ORC|NW|P2") == asked() == ()


def test_an_order_says_all_that_it_says() -> None:
    found = one(
        segment("PV1", {2: "E", 3: "ED^4^B", 15: "B6", 19: "V1", 44: "202603020900"}),
        "AL1|1|DA|^Penicillin||Rash",
        "AL1|2|FA|NUTS^",
        "AL1|3",
        "ORC|NW|P1^EHR|F1||SC||1^^^202603021000^^R|||9^Clerk^Carl||12^Doc^Dora^D^Jr^Dr||555-1|",
        "TQ1|1||||||202603021030||S",
        "OBR|1|P1^EHR|F1|XRKNEE2^Knee 2 views^L|||||||||limps|||12^Doc^Dora^D^Jr^Dr|555-2|A1|R1|S1|||||||||"
        "|WHLC|^fall~M25^pain",
        "NTE|1||please call",
        "ZDS|1.2.3^EHR^Application^DICOM",
    )
    exam = found.exams[0]
    assert (found.placer, found.placer_authority, found.filler) == ("P1", "EHR", "F1")
    assert (found.provider_id, found.provider_name, found.provider_phone) == (
        "12",
        "Doc^Dora^D^Dr^Jr",
        "555-2",
    )
    assert found.transport == "WHLC"
    assert found.details["notes"] == "please call"
    assert found.details["entered_by"] == "Clerk^Carl"
    assert (exam.code, exam.text, exam.system) == ("XRKNEE2", "Knee 2 views", "L")
    assert (exam.accession, exam.requested_procedure_id, exam.scheduled_step_id) == ("A1", "R1", "S1")
    assert exam.study_instance_uid == "1.2.3"
    assert exam.priority is Priority.STAT
    assert exam.requested_at == datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
    assert exam.requested_at_as_sent == "202603021030"
    assert exam.reason == "fall; pain"
    assert exam.clinical_information == "limps"
    visit = found.patient.visit
    assert (visit.patient_class, visit.ward, visit.bed, visit.number) == ("E", "ED", "4-B", "V1")
    assert visit.admitted_at == datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
    assert found.patient.pregnancy == "yes"
    assert found.patient.alerts == (Allergy("allergy", "Penicillin (Rash)"), Allergy("allergy", "NUTS"))


@pytest.mark.parametrize(
    ("tq1", "orc7", "obr27", "obr36", "start"),
    [
        ("202603021001", "202603021002", "202603021003", "202603021004", "202603021001"),
        ("", "202603021002", "202603021003", "202603021004", "202603021002"),
        ("", "", "202603021003", "202603021004", "202603021003"),
        ("", "", "", "202603021004", "202603021004"),
        ("", "", "", "", ""),
    ],
)
def test_the_start_is_looked_for_in_the_order_of_the_standard(
    tq1: str, orc7: str, obr27: str, obr36: str, start: str
) -> None:
    found = one(
        f"ORC|NW|P1|||||1^^^{orc7}",
        f"TQ1|1||||||{tq1}",
        f"OBR|1|||X|||||||||||||||||||||||1^^^{obr27}|||||||||{obr36}",
    )
    assert found.exams[0].requested_at_as_sent == start


@pytest.mark.parametrize(
    ("tq1", "orc7", "obr27", "obr5", "priority"),
    [
        ("S", "R", "R", "", Priority.STAT),
        ("", "A", "R", "", Priority.URGENT),
        ("", "", "P", "", Priority.URGENT),
        ("C", "", "", "", Priority.URGENT),
        ("T", "S", "", "", Priority.ROUTINE),
        ("", "", "", "STAT", Priority.STAT),
        ("", "", "", "", Priority.ROUTINE),
    ],
)
def test_the_priority_is_looked_for_in_the_order_of_the_standard(
    tq1: str, orc7: str, obr27: str, obr5: str, priority: Priority
) -> None:
    found = one(
        f"ORC|NW|P1|||||1^^^^^{orc7}",
        f"TQ1|1||||||||{tq1}",
        f"OBR|1|||X|{obr5}||||||||||||||||||||||1^^^^^{obr27}",
    )
    assert found.exams[0].priority is priority


@pytest.mark.parametrize(
    ("fields", "side"),
    [
        ({15: "^^^^LT"}, "L"),
        ({15: "^^^^R&Right"}, "R"),
        ({15: "^^^KNEE&RIGHT"}, "R"),
        ({45: "LT"}, "L"),
        ({45: "26~50^Bilateral"}, "B"),
        ({45: "LT~RT"}, "B"),
        ({46: "24028007^Right^SCT"}, "R"),
        ({15: "^^^ABDOMEN"}, ""),
        ({}, ""),
    ],
)
def test_the_side_is_read_where_senders_write_it(fields: dict[int, str], side: str) -> None:
    obr = segment("OBR", {4: "X"} | fields)
    assert one("ORC|NW|P1", obr).exams[0].laterality == side


@pytest.mark.parametrize(
    ("obr4", "obr44", "ipc6", "procedure"),
    [
        ("A^Words^L", "B^x^y", "", ("A", "Words", "L")),
        ("^^^A^Words^L", "", "", ("A", "Words", "L")),
        ("", "B^x^y", "", ("B", "x", "y")),
        ("", "", "C^z", ("C", "z", "")),
        ("^Only words", "", "", ("", "Only words", "")),
        ("^^^^Other words", "", "", ("", "Other words", "")),
    ],
)
def test_the_procedure_is_read_where_senders_write_it(
    obr4: str, obr44: str, ipc6: str, procedure: tuple[str, str, str]
) -> None:
    obr = segment("OBR", {4: obr4, 44: obr44})
    exam = one("ORC|NW|P1", obr, f"IPC||||||{ipc6}").exams[0]
    assert (exam.code, exam.text, exam.system) == procedure


def test_several_obr_and_several_ipc_are_one_exam_each() -> None:
    """Row 15: several OBR or IPC in one order."""
    found = one(
        "ORC|NW|P1",
        "OBR|1||F1|A",
        "OBR|2||F2|B",
        "IPC|ACC1|R1|1.2.1|S1|DX",
        "IPC|ACC2|R2|1.2.2|S2|DX",
    )
    assert [(e.code, e.accession, e.study_instance_uid, e.scheduled_step_id) for e in found.exams] == [
        ("A", "", "", ""),
        ("B", "ACC1", "1.2.1", "S1"),
        ("B", "ACC2", "1.2.2", "S2"),
    ]


def test_orders_with_one_placer_number_are_one_requisition_and_others_are_their_own() -> None:
    found = read("ORC|NW|P1", "OBR|1|||A", "ORC|NW|P1", "OBR|2|||B", "ORC|NW|P2", "OBR|3|||C", "ORC|CA|P3")
    assert [(r.control.value, r.placer, len(r.exams)) for r in found] == [
        ("new", "P1", 2),
        ("new", "P2", 1),
        ("cancel", "P3", 0),
    ]


def test_a_placer_number_may_stand_in_the_obr_alone() -> None:
    found = read("ORC|NW", "OBR|1|P1^^1.2^ISO||A", "OBR|2|P2||B")
    assert [(r.placer, r.placer_authority) for r in found] == [("P1", "1.2"), ("P2", "")]


def test_of_a_parent_and_its_children_the_children_are_exams() -> None:
    found = read("ORC|PA|P1", "OBR|1|||SET", "ORC|CH|P1-1", "OBR|2|||A", "ORC|CH|P1-2", "OBR|3|||B")
    assert [r.placer for r in found] == ["P1-1", "P1-2"]
    assert [r.placer for r in read("ORC|PA|P1", "OBR|1|||SET")] == ["P1"]


def test_a_replacement_takes_the_old_order_back_and_brings_the_new_one() -> None:
    found = read("ORC|RP|P1", "OBR|1|||A", "ORC|RO|P2", "OBR|2|||B")
    assert [(r.control.value, r.placer) for r in found] == [("cancel", "P1"), ("new", "P2")]


def test_the_provider_and_reason_of_the_orc_stand_in_where_the_obr_says_nothing() -> None:
    fields = {1: "NW", 2: "P1", 12: "12^Doc^Dora", 14: "^PRN^PH^^^314^5550100", 16: "R05^Cough"}
    orc = segment("ORC", fields)
    found = one(orc, "OBR|1|||A||||||||||||^^|||||||||||||||^~M1")
    assert found.provider_name == "Doc^Dora"
    assert found.provider_phone == "314 5550100"
    assert found.exams[0].reason == "M1"
    assert one(orc, "OBR|1|||A|||||||||||||||||||||||||||^").exams[0].reason == "Cough"


def test_a_danger_code_is_an_alert() -> None:
    assert one("ORC|NW|P1", "OBR|1|||A||||||||MRSA^MRSA carrier").patient.alerts == (
        Allergy("risk", "MRSA carrier"),
    )


@pytest.mark.parametrize(
    ("lines", "pid", "condition", "where"),
    [
        (("ORC|NW|P1", "OBR|1|||A"), "", Condition.SEGMENT_SEQUENCE, "PID^1"),
        (("ORC|NW|P1", "OBR|1|||A"), "PID|1||^^^HOSP", Condition.FIELD_MISSING, "PID^1^3"),
        ((), PID, Condition.SEGMENT_SEQUENCE, "ORC^1"),
        (("OBR|1|P1||A",), PID, Condition.SEGMENT_SEQUENCE, "ORC^1"),
        (("ORC|NW|P1",), PID, Condition.SEGMENT_SEQUENCE, "OBR^1"),
        (("ORC|NW||F1", "OBR|1|||A"), PID, Condition.FIELD_MISSING, "ORC^1^2"),
        (("ORC|CA",), PID, Condition.FIELD_MISSING, "ORC^1^2"),
        (("ORC|NW|" + "P" * 65, "OBR|1|||A"), PID, Condition.DATA_TYPE, "ORC^1^2"),
        (("ORC|NW|P1|" + "F" * 65, "OBR|1|||A"), PID, Condition.DATA_TYPE, "ORC^1^3"),
        (("ORC|NW|P1", *["OBR|1|||A"] * 101), PID, Condition.DATA_TYPE, "OBR^1"),
    ],
)
def test_what_the_sender_must_correct_is_named_with_its_place(
    lines: tuple[str, ...], pid: str, condition: Condition, where: str
) -> None:
    with pytest.raises(Rejected) as error:
        read(*lines, pid=pid)
    assert (error.value.condition, error.value.where) == (condition, where)


def test_a_cancel_may_name_the_filler_number_alone() -> None:
    assert one("ORC|CA||F1").filler == "F1"


def test_segments_before_the_first_order_belong_to_no_order() -> None:
    assert one(
        "NTE|1||to nobody", "TQ1|1", "IPC|A", "ZDS|1.2", "ORC|NW|P1", "OBR|1|||A", "NTE|1"
    ).details == {"order_control": "NW"}


def test_a_patient_is_read_with_all_numbers_and_the_legal_name() -> None:
    pid = (
        'PID|1||N1^^^HOSP&1.2&ISO^MR~S2^^^&1.3&ISO^SS~""||Ali^As^^^^^A~Pr\\T\\fer^Ada^M^Jr^Dr^^L||19690512101500|f'
        "|||12 Bar St^Apt 4^Town^MO^63110||^PRN^PH^^^314^5550100||eng^English|||AC9||||||||||||Y"
    )
    said = one("ORC|NW|P1", "OBR|1|||A", pid=pid).patient
    assert said.identifiers == (Identifier("N1", "HOSP", "MR"), Identifier("S2", "1.3", "SS"))
    assert (said.name.family, said.name.given, said.name.suffix, said.name.prefix) == (
        "Pr&fer",
        "Ada",
        "Jr",
        "Dr",
    )
    assert (said.birth_date, said.sex) == (date(1969, 5, 12), "F")
    assert said.address == "12 Bar St, Apt 4, Town, MO, 63110"
    assert (said.phone, said.language, said.deceased) == ("314 5550100", "English", True)
    assert said.visit.number == "AC9"


def test_an_old_sender_writes_the_number_into_pid_2() -> None:
    said = one("ORC|NW|P1", "OBR|1|||A", pid="PID|1|N2||| |||||||||555-1").patient
    assert said.identifiers == (Identifier("N2"),)
    assert said.phone == "555-1"


@pytest.mark.parametrize("event", sorted(set(EVENTS) - {"A17"}))
def test_every_patient_event_is_read(event: str) -> None:
    message = read_message(f"MSH|^~\\&|||||||ADT^{event}|C1\r{PID}\rPV1|1|I|W3^12^B\r".encode())
    ((kind, said),) = read_news(message, event, ZONE)
    assert kind is EVENTS[event]
    assert (said.visit.ward, said.visit.bed) == ("W3", "12-B")


def test_a_swap_of_beds_moves_two_patients() -> None:
    other = PID.replace("N1", "N2")
    message = read_message(f"MSH|^~\\&|||||||ADT^A17|C1\r{PID}\rPV1|1|I|W3\r{other}\rPV1|1|I|W4\r".encode())
    assert [(k, p.identifiers[0].value, p.visit.ward) for k, p in read_news(message, "A17", ZONE)] == [
        (PatientEvent.TRANSFER, "N1", "W3"),
        (PatientEvent.TRANSFER, "N2", "W4"),
    ]
    for lines in (PID, f"{PID}\r{other}\r{PID}", f"{PID}\r{other.replace('N2', '')}"):
        with pytest.raises(Rejected):
            read_news(read_message(f"MSH|^~\\&|\r{lines}\r".encode()), "A17", ZONE)


def test_a_swap_without_visits_says_no_ward() -> None:
    other = PID.replace("N1", "N2")
    found = read_news(read_message(f"MSH|^~\\&|\r{PID}\r{other}\r".encode()), "A17", ZONE)
    assert [p.visit.ward for _, p in found] == ["", ""]


def test_words_that_people_read_come_whole_whatever_their_sender_did_not_escape() -> None:
    """Row 14: bare `&`, `^` and `~`, and a line end in a text: no half of an allergy, of a history or of a side."""
    fields = {
        2: "P1",
        4: "XRHAND^Hand AP & lateral, left^L",
        12: "^Falls & faints",
        13: "fall & hit head ^ arm ~ pain",
        31: "^Fracture & effusion~^Pain",
    }
    said = one(
        "AL1|1|DA|^Penicillin & sulfa|SV|Hives~Rash",
        "ORC|NW|P1",
        segment("OBR", fields),
        "NTE|1||first & second~third^x",
        "went on|here",
        "NTE|2||",
    )
    (exam,) = said.exams
    assert (exam.text, exam.laterality) == ("Hand AP & lateral, left", "L")
    assert exam.clinical_information == "fall & hit head ^ arm ~ pain"
    assert exam.reason == "Fracture & effusion; Pain"
    assert [a.text for a in said.patient.alerts] == ["Penicillin & sulfa (Hives, Rash)", "Falls & faints"]
    assert said.details["notes"] == "first & second\nthird^x\nwent on"


def test_a_line_end_inside_an_obr_loses_none_of_the_fields_behind_it() -> None:
    raw = segment("OBR", {2: "P1", 4: "X", 13: "fall\rpain", 27: "^^^202603021030^^S", 31: "^Fracture"})
    (exam,) = one("ORC|NW|P1", raw).exams
    assert (exam.clinical_information, exam.reason, exam.priority) == (
        "fall\npain",
        "Fracture",
        Priority.STAT,
    )


@pytest.mark.parametrize(
    ("written", "read_as"),
    [("R07^Chest pain^I10~R05^Cough^I10", "Chest pain; Cough"), ("^Chest pain", "Chest pain"), ('""', "")],
)
def test_clinical_information_may_be_coded(written: str, read_as: str) -> None:
    (exam,) = one("ORC|NW|P1", segment("OBR", {2: "P1", 4: "X", 13: written})).exams
    assert exam.clinical_information == read_as


def test_of_several_times_of_an_order_the_first_counts() -> None:
    timed = one("ORC|NW|P1", "TQ1|1||||||202603021030||S", "TQ1|2||||||202603031030||R", "OBR|1|P1||X")
    assert timed.exams[0].priority is Priority.STAT
    assert timed.exams[0].requested_at_as_sent == "202603021030"


def test_order_controls_are_read_however_they_are_written() -> None:
    assert one("ORC|nw |P1|||sc", "OBR|1|P1||X").control is OrderControl.NEW


@pytest.mark.parametrize(
    ("phones", "number"),
    [
        ("^NET^Internet^a@b.org~^PRN^PH^^1^555^1234", "555 1234"),
        ("a@b.org~(555)555-0100", "(555)555-0100"),
        ("^PRN^PH^^^^^^^^^+1 555 0100", "+1 555 0100"),
        ("^PRN^PH^^^555^", ""),
    ],
)
def test_an_address_of_mail_is_no_telephone_number(phones: str, number: str) -> None:
    assert one("ORC|NW|P1", "OBR|1|P1||X", pid=f"{PID}||||||||{phones}").patient.phone == number


@pytest.mark.parametrize(
    ("fields", "emptied", "deceased"),
    [
        ({13: '""', 11: '""', 15: '""', 30: '""'}, {"phone", "address", "language"}, False),
        ({13: '""', 14: "555", 30: "n"}, set(), False),
        ({11: '""^""', 30: "Y"}, set(), True),
        ({14: '""'}, set(), None),
    ],
)
def test_an_explicit_null_takes_back_what_was_said(
    fields: dict[int, str], emptied: set[str], deceased: bool | None
) -> None:
    """HL7 2.5.1 §2.5.3: `""` deletes, an empty field says nothing."""
    pid = segment("PID", {3: "N1^^^HOSP^MR", 5: "Prüfer^Ada", **fields})
    patient = one("ORC|NW|P1", "OBR|1|P1||X", pid=pid).patient
    assert patient.emptied == emptied
    assert patient.deceased is deceased


def test_what_is_ordered_for_a_second_patient_is_not_taken_for_the_first() -> None:
    other = "PID|2||N2^^^HOSP^MR||Klein^Eva"
    with pytest.raises(Rejected) as error:
        read("ORC|NW|P1", "OBR|1|P1||X", other, "ORC|NW|P2", "OBR|1|P2||X")
    assert (error.value.condition, error.value.where) == (Condition.SEGMENT_SEQUENCE, "PID^2")
    again = "PID|2||E7^^^CLINIC~N1^^^HOSP^MR"
    assert [r.placer for r in read("ORC|NW|P1", "OBR|1|P1||X", again, "ORC|NW|P2", "OBR|1|P2||X")] == [
        "P1",
        "P2",
    ]
