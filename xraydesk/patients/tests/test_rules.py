"""Who is meant by a message, what it changes, and who is easily taken for whom."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.patients import rules
from xraydesk.patients.demographics import Demographics, Identifier, Name
from xraydesk.patients.rules import KnownIdentifier, Match, Person, identifiers_that_count, match, what_lacks

MR = Identifier("N1", "HOSP", "MR")
PASSPORT = Identifier("777", "PASS", "PPN")
BORN = date(1969, 5, 12)


def test_numbers_without_an_issuer_get_the_links() -> None:
    given_ = [Identifier(" N1 ", "", "MR"), Identifier("N1", "HOSP", "PI")]
    assert rules.identifiers_that_count(given_, authority="HOSP") == (Identifier("N1", "HOSP", "MR"),)


@pytest.mark.parametrize(
    "one",
    [
        Identifier("", "HOSP"),
        Identifier("  ", "HOSP"),
        Identifier("9", "HOSP", "AN"),
        Identifier("9" * 65, "HOSP"),
    ],
    ids=["empty", "blank", "account", "too long"],
)
def test_numbers_that_name_no_person_do_not_count(one: Identifier) -> None:
    assert rules.identifiers_that_count([one], authority="HOSP") == ()


@pytest.mark.parametrize(
    ("numbers", "lacks"),
    [
        ((Identifier("9" * 400, "HOSP", "MR"),), "has a number of more than 64 characters"),
        ((Identifier("V1", "HOSP", "VN"),), "has only numbers of accounts, visits or families"),
        ((Identifier(" ", "HOSP", "MR"),), "has no number"),
        ((), "has no number"),
    ],
)
def test_it_is_told_what_is_wrong_with_numbers_that_find_nobody(
    numbers: tuple[Identifier, ...], lacks: str
) -> None:
    assert identifiers_that_count(numbers, authority="HOSP") == ()
    assert what_lacks(numbers).startswith(lacks)


def test_nobody_is_known_by_new_numbers() -> None:
    assert match([MR], []) == rules.Matching(Match.NONE, None, (MR,))


def test_one_patient_is_known_and_the_other_number_is_added() -> None:
    assert match([MR, PASSPORT], [KnownIdentifier("N1", "HOSP", 5)]) == rules.Matching(
        Match.ONE, 5, (PASSPORT,)
    )


def test_the_same_number_of_another_issuer_is_somebody_else() -> None:
    assert match([MR], [KnownIdentifier("N1", "OTHER", 5)]).match is Match.NONE


def test_numbers_of_two_patients_are_a_conflict() -> None:
    known = [KnownIdentifier("N1", "HOSP", 5), KnownIdentifier("777", "PASS", 6)]
    assert match([MR, PASSPORT], known) == rules.Matching(Match.CONFLICT)


_identifiers = st.builds(Identifier, st.sampled_from("abc"), st.sampled_from(["X", "Y"]))


@given(
    st.lists(_identifiers, max_size=5, unique=True),
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from(["X", "Y"])), st.integers(1, 3)),
)
def test_matching_never_invents_a_patient(
    wanted: list[Identifier], owners: dict[tuple[str, str], int]
) -> None:
    known = [KnownIdentifier(value, authority, key) for (value, authority), key in owners.items()]
    found = match(wanted, known)
    hit = {owners[i.value, i.authority] for i in wanted if (i.value, i.authority) in owners}
    assert found.match is (Match.CONFLICT if len(hit) > 1 else Match.ONE if hit else Match.NONE)
    assert hit == {found.patient_id} or found.match is not Match.ONE


@pytest.mark.parametrize(("type_", "place"), [("MR", 0), ("", 4), ("PPN", 5)])
def test_the_record_number_comes_first(type_: str, place: int) -> None:
    assert rules.identifier_sort(type_) == place


def test_what_is_said_becomes_the_values_of_the_row() -> None:
    said = Demographics(
        identifiers=(),
        name=Name("Prüfer", "Ada", prefix="Dr"),
        birth_date=BORN,
        sex="A",
        phone="5" * 70,
        pregnancy="yes",
        deceased=True,
    )
    assert rules.facts_said(said) == {
        "family": "Prüfer",
        "given": "Ada",
        "middle": "",
        "prefix": "Dr",
        "suffix": "",
        "name_folded": "prufer ada",
        "birth_date": BORN,
        "sex": "O",
        "phone": "5" * 64,
        "pregnancy": "yes",
        "deceased": True,
    }


def test_nothing_said_says_nothing() -> None:
    assert rules.facts_said(Demographics(identifiers=(), sex="X", pregnancy="maybe")) == {}


def test_what_is_deleted_is_emptied_and_who_is_not_dead_is_so_said() -> None:
    said = Demographics(identifiers=(), deceased=False, emptied=frozenset({"phone", "language"}))
    assert rules.facts_said(said) == {"deceased": False, "phone": "", "language": ""}
    assert rules.additions({"phone": "1", "deceased": True}, rules.facts_said(said)) == {}
    assert rules.additions({"phone": "", "deceased": False}, rules.facts_said(said)) == {}


def test_changes_are_what_differs() -> None:
    assert rules.changes({"sex": "F", "phone": "1"}, {"sex": "F", "phone": "2"}) == {"phone": "2"}


def test_additions_fill_gaps_and_replace_nothing() -> None:
    said = {"family": "Klein", "given": "Ada", "name_folded": "klein ada", "phone": "2", "sex": "F"}
    known = {"family": "Prüfer", "given": "", "name_folded": "prufer", "phone": "", "sex": "M"}
    assert rules.additions(known, said) == {"phone": "2"}
    assert rules.additions({"phone": "1", "sex": ""}, said)["family"] == "Klein"


@pytest.mark.parametrize(
    ("now", "said", "other"),
    [
        ({"birth_date": BORN}, {"birth_date": date(1970, 1, 1)}, True),
        ({"birth_date": BORN, "family": "Prüfer"}, {"birth_date": BORN, "family": "PRUFER"}, False),
        ({"birth_date": None, "family": "Prüfer"}, {"birth_date": BORN, "family": "Klein"}, True),
        ({"family": ""}, {"family": "Klein"}, False),
        ({}, {}, False),
    ],
)
def test_a_typed_number_of_somebody_else_is_noticed(
    now: dict[str, object], said: dict[str, object], other: bool
) -> None:
    assert rules.is_somebody_else(now, said) is other


def person(family: str, given: str, born: date | None = None, key: int = 1) -> Person:
    return Person(key, family, given, born)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (person("Miller", "Anna"), person("Müller", "Anna"), True),
        (person("Rossi", "Paolo"), person("ROSSI", "Paolo"), True),
        (person("Rossi", "Paolo"), person("Rossi", "Paola"), True),
        (person("Rossi", "Paolo", BORN), person("Rossi", "Zoe", BORN), True),
        (person("Rossi", "Paolo", BORN), person("Rossi", "Zoe", date(2000, 1, 1)), False),
        (person("Rossi", "Marta"), person("Rossi", "Matra"), True),
        (person("Hansen", "Ole"), person("Hanssen", "Ole"), True),
        (person("Hansen", "Ole"), person("Hansen", "Ole-Kristian"), False),
        (person("Li", "Wei"), person("Le", "Wei"), False),
        (person("Rossi", "Paolo"), person("Verdi", "Paolo"), False),
        (person("", "Paolo"), person("", "Paolo"), False),
        (person("Rossi", ""), person("", ""), False),
    ],
)
def test_who_is_easily_taken_for_whom(one: Person, other: Person, alike: bool) -> None:
    other = Person(2, other.family, other.given, other.birth_date)
    assert rules.look_alike(one, other) is alike
    assert rules.look_alike(other, one) is alike


def test_nobody_is_their_own_look_alike() -> None:
    assert not rules.look_alike(person("Rossi", "Paolo"), person("Rossi", "Paolo"))


def test_look_alikes_of_a_day_are_found_for_both() -> None:
    people = [
        Person(1, "Rossi", "Paolo", None),
        Person(2, "Rossi", "Paola", None),
        Person(3, "Miller", "Anna", None),
        Person(4, "Muller", "Anna", None),
        Person(5, "Lone", "Wolf", None),
    ]
    assert rules.look_alikes(people) == {
        1: frozenset({2}),
        2: frozenset({1}),
        3: frozenset({4}),
        4: frozenset({3}),
    }


_names = st.text(alphabet="abcd", min_size=1, max_size=6)


@given(st.lists(st.tuples(_names, _names), max_size=8))
def test_look_alikes_among_many_are_those_found_one_by_one(names: list[tuple[str, str]]) -> None:
    people = [Person(key, family, given_, None) for key, (family, given_) in enumerate(names)]
    slow = {one.key: frozenset(o.key for o in people if rules.look_alike(one, o)) for one in people}
    assert rules.look_alikes(people) == {key: others for key, others in slow.items() if others}


BORN = date(1969, 5, 12)
ADA = {"family": "Prüfer", "given": "Ada", "birth_date": BORN}
CLAIRE = {"family": "Moreau", "given": "Claire", "birth_date": date(1981, 7, 4)}


@pytest.mark.parametrize(
    ("now", "said", "doubt"),
    [
        (ADA, CLAIRE, True),
        (ADA, CLAIRE | {"birth_date": BORN}, False),
        (ADA, CLAIRE | {"family": "PRUFER"}, False),
        (ADA, CLAIRE | {"given": "ada"}, False),
        (ADA, {"family": "Moreau", "given": "Claire"}, False),
        (ADA, {"birth_date": date(1981, 7, 4)}, False),
        (ADA | {"family": ""}, CLAIRE, False),
        (ADA | {"birth_date": None}, CLAIRE, False),
        # Nobody has identified them yet.
        (ADA | {"birth_date": date(1900, 1, 1)}, CLAIRE, False),
    ],
)
def test_a_record_whose_names_and_birth_date_all_change_may_be_another_persons(
    now: dict[str, object], said: dict[str, object], doubt: bool
) -> None:
    assert rules.may_be_another_person(now, said) is doubt
