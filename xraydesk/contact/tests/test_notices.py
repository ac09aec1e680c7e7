"""Notices to patients: their words, when they are due, and the small machine they go through."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from tests.factories import AT, make_exam, make_site
from xraydesk.contact.actions import NoticeIsOver, give_notice, mark_said, take_back
from xraydesk.contact.models import Notice
from xraydesk.contact.rules import UNDO_SECONDS, due_after, moved_text
from xraydesk.contact.states import TRANSITIONS, NoticeAction, NoticeState

ZONE = ZoneInfo("America/New_York")


def test_a_notice_waits_out_the_time_in_which_it_can_be_undone() -> None:
    assert due_after(AT) - AT == timedelta(seconds=UNDO_SECONDS)


def test_the_words_say_the_new_time_first_and_the_old_one_after() -> None:
    before, after = datetime(2026, 3, 2, 10, 0, tzinfo=ZONE), datetime(2026, 3, 2, 10, 25, tzinfo=ZONE)
    text = moved_text(before=before, after=after, place="Room 2, Main building")
    assert text.startswith(
        "Your x-ray has a new time: 10:25 on Monday, March 2, Room 2, Main building. It was 10:00 before."
    )
    tomorrow = moved_text(before=before, after=after + timedelta(days=1), place="Room 2")
    assert "10:25 on Tuesday, March 3" in tomorrow
    assert "It was Monday 10:00 before." in tomorrow


@pytest.mark.django_db
@pytest.mark.parametrize(("state", "action"), list(product(NoticeState, NoticeAction)))
def test_every_pair_of_state_and_action(state: NoticeState, action: NoticeAction) -> None:
    exam = make_exam(make_site())
    notice = give_notice(exam=exam, text="Come later.", at=AT, due_at=AT)
    Notice.objects.filter(pk=notice.pk).update(state=state)
    legal = (state, action) in TRANSITIONS
    assert legal == (state is NoticeState.WAITING)
    if action is NoticeAction.TAKE_BACK:
        assert take_back(exam_id=exam.pk, at=AT, by="ada") == int(legal)
    elif legal:
        mark_said(notice, at=AT, by="ada")
    else:
        with pytest.raises(NoticeIsOver, match=state):
            mark_said(notice, at=AT, by="ada")
    expected = TRANSITIONS.get((state, action), state)
    assert Notice.objects.get(pk=notice.pk).state == expected


@pytest.mark.django_db
def test_only_the_newest_notice_about_an_exam_waits() -> None:
    exam = make_exam(make_site())
    for text in ("first", "second"):
        give_notice(exam=exam, text=text, at=AT, due_at=AT)
    assert list(Notice.objects.filter(state="waiting").values_list("text", flat=True)) == ["second"]
