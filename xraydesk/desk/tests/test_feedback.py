"""The report and readers' words on the pages: who sees what, and one click from reader to technologist."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_exam, make_site
from xraydesk.access.models import RecordRead, Site
from xraydesk.access.roles import Role
from xraydesk.desk.tests.browser import Desk
from xraydesk.desk.tests.people import signed_in
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey.feedback import give_feedback
from xraydesk.journey.report import receive_report
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.quality.models import Feedback
from xraydesk.quality.reasons import FeedbackReason
from xraydesk.results.reporting import SaidExam, SaidReport
from xraydesk.results.states import ReportAction

TINA = f"user:{Role.TECHNOLOGIST}-T"


def performed(site: Site, by: str = TINA) -> Exam:
    exam = make_exam(site)
    at = clock.now()
    step = PerformedStep.objects.create(
        site=site,
        sop_instance_uid=new_uid(),
        state=StepState.COMPLETED,
        started_at=at,
        ended_at=at,
        by=by,
    )
    StepExam.objects.create(step=step, exam=exam)
    return exam


def report(exam: Exam, action: ReportAction, text: str, impression: str = "") -> None:
    said = SaidReport(
        SaidExam(accession=exam.accession), action, text, impression, radiologist_name="Reader^Rita"
    )
    receive_report(site=exam.site, report=said, link="RIS", at=clock.now(), by="link:RIS")


def say(exam: Exam) -> Feedback:
    return give_feedback(
        exam_id=exam.pk, view="PA", reason=FeedbackReason.CUT_OFF, note="left", at=clock.now(), by="user:rita"
    )


def page(browser: Client, address: str) -> str:
    response = browser.get(address)
    assert response.status_code == 200
    return response.content.decode()


def exam_page(exam: Exam, role: Role) -> str:
    return page(signed_in(exam.site, role), reverse("exam", args=[exam.accession]))


@pytest.mark.django_db
def test_a_preliminary_report_says_so_and_the_exam_stays_ended() -> None:
    exam = performed(make_site())
    assert "Not read yet." in exam_page(exam, Role.RADIOLOGIST)
    report(exam, ReportAction.PRELIMINARY, "A nodule?")
    html = exam_page(exam, Role.RADIOLOGIST)
    assert "Preliminary: no radiologist has signed it yet" in html
    assert "A nodule?" in html
    assert "Stages: ended" in html
    assert "preliminary report" in html


@pytest.mark.django_db
def test_a_report_shows_its_words_its_reader_and_its_earlier_versions() -> None:
    exam = performed(make_site())
    report(exam, ReportAction.FINAL, "Clear <lungs>.\nNo effusion.", "Normal.")
    report(exam, ReportAction.CORRECT, "A nodule.")
    html = exam_page(exam, Role.COORDINATOR)
    for words in (
        "A nodule.",
        "Rita Reader",
        "1 earlier version",
        "Clear &lt;lungs&gt;.<br>No effusion.",
        "Normal.",
    ):
        assert words in html
    assert "Stages: read" in html
    report(exam, ReportAction.CANCEL, "")
    html = exam_page(exam, Role.COORDINATOR)
    assert "This report was taken back" in html
    assert "2 earlier versions" in html
    assert "Stages: ended" in html


@pytest.mark.django_db
def test_a_role_without_results_sees_that_it_was_read_and_not_what() -> None:
    exam = performed(make_site())
    report(exam, ReportAction.FINAL, "Clear lungs.", "Normal.")
    report(exam, ReportAction.CORRECT, "A nodule.")
    html = exam_page(exam, Role.TECHNOLOGIST)
    assert "Corrected" in html
    for secret in ("Clear lungs", "Normal.", "A nodule"):
        assert secret not in html
    assert RecordRead.objects.filter(accession=exam.accession, what="exam").count() == 1


@pytest.mark.django_db
def test_one_click_of_a_reader_reaches_the_technologist_and_can_be_taken_back() -> None:
    exam = performed(make_site())
    reader, technologist = signed_in(exam.site, Role.RADIOLOGIST), signed_in(exam.site, Role.TECHNOLOGIST)
    html = page(reader, reverse("exam", args=[exam.accession]))
    assert (
        html.count(f'action="{reverse("feedback-give", args=[exam.accession])}"') == 4
    )  # PA, LL, whole, note
    give = reverse("feedback-give", args=[exam.accession])
    answer = reader.post(give, {"view": "PA", "reason": "anatomy cut off"}, follow=True)
    said = Feedback.objects.get()
    assert "PA: anatomy cut off. The technologist is told." in answer.content.decode()
    assert reverse("feedback-withdraw", args=[said.pk]) in answer.content.decode()
    html = page(technologist, reverse("feedback"))
    assert "1 reader&#x27;s word for you" in html or "1 reader's word for you" in html
    assert "anatomy cut off" in html
    assert "anatomy cut off" in page(technologist, reverse("exam", args=[exam.accession]))
    technologist.post(reverse("feedback-seen", args=[said.pk]))
    html = page(technologist, reverse("feedback"))
    assert "What readers say of images" in html
    assert "seen " in html
    reader.post(reverse("feedback-withdraw", args=[said.pk]))
    assert "anatomy cut off" not in page(technologist, reverse("feedback"))


@pytest.mark.django_db
def test_what_is_no_word_is_refused_and_keeps_nothing() -> None:
    exam = performed(make_site())
    reader = signed_in(exam.site, Role.RADIOLOGIST)
    give = reverse("feedback-give", args=[exam.accession])
    assert "Choose one of the words" in reader.post(give, {"reason": "ugly"}, follow=True).content.decode()
    unread = make_exam(exam.site)
    give = reverse("feedback-give", args=[unread.accession])
    assert "was not performed" in reader.post(give, {"reason": "motion"}, follow=True).content.decode()
    assert not Feedback.objects.exists()
    assert 'id="words"' not in page(reader, reverse("exam", args=[unread.accession]))


@pytest.mark.django_db
def test_words_for_a_colleague_are_on_the_list_of_all_and_are_not_ones_own_to_end() -> None:
    exam = performed(make_site(), by="user:somebody")
    said = say(exam)
    technologist = signed_in(exam.site, Role.TECHNOLOGIST)
    assert "No reader has said a word on your images" in page(technologist, reverse("feedback"))
    html = page(technologist, reverse("feedback") + "?show=all")
    assert "anatomy cut off" in html
    seen = reverse("feedback-seen", args=[said.pk])
    assert seen not in html
    assert "only they can say" in technologist.post(seen, follow=True).content.decode()
    assert Feedback.objects.get().seen_at is None
    other = signed_in(exam.site, Role.RADIOLOGIST)
    withdraw = reverse("feedback-withdraw", args=[said.pk])
    assert "Only the reader" in other.post(withdraw, follow=True).content.decode()
    assert Feedback.objects.get().withdrawn_at is None


@pytest.mark.django_db
def test_the_list_names_no_patient_and_logs_no_read() -> None:
    exam = performed(make_site())
    say(exam)
    Patient.objects.update(family="Unmistakable")
    html = page(signed_in(exam.site, Role.MANAGER), reverse("feedback"))
    assert "anatomy cut off" in html
    assert "Unmistakable" not in html
    assert reverse("exam", args=[exam.accession]) not in html


@pytest.mark.django_db
@pytest.mark.parametrize("stranger", ["nobody", "porter", "another site"])
def test_a_stranger_neither_sees_nor_says_nor_ends_a_word(stranger: str) -> None:
    exam = performed(make_site())
    said = say(exam)
    pages = [reverse("feedback")]
    posts = [
        reverse("feedback-give", args=[exam.accession]),
        reverse("feedback-seen", args=[said.pk]),
        reverse("feedback-withdraw", args=[said.pk]),
    ]
    if stranger == "nobody":
        browser, wanted = Client(), 302
    elif stranger == "porter":
        browser, wanted = signed_in(exam.site, Role.PORTER), 404
    else:
        other = make_site("U")
        browser, wanted = signed_in(other, Role.RADIOLOGIST), 404
        assert signed_in(other, Role.COORDINATOR).post(posts[1]).status_code == 404
        assert "anatomy cut off" not in page(browser, reverse("feedback") + "?show=all")
        pages = []
    for address in pages:
        assert browser.get(address).status_code == wanted
    for address in posts:
        assert browser.post(address, {"view": "PA", "reason": "motion"}).status_code == wanted
    said.refresh_from_db()
    assert (said.seen_at, said.withdrawn_at, Feedback.objects.count()) == (None, None, 1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "what"),
    [
        (Role.TECHNOLOGIST, "feedback-give"),
        (Role.COORDINATOR, "feedback-give"),
        (Role.TECHNOLOGIST, "feedback-withdraw"),
        (Role.RADIOLOGIST, "feedback-seen"),
        (Role.MANAGER, "feedback-seen"),
    ],
)
def test_each_role_does_its_own_part_alone(role: Role, what: str) -> None:
    exam = performed(make_site())
    said = say(exam)
    argument = exam.accession if what == "feedback-give" else said.pk
    browser = signed_in(exam.site, role)
    assert browser.post(reverse(what, args=[argument]), {"reason": "motion"}).status_code == 404
    assert Feedback.objects.filter(seen_at=None, withdrawn_at=None).count() == 1


@pytest.mark.link
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scripts", [True, False])
def test_a_reader_says_a_word_in_a_browser_with_one_click_and_undoes_it(desk: Desk, scripts: bool) -> None:
    exam = performed(make_site())
    report(exam, ReportAction.PRELIMINARY, "The lungs are clear.\nNo effusion.", "Normal chest.")
    page = desk.page(exam.site, width=390, role=Role.RADIOLOGIST, scripts=scripts)
    page.goto(desk.address + reverse("exam", args=[exam.accession]))
    page.click("form[aria-label=PA] button:has-text('Motion')")
    page.wait_for_selector("text=PA: motion. The technologist is told.")
    assert Feedback.objects.get().reason == FeedbackReason.MOTION
    assert page.is_disabled("form[aria-label=PA] button:has-text('Motion')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("text=Undo")
    page.wait_for_selector("text=It was taken back.")
    assert Feedback.objects.get().withdrawn_at is not None
