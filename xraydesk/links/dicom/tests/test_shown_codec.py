"""What a machine is given to show whose letters are few: readable, and never noise."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom import charset

from xraydesk.imaging.names import number_as_name, same_name, stands_for_name
from xraydesk.links.dicom.elements import Element, can_write
from xraydesk.links.dicom.shown_codec import (
    NOT_SHOWN,
    PATIENT_ID,
    PATIENT_NAME,
    also_as_shown,
    as_shown,
    shown_name,
    shown_text,
)
from xraydesk.siteplan.charsets import CharacterSet

ASCII, LATIN_1, CYRILLIC, JAPANESE = (
    ("ISO_IR 6",),
    ("ISO_IR 100",),
    ("ISO_IR 144",),
    ("ISO 2022 IR 6", "ISO 2022 IR 87"),
)


@pytest.mark.parametrize(
    ("name", "terms", "shown"),
    [
        ("Smith^Ada", ASCII, "Smith^Ada"),
        ("Muñoz^José", LATIN_1, "Muñoz^José"),
        ("Muñoz^José", ASCII, "Munoz^Jose"),
        ("Müller-Weiß^Jörg", ASCII, "Mueller-Weiss^Joerg"),
        ("Łukasiewicz^Zdzisław", LATIN_1, "Lukasiewicz^Zdzislaw"),
        ("Иванов^Пётр", CYRILLIC, "Иванов^Пётр"),
        ("Иванов^Пётр", LATIN_1, "Ivanov^Petr"),
        ("ЩЕРБАКОВА^Ю", LATIN_1, "SHCHERBAKOVA^Iu"),
        ("Παπαδόπουλος^Γιώργος", LATIN_1, "Papadopoulos^Giorgos"),
        ("Müller^Анна", CYRILLIC, "Mueller^Анна"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", LATIN_1, "Yamada^Tarou"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", JAPANESE, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("山田^太郎", JAPANESE, "山田^太郎"),
        ("علي^محمد=山田", JAPANESE, "=山田"),
        ("山田^太郎", LATIN_1, "NO. 4711"),
        ("山田^O'Neill", LATIN_1, "NO. 4711"),
    ],
)
def test_a_name_is_shown_in_letters_that_the_machine_has(
    name: str, terms: tuple[str, ...], shown: str
) -> None:
    assert shown_name(name, terms, number="4711") == shown


def test_a_name_of_nobody_with_a_number_or_with_one_that_cannot_be_written_says_so() -> None:
    assert shown_name("山田^太郎", LATIN_1) == NOT_SHOWN
    assert shown_name("山田^太郎", LATIN_1, number="四") == NOT_SHOWN


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Knee, left", "Knee, left"),
        ("Schädel/Hüfte", "Schaedel/Huefte"),
        ("Рука, левая", "Ruka, levaia"),
        ("胸部 正面 AP", f"{NOT_SHOWN} AP"),
        ("Brust – 胸部", f"Brust - {NOT_SHOWN}"),
    ],
)
def test_a_text_keeps_the_words_that_can_be_written_and_marks_the_others(text: str, shown: str) -> None:
    assert shown_text(text, ASCII) == shown


@pytest.mark.parametrize(
    "name", ["Иванов^Пётр", "Щербакова^Юлия", "Παπαδόπουλος^Γιώργος", "Müller^Jörg", "Łucja^Ćwiek"]
)
def test_what_comes_back_from_the_machine_is_the_same_name(name: str) -> None:
    """Its images carry the name as it was shown: nobody has to look at them for that."""
    assert same_name(shown_name(name, ASCII), name)


def test_a_number_in_place_of_a_name_is_known_again() -> None:
    assert number_as_name("47^11") == "NO. 47 11"
    assert stands_for_name("NO. 47 11", ["8", "47^11"])
    assert not stands_for_name("NO. 47 12", ["8", "", "47^11"])


def test_an_entry_is_matched_under_both_names_and_answered_under_the_one_that_is_shown() -> None:
    step = {0x00400006: Element("PN", ("Лютер",)), 0x00400007: Element("LO", ("Рука",))}
    entry = {
        PATIENT_NAME: Element("PN", ("山田",)),
        0x00080090: Element("PN"),
        PATIENT_ID: Element("LO", ("四",)),
        0x00100030: Element("DA", ("19700101",)),
        0x00400100: Element("SQ", items=(step,)),
        0x00081110: Element("SQ"),
    }
    tree = also_as_shown(entry, LATIN_1, number="4711")
    assert tree[PATIENT_NAME].values == ("山田", "NO. 4711")
    assert tree[0x00400100].items[0][0x00400006].values == ("Лютер", "Liuter")
    shown = as_shown(tree, LATIN_1)
    assert shown[PATIENT_NAME].values == ("NO. 4711",)
    assert shown[PATIENT_ID].values == ()
    assert shown[0x00400100].items[0] == {
        0x00400006: Element("PN", ("Liuter",)),
        0x00400007: Element("LO", ("Ruka",)),
    }
    assert {tag: shown[tag] for tag in (0x00080090, 0x00100030, 0x00081110)} == {
        tag: entry[tag] for tag in (0x00080090, 0x00100030, 0x00081110)
    }


@given(st.text(max_size=30), st.sampled_from([(term.value,) for term in CharacterSet]))
@example("山田 ½ Ⅳ", ("ISO_IR 6",))
@example("Anna\N{NO-BREAK SPACE}Maria", ("ISO_IR 6",))
@example("ʻOkina\u0301", ("ISO_IR 144",))
def test_whatever_is_shown_can_be_written(text: str, terms: tuple[str, ...]) -> None:
    assert can_write(terms, [shown_text(text, terms)])
    assert can_write(terms, [shown_name(text, terms, number="4711")])


def test_every_character_set_of_a_site_file_can_be_read_and_written() -> None:
    assert {term.value for term in CharacterSet} <= {*charset.python_encoding}
