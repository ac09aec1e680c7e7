"""An image beside an exam, line by line: what each says, and whether they agree."""

from __future__ import annotations

from dataclasses import dataclass

from xraydesk.imaging import anatomy_rules as anatomy
from xraydesk.imaging.models import Image
from xraydesk.imaging.names import same_name
from xraydesk.journey.exam_view import ExamView, name_of
from xraydesk.lib import clock
from xraydesk.orders.sides import WORD_OF

SIDES_OF_ONE = ("L", "R")


@dataclass(frozen=True)
class Compared:
    """One line of the comparison: what the image says, what the exam says, and whether they agree."""

    word: str
    image: str
    exam: str
    agrees: bool


def compared(image: Image, view: ExamView) -> list[Compared]:
    """What an image says of itself beside what an exam says. What one of them does not say contradicts nothing."""
    patient, exam = view.patient, view.exam
    name = name_of(patient).dicom()
    ordered = exam.procedure.body_part if exam.procedure else ""
    views = ", ".join(exam.procedure.views) if exam.procedure else ""
    taken = f"{clock.in_zone(image.acquired_at, image.site.timezone):%H:%M}" if image.acquired_at else ""
    born, birth_date = image.patient_birth_date, patient.birth_date
    kind = anatomy.view_named(image.view_position)
    parts = anatomy.fit(anatomy.parts_named(image.body_part), anatomy.parts_named(ordered))
    said, side = image.laterality.upper(), exam.laterality
    rows = [
        ("Name", _spoken(image.patient_name), _spoken(name), same_name(image.patient_name, name)),
        ("MRN", image.patient_id, view.patient_number, image.patient_id == view.patient_number),
        (
            "Born",
            f"{born:%d %b %Y}" if born else "",
            f"{birth_date:%d %b %Y}" if birth_date else "",
            born == birth_date,
        ),
        ("Sex", image.patient_sex, patient.sex, image.patient_sex.upper() == patient.sex),
        ("Accession", image.accession, exam.accession, image.accession == exam.accession),
        ("Part", image.body_part, ordered, parts is not anatomy.Fit.OTHER),
        (
            "Side",
            WORD_OF.get(said, image.laterality),
            WORD_OF.get(side, ""),
            said == side or said not in SIDES_OF_ONE or side not in SIDES_OF_ONE,
        ),
        (
            "View",
            image.view_position,
            views,
            not exam.procedure or anatomy.is_asked_for(kind, exam.procedure.views),
        ),
        ("Machine", " ".join(p for p in (image.calling_ae_title, taken) if p), view.room, True),
    ]
    return [
        Compared(word, a or "not said", b or "not said", not a or not b or agrees)
        for word, a, b, agrees in rows
    ]


def _spoken(name: str) -> str:
    return name.replace("^", " ").strip()
