from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.links.dicom.admission import (
    APPLICATION_CONTEXT,
    PLACES_OF_ONE_PEER_MAX,
    Caller,
    Listening,
    Place,
    Verdict,
    judge,
    make_room,
)
from xraydesk.siteplan.link_plan import LinkPlan

ECHO, STORE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
HERE = Listening(frozenset({"XR1"}))
IAN = "1.2.840.10008.5.1.4.33"
ASKING = Listening(frozenset({"XR1"}), may_tell={"PACS": frozenset({COMMITMENT})})
ANNOUNCED = Listening(frozenset({"XR1"}), may_tell={"PACS": frozenset({COMMITMENT, IAN})})
CLEAR = (LinkPlan("C", "dicom", "XR1", "", insecure=True, peers=("10.0.0.0/24",)),)


@pytest.mark.parametrize(
    ("caller", "listening", "verdict"),
    [
        (Caller("XR1", "127.0.0.1", APPLICATION_CONTEXT, frozenset({STORE})), HERE, Verdict.TAKEN),
        (Caller("OTHER", "127.0.0.1", APPLICATION_CONTEXT, frozenset({ECHO})), HERE, Verdict.TAKEN),
        (Caller("OTHER", "127.0.0.1", APPLICATION_CONTEXT, frozenset({ECHO, STORE})), HERE, Verdict.CALLING_UNKNOWN),
        (Caller("XR1", "127.0.0.1", APPLICATION_CONTEXT, frozenset({STORE})), None, Verdict.CALLED_UNKNOWN),
        (Caller("XR1", "127.0.0.1", "1.2.3", frozenset({STORE})), HERE, Verdict.CONTEXT_NAME),
        (Caller("PACS", "127.0.0.1", APPLICATION_CONTEXT, frozenset({ECHO, IAN})), ANNOUNCED, Verdict.TAKEN),
        (Caller("PACS", "127.0.0.1", APPLICATION_CONTEXT, frozenset({IAN, STORE})), ANNOUNCED, Verdict.CALLING_UNKNOWN),
        (Caller("XR1", "10.0.9.9", APPLICATION_CONTEXT, frozenset({ECHO})),
         Listening(frozenset({"XR1"}), CLEAR), Verdict.CALLING_UNKNOWN),
        (Caller("XR1", "10.0.0.1", APPLICATION_CONTEXT, frozenset({STORE})),
         Listening(frozenset({"XR1"}), CLEAR), Verdict.TAKEN),
        (Caller("PACS", "127.0.0.1", APPLICATION_CONTEXT, frozenset({ECHO, COMMITMENT})), ASKING, Verdict.TAKEN),
        (Caller("PACS", "127.0.0.1", APPLICATION_CONTEXT, frozenset({COMMITMENT, STORE})), ASKING,
         Verdict.CALLING_UNKNOWN),
        (Caller("OTHER", "127.0.0.1", APPLICATION_CONTEXT, frozenset({COMMITMENT})), ASKING,
         Verdict.CALLING_UNKNOWN),
    ],
)  # fmt: skip
def test_a_modality_is_taken_and_others_may_only_verify(caller, listening, verdict):
    assert judge(caller, listening) is verdict


def test_a_modality_takes_the_place_of_whoever_has_been_idle_the_longest():
    places = [Place(1, True, 5.0), Place(2, False, 9.0), Place(3, True, None)]
    assert make_room(places, is_known=True, places_max=3, places_of_others_max=1) == 2
    assert make_room(places[::2], is_known=True, places_max=2, places_of_others_max=1) == 1
    assert make_room(places[2:], is_known=True, places_max=1, places_of_others_max=1) is None
    assert make_room(places, is_known=False, places_max=9, places_of_others_max=1) == 2
    assert make_room(places, is_known=False, places_max=9, places_of_others_max=2) == -1


def test_one_peer_holds_so_many_places_and_then_gives_its_own():
    peer, other = ("XR1", "10.0.0.5"), ("XR2", "10.0.0.6")
    held = [Place(key, True, float(key), peer) for key in range(1, PLACES_OF_ONE_PEER_MAX + 1)]
    places = [Place(99, False, 0.0, other), *held]
    room = {"is_known": True, "places_max": 200, "places_of_others_max": 20}
    assert make_room(places, peer=peer, **room) == 1
    assert make_room(places, peer=other, **room) == -1
    assert make_room(places, peer=("XR1", "10.0.0.7"), **room) == -1
    assert make_room([replace(one, idle_since=None) for one in held], peer=peer, **room) is None


_PLACES = st.lists(st.tuples(st.booleans(), st.none() | st.floats(0, 100)), max_size=12).map(
    lambda rows: [Place(key, known, since) for key, (known, since) in enumerate(rows)]
)


@given(_PLACES, st.booleans())
def test_nobody_at_work_gives_way_and_no_modality_to_a_stranger(places, is_known):
    key = make_room(places, is_known=is_known, places_max=8, places_of_others_max=2)
    if key is not None and key >= 0:
        assert places[key].idle_since is not None
        assert is_known or not places[key].is_known
    if key == -1:
        assert len(places) < 8
    if is_known and any(place.idle_since is not None for place in places):
        assert key is not None


@pytest.mark.parametrize(
    ("ae_title", "address", "welcome"),
    [
        ("XR1", "10.0.0.7", True),
        ("XR1", "10.0.1.7", False),
        ("XR2", "10.0.0.7", False),
        ("XR1", "not an address", False),
    ],
)
def test_in_clear_title_and_address_must_both_be_named(ae_title: str, address: str, welcome: bool) -> None:
    """Row 59."""
    caller = Caller(ae_title, address, APPLICATION_CONTEXT, frozenset())
    assert Listening(frozenset(), CLEAR).welcomes(caller) is welcome
    assert Listening(frozenset()).welcomes(caller)
    secured = replace(CLEAR[0], insecure=False)
    assert not Listening(frozenset(), (secured,)).welcomes(caller)
