"""A name as DICOM writes it and as lists show it."""

from __future__ import annotations

import pytest

from xraydesk.patients.demographics import Name


@pytest.mark.parametrize(
    ("name", "dicom", "spoken"),
    [
        (Name("Prüfer", "Ada"), "Prüfer^Ada", "Prüfer, Ada"),
        (Name("Prüfer", "Ada", "Eva", "Dr", "II"), "Prüfer^Ada^Eva^Dr^II", "Prüfer, Ada Eva"),
        (Name("", "Ada"), "^Ada", "Ada"),
        (Name("Prüfer"), "Prüfer", "Prüfer"),
        (Name(), "", "no name yet"),
        (Name("A^B=C\\D ", "E"), "A B C D^E", "A^B=C\\D , E"),
    ],
)
def test_a_name_is_written_and_shown(name: Name, dicom: str, spoken: str) -> None:
    assert name.dicom() == dicom
    assert name.spoken() == spoken
