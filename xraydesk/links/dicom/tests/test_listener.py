from __future__ import annotations

import pytest

from tests.factories import make_site
from xraydesk.links.dicom import echo
from xraydesk.links.dicom.tests.peers import association_request, listening, read_pdu

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]
VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture
def desk(tmp_path):
    make_site()
    with listening(tmp_path, [echo.SERVICE]) as running:
        yield running


def test_a_modality_finds_the_desk_there(desk):
    association = desk.associate([VERIFICATION])
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()
    assert association.is_released


def test_another_ae_title_than_a_sites_is_not_here(desk):
    with desk.raw() as peer:
        peer.sendall(association_request(called="NOBODY"))
        assert read_pdu(peer) == (3, b"\x00\x01\x01\x07")
