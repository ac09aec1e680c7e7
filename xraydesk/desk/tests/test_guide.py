"""What a newcomer sees, and that it can be closed for good."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_site
from xraydesk.access.models import User
from xraydesk.access.roles import Role
from xraydesk.desk.tests.people import signed_in

pytestmark = pytest.mark.django_db

LINE = "New here?"


@pytest.mark.parametrize("role", [r for r in Role if r is not Role.SYSTEM])
def test_a_newcomer_is_led_to_the_guide_until_they_close_it_for_good(role: Role) -> None:
    browser = signed_in(make_site(), role)
    assert LINE in browser.get(reverse("intended-use")).content.decode()
    page = browser.get(reverse("guide")).content.decode()
    assert "What you are looking at" in page
    assert ("Messages" in page) == (role in (Role.COORDINATOR, Role.ADMINISTRATOR))
    closed = browser.post(reverse("guide-close"), {"back": reverse("guide")})
    assert closed["Location"] == reverse("guide")
    again = signed_in(User.objects.get().memberships.get().site, role)
    page = again.get(reverse("guide")).content.decode()
    assert LINE not in page
    assert "do not show this again" not in page


def test_only_a_demonstration_calls_itself_one() -> None:
    site = make_site()
    assert "This is a demonstration" not in signed_in(site).get(reverse("guide")).content.decode()
    site.simulated = True
    site.save()
    assert "This is a demonstration" in signed_in(site).get(reverse("guide")).content.decode()


def test_a_stranger_is_led_to_the_sign_in() -> None:
    assert Client().get(reverse("guide"))["Location"].startswith(reverse("sign-in"))
    assert Client().post(reverse("guide-close"))["Location"].startswith(reverse("sign-in"))
