"""Names in other scripts, as machines write them in Latin letters."""

from __future__ import annotations

import pytest

from xraydesk.imaging.letters import latin, meeting_form
from xraydesk.imaging.names import Likeness, likeness


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Люкceмбypг^Иван", "Люкceмбypг^Иван"),
        ("Иванова^Мария", "IVANOVA^MARIA"),
        ("Иванова^Мария", "IVANOVA^MARIYA"),
        ("Щербакова^Юлия", "SHCHERBAKOVA^YULIYA"),
        ("Щербакова^Юлия", "SCHERBAKOVA^IULIIA"),
        ("Горбачёв^Михаил", "GORBACHEV^MIKHAIL"),
        ("Шевченко^Наталія", "SHEVCHENKO^NATALIIA"),
        ("Хрущёв^Никита", "KHRUSHCHEV^NIKITA"),
        ("Чайковский^Пётр", "CHAIKOVSKII^PETR"),
        ("Чайковский^Пётр", "TCHAIKOVSKY^PETR"),
        ("Παπαδόπουλος^Γεώργιος", "PAPADOPOULOS^GEORGIOS"),
        ("Διονυσίου^Ευαγγελία", "DIONYSIOU^EVANGELIA"),
        ("Χατζής^Ιωάννης", "HATZIS^IOANNIS"),
        ("Петровић^Љубица", "PETROVIC^LJUBICA"),
        ("Ivanova^Maria=Иванова^Мария", "ИВАНОВА^МАРИЯ"),
    ],
)
def test_these_are_one_person_in_two_scripts(one: str, other: str) -> None:
    assert likeness(one, other) is Likeness.SAME
    assert likeness(other, one) is Likeness.SAME


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Иванова^Мария", "IVANOVA^MARINA"),
        ("Иванова^Мария", "PETROVA^MARIA"),
        ("Иванов^Алексей", "IVANOV^ALEXANDER"),
        ("Παπαδόπουλος^Γεώργιος", "PAPADAKIS^GEORGIOS"),
        ("Παπαδόπουλος^Γεώργιος", "PAPADOPOULOS^NIKOS"),
        ("Сидорова^Анна", "SIDOROVA^IRINA"),
    ],
)
def test_these_are_not_one_person(one: str, other: str) -> None:
    assert likeness(one, other) is not Likeness.SAME


def test_letters_are_written_as_passports_write_them() -> None:
    assert latin("Щукин") == "shchukin"
    assert latin("Ευθύμιος".replace("ύ", "υ")) == "evthymios"
    assert meeting_form("Smith") == meeting_form("SMIT")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Smith^Anna", "Smith-Jones^Anna", Likeness.SAME),
        ("García Lorca^Ana", "GARCIA^ANA", Likeness.SAME),
        ("van der Berg^Jan", "BERG^JAN", Likeness.SAME),
        ("Al-Hassan^Omar", "HASSAN^OMAR", Likeness.SAME),
        ("Miller^Anna", "Jones^Anna", Likeness.FAMILY_DIFFERS),
        ("Miller^Anna", "Milner^Anna", Likeness.NEAR),
        ("Miller^Anna", "Millers^Anna", Likeness.NEAR),
        ("Miller^Anna", "Mliler^Anna", Likeness.NEAR),
        ("Miller^Joanna", "Miller^Johanna", Likeness.OTHER),
        ("Ng^Anna", "Ho^Anna", Likeness.FAMILY_DIFFERS),
        ("Miller^Anna", "Miller^Hanna", Likeness.OTHER),
        ("Miller^Anna", "Miller^Lena", Likeness.OTHER),
        ("de^Anna", "la^Anna", Likeness.FAMILY_DIFFERS),
        ("Miller^Anna", "Miller", Likeness.OTHER),
        ("Miller^Anna=王^小東", "Jones^Anna=王^小東", Likeness.SAME),
    ],
)
def test_how_alike_two_names_are(one: str, other: str, expected: Likeness) -> None:
    assert likeness(one, other) is expected
    assert likeness(other, one) is expected
