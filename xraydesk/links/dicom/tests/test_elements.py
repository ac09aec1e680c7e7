from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from xraydesk.links.dicom.elements import (
    DEPTH_MAX,
    KEYS_MAX,
    BadKey,
    Element,
    Encoder,
    choose_charset,
    fitted,
    texts_of,
    tree_of,
)


def _read(data, is_implicit):
    return read_dataset(BytesIO(data), is_implicit, True)


_VALUE = st.text("abcé Ñ^", max_size=6).map(str.strip)
_TREE = st.fixed_dictionaries(
    {},
    optional={
        0x00080050: st.text("AB12", max_size=9).map(lambda v: Element("SH", (v,) if v else ())),
        0x00100010: _VALUE.map(lambda v: Element("PN", (v,) if v else ())),
        0x001021C0: st.integers(0, 65535).map(lambda n: Element("US", (str(n),))),
        0x0020000D: st.sampled_from(["1.2", "1.2.3"]).map(lambda v: Element("UI", (v,))),
        0x00400400: _VALUE.map(lambda v: Element("LT", (v,) if v else ())),
    },
).flatmap(
    lambda whole: st.lists(
        st.fixed_dictionaries({0x00400007: _VALUE.map(lambda v: Element("LO", (v,) if v else ()))}),
        max_size=2,
    ).map(lambda items: whole | {0x00400100: Element("SQ", items=tuple(items))})
)


@given(_TREE, st.booleans())
def test_what_is_written_is_what_pydicom_reads(tree, is_implicit):
    terms = choose_charset((), [*texts_of(tree)])
    named = tree | ({0x00080005: Element("CS", terms)} if any(terms) else {})
    back = tree_of(_read(Encoder(is_implicit, terms).encode(named), is_implicit))
    assert back.keys() == named.keys()
    assert [*texts_of(back)] == [*texts_of(dict(sorted(named.items())))]
    assert {tag: e.values for tag, e in back.items() if e.vr not in {"LT", "PN"}} == {
        tag: e.values for tag, e in named.items() if e.vr not in {"LT", "PN"}
    }


@pytest.mark.parametrize(
    ("asked", "text", "chosen"),
    [
        ((), "Smith", ()),
        (("ISO_IR 100",), "Smith", ("ISO_IR 100",)),
        ((), "Nuñez", ("ISO_IR 100",)),
        (("ISO_IR 6",), "Nuñez", ("ISO_IR 100",)),
        (("", "ISO 2022 IR 87"), "Nuñez", ("ISO_IR 100",)),
        (("", "ISO 2022 IR 87"), "山田^太郎", ("", "ISO 2022 IR 87")),
        (("", "ISO 2022 IR 149"), "김^희중", ("", "ISO 2022 IR 149")),
        (("ISO_IR 144",), "Иванов", ("ISO_IR 144",)),
        (("ISO_IR 100", "ISO 2022 IR 126"), "Βασίλης", ("ISO_IR 100", "ISO 2022 IR 126")),
        (("ISO_IR 100", "ISO 2022 IR 126"), "Müller", ("ISO_IR 100", "ISO 2022 IR 126")),
        (("NO SUCH SET",), "Иванов", ("ISO_IR 192",)),
        (("", "ISO 2022 IR 87"), "±×", ("ISO_IR 100",)),
        (("GB18030",), "王^小东", ("GB18030",)),
    ],
)
def test_a_name_comes_back_from_the_character_set_that_was_chosen(asked, text, chosen):
    """Row 38."""
    terms = choose_charset(asked, [text])
    assert terms == chosen
    tree = {0x00100010: Element("PN", (text,))} | ({0x00080005: Element("CS", terms)} if terms else {})
    assert str(_read(Encoder(True, terms).encode(tree), True).PatientName) == text


def test_a_code_string_holds_ascii_alone():
    assert Encoder(True).encode({0x00080060: Element("CS", ("Ñ",))}) == b"\x08\x00\x60\x00\x02\x00\x00\x00? "


@pytest.mark.parametrize(
    ("vr", "text", "expected"),
    [
        ("SH", "  A1 ", "A1"),
        ("SH", "x" * 20, "x" * 16),
        ("LO", "left\\right\n", "left/right"),
        ("LT", "line\nnext\x1b\\", "line\nnext\\"),
        ("LO", "a" * 63 + " b", "a" * 63),
        ("LO", "é" * 70, "é" * 64),
    ],
)
def test_a_value_is_made_to_fit(vr, text, expected):
    assert fitted(vr, text) == expected


def test_a_query_that_is_too_deep_or_too_long_is_refused():
    """Row 28."""
    deep = Dataset()
    for _ in range(DEPTH_MAX + 1):
        outer = Dataset()
        outer.ScheduledProcedureStepSequence = [deep]
        deep = outer
    with pytest.raises(BadKey):
        tree_of(deep)
    long = Dataset()
    for number in range(KEYS_MAX + 1):
        long.add_new(0x00110010 + number, "LO", "")
    with pytest.raises(BadKey):
        tree_of(long)


def test_a_key_whose_value_cannot_be_read_is_named():
    broken = b"\x10\x00\xc0\x21US\x03\x00\x01\x02\x03"
    with pytest.raises(BadKey) as caught:
        tree_of(read_dataset(BytesIO(broken), False, True))
    assert caught.value.tag == 0x001021C0


def test_group_lengths_and_binary_values_are_no_keys():
    asked = Dataset()
    asked.add_new(0x00080000, "UL", 4)
    asked.add_new(0x00091001, "UN", b"\x00\x01")
    asked.add_new(0x001021C0, "US", [1, 2])
    assert tree_of(asked) == {0x00091001: Element("UN"), 0x001021C0: Element("US", ("1", "2"))}
