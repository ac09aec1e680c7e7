"""A result that must be told: who is called, to whom it passes, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.factories import AT, load_demo_site, make_exam
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey import tell
from xraydesk.journey.errors import UnknownExam, WrongState
from xraydesk.orders.models import Exam
from xraydesk.results.models import Call, Finding, Report
from xraydesk.results.states import CallOutcome, CallWay, Category, FindingState

pytestmark = pytest.mark.django_db


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


@pytest.fixture
def exam() -> Exam:
    site = load_demo_site()
    exam = make_exam(site)
    order = exam.order
    order.provider_id, order.provider_name, order.ward = "7001", "Okafor, Ngozi", "W3"
    order.save()
    return exam


def report(
    exam: Exam, text: str, category: int | None = None, state: str = "final", version: int = 1
) -> Report:
    kept, _ = Report.objects.update_or_create(
        site=exam.site,
        exam=exam,
        defaults={
            "state": state,
            "version": version,
            "text": text,
            "category": category,
            "said_at": AT,
            "changed_at": AT,
        },
    )
    return kept


def call(finding: Finding, outcome: CallOutcome, at: Any = AT, **more: Any) -> Call:
    given: dict[str, Any] = {
        "recipient": "Dr Okafor",
        "role": "ordering provider",
        "reached_at": "ext. 7001",
        "way": CallWay.PHONE,
        "read_back": "",
        "note": "",
    }
    return tell.record_call(finding_id=finding.pk, outcome=outcome, at=at, by="user:reader", **(given | more))


def open_items() -> dict[str, str]:
    return {item.kind: item.text for item in Item.objects.filter(closed_at=None)}


def test_a_flagged_result_names_who_is_called_and_until_when(exam: Exam) -> None:
    (finding,) = tell.look_for_findings(
        report=report(exam, "Tension pneumothorax", 1), at=AT, by="link:REPORTS"
    )
    assert (finding.state, finding.due_at) == (FindingState.OPEN, AT + minutes(60))
    item = Item.objects.get(kind=ItemKind.RESULT_TO_TELL)
    assert item.until == finding.due_at
    assert "Call Okafor, Ngozi, ordering provider, ext. 7001." in item.text
    assert "to be read back by" in item.text
    assert item.data == {"finding": finding.pk}
    assert tell.look_for_findings(report=report(exam, "Tension pneumothorax", 1), at=AT, by="x") == []


def test_no_answer_passes_it_to_another_person_and_a_read_back_ends_it(exam: Exam) -> None:
    (finding,) = tell.look_for_findings(report=report(exam, "Free air", 1), at=AT, by="link:REPORTS")
    call(finding, CallOutcome.NO_ANSWER, AT + minutes(2))
    finding.refresh_from_db()
    person = tell.person_now(finding)
    assert person is not None
    assert (person.role, person.name) == ("covering provider", "Dr Folasade Adeyemi")
    assert "Dr Folasade Adeyemi" in open_items()[ItemKind.RESULT_TO_TELL]
    assert finding.turn_until == AT + minutes(17)
    call(finding, CallOutcome.TOLD, AT + minutes(3), recipient="Dr Folasade Adeyemi")
    assert ItemKind.RESULT_TO_TELL in open_items()
    call(
        finding,
        CallOutcome.READ_BACK,
        AT + minutes(4),
        recipient="Dr Folasade Adeyemi",
        read_back="free air under the diaphragm",
    )
    finding.refresh_from_db()
    assert (finding.state, finding.ended_at) == (FindingState.READ_BACK, AT + minutes(4))
    assert open_items() == {}
    told = Call.objects.order_by("id").values_list("outcome", flat=True)
    assert list(told) == ["no answer", "told, not read back", "read back"]
    kinds = list(Fact.objects.filter(accession=exam.accession).order_by("id").values_list("kind", flat=True))
    assert kinds == [
        FactKind.FINDING_OPENED,
        FactKind.FINDING_CALLED,
        FactKind.FINDING_ESCALATED,
        FactKind.FINDING_CALLED,
        FactKind.FINDING_READ_BACK,
    ]


def test_who_does_not_answer_in_time_is_passed_over_once_a_turn(exam: Exam) -> None:
    (finding,) = tell.look_for_findings(report=report(exam, "Free air", 1), at=AT, by="link:REPORTS")
    assert tell.pass_on_late(site=exam.site, at=AT + minutes(14)) == 0
    assert tell.pass_on_late(site=exam.site, at=AT + minutes(15)) == 1
    assert tell.pass_on_late(site=exam.site, at=AT + minutes(16)) == 0
    roles = []
    for count in range(1, 6):
        finding.refresh_from_db()
        person = tell.person_now(finding)
        assert person is not None
        roles.append(person.role)
        tell.pass_on_late(site=exam.site, at=AT + minutes(15 + 16 * count))
    assert roles == [
        "covering provider",
        "covering provider",
        "unit",
        "patient's team",
        "ordering provider",
    ]


def test_listed_words_ask_a_person_who_confirms_or_says_no(exam: Exam) -> None:
    (finding,) = tell.look_for_findings(report=report(exam, "A nodule."), at=AT, by="link:REPORTS")
    assert list(open_items()) == [ItemKind.RESULT_TO_CONFIRM]
    tell.dismiss_finding(finding_id=finding.pk, at=AT, by="user:reader")
    assert open_items() == {}
    opened = tell.confirm_finding(
        finding_id=finding.pk, at=AT + minutes(5), by="user:reader", category=Category.HOURS
    )
    assert opened.due_at == AT + minutes(5 + 720)
    assert list(open_items()) == [ItemKind.RESULT_TO_TELL]
    with pytest.raises(WrongState, match="is open"):
        tell.dismiss_finding(finding_id=finding.pk, at=AT, by="user:reader")
    with pytest.raises(WrongState):
        tell.confirm_finding(finding_id=finding.pk, at=AT, by="user:reader")


def test_a_correction_after_a_read_back_asks_whether_they_must_hear(exam: Exam) -> None:
    (finding,) = tell.look_for_findings(report=report(exam, "Free air", 1), at=AT, by="link:REPORTS")
    call(finding, CallOutcome.READ_BACK, read_back="free air")
    corrected = report(exam, "No free air, an artefact.", None, "corrected", 2)
    (asked,) = tell.look_for_findings(report=corrected, at=AT, by="link:REPORTS")
    assert asked.state == FindingState.SUSPECTED
    assert "was corrected after somebody had been told" in open_items()[ItemKind.RESULT_TO_CONFIRM]


@pytest.mark.parametrize(
    ("outcome", "more", "word"),
    [
        (CallOutcome.TOLD, {"recipient": "  "}, "whom you called"),
        (CallOutcome.READ_BACK, {"read_back": " "}, "what they read back"),
    ],
)
def test_a_call_without_a_person_or_a_read_back_without_words_is_not_kept(
    exam: Exam, outcome: CallOutcome, more: dict[str, str], word: str
) -> None:
    (finding,) = tell.look_for_findings(report=report(exam, "Free air", 1), at=AT, by="link:REPORTS")
    with pytest.raises(tell.CallIncomplete, match=word):
        call(finding, outcome, **more)
    assert not Call.objects.exists()


def test_a_suspected_finding_takes_no_calls(exam: Exam) -> None:
    (finding,) = tell.look_for_findings(report=report(exam, "A nodule."), at=AT, by="link:REPORTS")
    with pytest.raises(WrongState):
        call(finding, CallOutcome.NO_ANSWER)


def test_a_radiologist_flags_a_result_by_hand_once(exam: Exam) -> None:
    def flag(words: str) -> Finding:
        return tell.flag_result(
            exam_id=exam.pk, category=Category.MINUTES, words=words, at=AT, by="user:reader"
        )

    flag("Tube in the right main bronchus")
    with pytest.raises(WrongState, match="already"):
        flag(" Tube in the  right main bronchus ")
    flag("Rib fractures")
    assert Finding.objects.filter(state=FindingState.OPEN).count() == 2
    with pytest.raises(WrongState, match="few words"):
        flag(" ")


def test_a_single_person_is_not_passed_over_and_nobody_is_said_plainly(exam: Exam) -> None:
    order = exam.order
    order.provider_id, order.provider_name, order.ward = "", "", ""
    order.save()
    (finding,) = tell.look_for_findings(report=report(exam, "Free air", 1), at=AT, by="link:REPORTS")
    assert "Find out whom to call" in open_items()[ItemKind.RESULT_TO_TELL]
    assert tell.person_now(finding) is None
    call(finding, CallOutcome.NO_ANSWER)
    finding.refresh_from_db()
    assert finding.turn == 0


@pytest.mark.parametrize(
    "step",
    [
        lambda: tell.confirm_finding(finding_id=0, at=AT, by="x"),
        lambda: tell.dismiss_finding(finding_id=0, at=AT, by="x"),
    ],
)
def test_a_finding_that_is_not_there_is_refused(step: Callable[[], object]) -> None:
    with pytest.raises(tell.UnknownFinding):
        step()
    with pytest.raises(UnknownExam):
        tell.flag_result(exam_id=0, category=Category.DAYS, words="x", at=AT, by="x")
