"""Boards to look at: quiet, full, thirty rooms, long names."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from tests.factories import make_booking, make_exam, make_patient, make_site
from xraydesk.access.actions import create_user
from xraydesk.access.models import Location, Site
from xraydesk.access.roles import Role
from xraydesk.imaging.models import Image, PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.lib.ids import new_uid
from xraydesk.lib.text import folded
from xraydesk.orders.models import Exam
from xraydesk.orders.states import Priority, TriageState
from xraydesk.patients.models import Patient
from xraydesk.rooms.models import Room
from xraydesk.scheduling.rules import row_for

PASSWORD = "only for tests"
DAY_HOURS = {d: [["07:00", "19:00"]] for d in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
SIXTY = "Featherstonehaugh-Montgomery-Oyelaran-Wolfeschlegelsteinhaus"
THAI = "ณัฐวุฒิ"
NAMES = (
    ("Achterberg", "Joost"),
    ("Haddad", "Rania"),
    ("Nguyen", "Van An"),
    ("Nguyen", "Van Anh"),
    ("Kowalczyk", "Bogumiła"),
    ("Petrosyan", "Ani"),
    (SIXTY, "Maximilian"),
    (THAI, "สมชาย"),
    ("", ""),
    ("Gunnarsdóttir", "Sigríður"),
    ("O’Sullivan", "Niamh"),
    ("<b>Bold</b>", "Tag & Co"),
)


FAMILIES = [
    "Abdi",
    "Castellanos",
    "Novák",
    "Mbeki",
    "Stojanović",
    "Yusuf",
    "Zielińska",
    "Larsen",
    "Diallo",
    "Šimić",
    "Fernandes",
    "Wójcik",
    "Abernathy",
    "Westhuizen",
    "Ito",
    "Bautista",
    "Svensson",
    "Mwangi",
    "Pérez",
    "Goldberg",
    "Rossi",
    "Chaiyasit",
    "Suzuki",
    "Amoah",
    "Okonkwo",
    "Haile",
    "Wiśniewski",
    "Dlamini",
    "Osei",
    "Papadopoulos",
    "Bhattacharya",
    "Tapueluelu",
    "Rautavaara",
    "Ismail",
    "Ortega",
    "Ferrari",
]
GIVENS = [
    "Hodan",
    "Inés",
    "Petr",
    "Thandi",
    "Mira",
    "Amina",
    "Grażyna",
    "Søren",
    "Fatou",
    "Tin",
    "Duarte",
    "Jan",
    "Ruth",
    "Piet",
    "Yuki",
    "Luz",
    "Nils",
]
HOUR_OF_DAY = 10


def mid_morning_zone(at: datetime) -> str:
    """A zone in which `at` is about half past ten, so that a scene lies in the middle of its day."""
    east = (HOUR_OF_DAY - at.hour + 11) % 24 - 11
    return f"Etc/GMT{-east:+d}" if east else "Etc/GMT"


def make_user(site: Site, role: Role, name: str = "") -> str:
    """A person of that role who can sign in with PASSWORD; the name."""
    name = name or f"{role.value}.{site.code.lower()}"
    create_user(site=site, name=name, role=role, password=PASSWORD, full_name="Wanjiru Kamau")
    return name


def person(site: Site, number: int) -> Patient:
    """A patient with one of NAMES."""
    if number < len(NAMES):
        family, given = NAMES[number]
    else:
        family = FAMILIES[number % len(FAMILIES)] + (f" {number // len(FAMILIES)}" if number > 72 else "")
        given = GIVENS[number % len(GIVENS)]
    return make_patient(
        site,
        family=family,
        given=given,
        name_folded=folded(f"{family} {given}"),
        birth_date=date(1930 + number * 7 % 90, 1 + number % 12, 1 + number % 28),
    )


def begin(
    exam: Exam, *, room: str, at: datetime, ended: datetime | None = None, images: int = 0
) -> PerformedStep:
    """The exam as performed; with images where it has some."""
    step = PerformedStep.objects.create(
        site=exam.site,
        sop_instance_uid=new_uid(),
        room=Room.objects.get(site=exam.site, code=room),
        state=StepState.COMPLETED if ended else StepState.IN_PROGRESS,
        by="modality:XR1",
        started_at=at,
        ended_at=ended,
    )
    StepExam.objects.create(step=step, exam=exam)
    for number in range(images):
        uid = new_uid()
        Image.objects.create(
            site=exam.site,
            exam=exam,
            sop_instance_uid=uid,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=f"{exam.accession}/{number}",
            size_bytes=1,
            sha256="0" * 64,
            state="matched",
            received_at=at,
        )
    return step


def place(
    exam: Exam,
    *,
    room: str,
    start: datetime,
    minutes: int = 12,
    taken: list[tuple[int, datetime]],
    **more: object,
) -> None:
    """Book it with the row that the desk would choose."""
    row = row_for(taken, start)
    taken.append((row, start))
    make_booking(exam, room=room, start=start, minutes=minutes, row=row, **more)


def full_day(at: datetime, *, rooms: int = 6, exams_a_room: int = 12, code: str = "T") -> Site:
    """A department in the middle of its day at `at`, every stage on the board."""
    site = make_site(code=code, rooms=rooms)
    site.timezone = mid_morning_zone(at)
    site.save()
    wing = Location.objects.create(site=site, code="WING", name="Clinic wing", sort=1)
    everyone = list(Room.objects.filter(site=site).order_by("sort"))
    for number, room in enumerate(everyone):
        room.hours = DAY_HOURS
        room.kind = ("chest", "general", "general", "trauma", "ortho", "portable")[number % 6]
        if number >= max(2, rooms * 2 // 3):
            room.location = wing
        room.save()
    half = timedelta(minutes=exams_a_room // 3 * 30)
    for number, room in enumerate(everyone):
        taken: list[tuple[int, datetime]] = []
        for turn in range(exams_a_room):
            start = at - half + timedelta(minutes=30 * turn + number * 3 % 20)
            _one(site, room.code, number * exams_a_room + turn, start=start, at=at, taken=taken)
    for number, (priority, triage) in enumerate(
        (
            (Priority.STAT, TriageState.ACCEPTED),
            (Priority.URGENT, TriageState.ACCEPTED),
            (Priority.ROUTINE, TriageState.HELD),
        )
    ):
        due = at + timedelta(minutes=30 * (number + 1)) if priority != Priority.ROUTINE else None
        exam = make_exam(
            site, patient=person(site, number + 400), priority=priority, triage=triage, due_at=due
        )
        if triage == TriageState.HELD:
            exam.findings = [{"level": "hold", "code": "side", "sentence": "Side is missing from the order."}]
            exam.save()
        exam.order.patient_class, exam.order.ward, exam.order.bed, exam.order.transport = (
            "E",
            "ED",
            "6",
            "bed",
        )
        exam.order.save()
    if rooms > 2:
        down = everyone[2]
        down.state, down.down_until, down.down_reason = (
            "down",
            at + timedelta(hours=3),
            "Detector fault. Engineer here at 11:30.",
        )
        down.save()
    return site


def _one(
    site: Site, room: str, number: int, *, start: datetime, at: datetime, taken: list[tuple[int, datetime]]
) -> None:
    patient = person(site, number)
    if number % 9 == 4:
        patient.isolation = "airborne"
        patient.save()
    code = "XRKNEE2" if number % 3 else "XRCHEST2"
    exam = make_exam(site, patient=patient, code=code, laterality="L" if number % 3 else "", simulated=True)
    if number % 4 == 1:
        exam.order.patient_class, exam.order.ward, exam.order.bed, exam.order.transport = (
            "I",
            "W3",
            "12",
            ("bed", "chair")[number % 2],
        )
        exam.order.save()
    arrived = min(at, start - timedelta(minutes=12)) if start < at + timedelta(minutes=25) else None
    past = start < at - timedelta(minutes=25)
    place(exam, room=room, start=start, taken=taken, arrived_at=arrived, state="done" if past else "booked")
    if past:
        begin(
            exam, room=room, at=start, ended=start + timedelta(minutes=11), images=0 if number % 7 == 3 else 2
        )
    elif start < at:
        begin(exam, room=room, at=start - timedelta(minutes=2))
    if number % 11 == 10 and start > at:
        exam.triage = TriageState.HELD
        exam.save()
