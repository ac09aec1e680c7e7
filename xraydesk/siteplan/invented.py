"""Invented people for demonstrations: names, birth dates and reasons that a department would meet. None of them exists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

FAMILIES = (
    "Abernathy", "Achterberg", "Adeyemi", "Al-Rashid", "Amoah", "Bautista", "Bhattacharya", "Castellanos",
    "Chaiyasit", "Delacroix", "Dlamini", "Eriksson", "Fernandes", "Ferrari", "Goldberg", "Grünwald", "Haddad",
    "Haile", "Ismail", "Ito", "Jóhannsdóttir", "Kamau", "Kowalczyk", "Larsen", "Lindqvist", "Mbeki",
    "Montgomery-Oyelaran", "Mwangi", "Nakamura", "Nguyen Van", "Novák", "O'Sullivan", "Okafor", "Ortega Ruiz",
    "Osei", "Papadopoulos", "Pérez", "Petrosyan", "Quispe", "Rautavaara", "Rossi", "Šimić", "Søndergaard",
    "Srisombat", "Suzuki", "Svensson", "Tapueluelu", "Tran Thi", "van der Westhuizen", "Wójcik", "Yıldırım",
    "Yusuf", "Zielińska",
)  # fmt: skip
GIVEN_F = (
    "Ada", "Amina", "Ani", "Bogumiła", "Chiara", "Fatima", "Folasade", "Grażyna", "Hana", "Hodan", "Ingrid",
    "Lucía", "Mei", "Ngozi", "Pimchanok", "Rania", "Rosa", "Sachiko", "Temitope", "Thandi", "Wanjiru", "Zoë",
)  # fmt: skip
GIVEN_M = (
    "Ali", "An", "Basile", "Duarte", "Efstathios", "Jan", "Joost", "Kofi", "Kwabena", "Mehmet", "Mikkel",
    "Paolo", "Samuel", "Selwyn", "Søren", "Tariro", "Tin", "Tomasz", "Yonas", "Zhang",
)  # fmt: skip
PROVIDERS = (
    ("7001", "Okafor", "Ngozi"),
    ("7002", "Adeyemi", "Folasade"),
    ("7003", "Hansen", "Mette"),
    ("7004", "Ibarra", "Joaquín"),
    ("7005", "Levi", "Noa"),
)
REASONS = {
    "CHEST": ("cough for three weeks", "fever, short of breath", "before surgery", "check the line position"),
    "ABDOMEN": ("pain and vomiting", "distended, no stool for three days"),
    "PELVIS": ("fall from standing, hip pain", "pain in the groin"),
    "SPINE": ("back pain, worse at night", "fall from a ladder"),
    "SKULL": ("facial injury",),
}
TYPICAL_DAP_DGYCM2 = {"CHEST": 1.2, "SPINE": 14.0, "PELVIS": 18.0, "ABDOMEN": 20.0, "HIP": 9.0, "SKULL": 5.0}
"""About what adults get a view. Plausible, not a norm."""

LIMB_DAP_DGYCM2 = 0.35
NORMAL_FINDINGS = {
    "CHEST": ("Heart and mediastinum of normal size. Lungs clear. No effusion.", "No acute finding."),
    "ABDOMEN": ("Normal gas pattern. No free air.", "No obstruction."),
    "": ("No fracture, no dislocation. Soft parts without finding.", "No acute bony finding."),
}
CRITICAL_FINDINGS = {
    "CHEST": ("Large pneumothorax on the left with shift of the mediastinum.", "Tension pneumothorax, left."),
    "ABDOMEN": ("Air under both diaphragms.", "Free air."),
    "": ("Displaced break through the shaft.", "New fracture, displaced."),
}
"""What readers write, by body part: findings and impression."""

LIMB_REASONS = (
    "fall, swelling, cannot bear weight",
    "twisted it at sport",
    "pain since yesterday",
    "check of healing",
)


@dataclass
class Person:
    """One invented patient, with where they are now."""

    number: str
    family: str
    given: str
    birth_date: date
    sex: str
    patient_class: str = "O"
    ward: str = ""
    bed: str = ""
    visit: str = ""


def invent(random: Random, number: str, today: date) -> Person:
    """A person who does not exist, of an age that departments meet."""
    sex = random.choice("FM")
    age_years = min(96, max(1, int(random.triangular(2, 95, 62))))
    return Person(
        number=number,
        family=random.choice(FAMILIES),
        given=random.choice(GIVEN_F if sex == "F" else GIVEN_M),
        birth_date=today - timedelta(days=age_years * 365 + random.randrange(365)),
        sex=sex,
        visit="V" + number,
    )


def dap_dgycm2(random: Random, body_part: str) -> float:
    """The dose area product of one view of a part, in dGy·cm²."""
    parts = TYPICAL_DAP_DGYCM2.items()
    typical = next((dap for part, dap in parts if part in body_part.upper()), LIMB_DAP_DGYCM2)
    return round(typical * random.lognormvariate(0, 0.3), 3)


def said_of(body_part: str, *, critical: bool) -> tuple[str, str]:
    """What a reader writes of such an exam: findings and impression."""
    texts = CRITICAL_FINDINGS if critical else NORMAL_FINDINGS
    return texts.get(body_part.upper(), texts[""])


def reason_for(random: Random, body_part: str) -> str:
    """Why such an exam is asked for."""
    for part, reasons in REASONS.items():
        if part in body_part.upper():
            return random.choice(reasons)
    return random.choice(LIMB_REASONS)
