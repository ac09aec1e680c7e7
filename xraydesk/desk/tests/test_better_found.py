"""The board puts a better proposal before the first one, marked, for whoever may do what it proposes."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.factories import make_site
from xraydesk.access.models import Location
from xraydesk.access.roles import Role
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.test_rearranging import MIN, page, post, proposal_of, soon
from xraydesk.journey.tests.test_better import down, tight, time_enough  # noqa: F401 - a fixture
from xraydesk.orders.models import Exam
from xraydesk.scheduling.queries import live_booking

pytestmark = pytest.mark.django_db
BETTER = "/rearrangements/better"


@pytest.fixture
def exam(time_enough: None) -> Exam:  # noqa: F811
    _, _, exam = tight(soon() - 5 * MIN)
    return exam


@pytest.mark.link
def test_a_longer_search_is_asked_for_once_and_what_it_found_is_marked(exam: Exam) -> None:
    client = signed_in(exam.site)
    address = f"/?exam={exam.accession}"
    text = page(client, address)
    assert f'data-better="{BETTER}"' in text
    assert "better found" not in text
    assert "data-better" not in page(client, f"{address}&option=2"), "somebody looks at others already"
    assert client.post(BETTER, {"proposal": proposal_of(text)}).status_code == 200
    assert live_booking(exam.pk) is None
    text = page(client, address)
    assert "better found" in text
    assert "data-better" not in text
    assert "better found" not in page(client, f"{address}&option=2")
    post(client, proposal=proposal_of(text))
    assert live_booking(exam.pk) is not None


def test_a_stranger_another_site_and_another_building_search_nothing(exam: Exam) -> None:
    site = exam.site
    form = proposal_of(page(signed_in(site), f"/?exam={exam.accession}"))
    Location.objects.create(site=site, code="EAST", name="East")
    for client in (
        signed_in(site, Role.PORTER),
        signed_in(site, Role.TECHNOLOGIST),
        signed_in(make_site("U")),
        signed_in(site, locations=("EAST",)),
    ):
        assert client.post(BETTER, {"proposal": form}).status_code == 404
    assert Client().post(BETTER, {"proposal": form}).status_code == 302
    client = signed_in(site)
    assert client.get(BETTER).status_code == 405
    assert client.post(BETTER, {"proposal": "made up"}).status_code == 204
    assert client.post(BETTER, {"proposal": form[:-2]}).status_code == 204
    assert "better found" not in page(client, f"/?exam={exam.accession}")


@pytest.mark.link
def test_something_happened_is_bettered_on_its_own_page(time_enough: None) -> None:  # noqa: F811
    site, _, _ = down(soon() - 5 * MIN)
    client = signed_in(site)
    address = "/repair?room=XR1"
    text = page(client, address)
    assert f'data-better="{BETTER}"' in text
    assert "better found" not in text
    form = proposal_of(text)
    assert signed_in(make_site("U")).post(BETTER, {"proposal": form}).status_code == 404
    assert client.post(BETTER, {"proposal": form}).status_code == 200
    text = page(client, address)
    assert "better found" in text
    assert "data-better" not in text
    assert "better found" not in page(client, f"{address}&option=2")
