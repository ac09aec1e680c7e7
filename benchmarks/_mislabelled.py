"""Days of a simulated department with images, some of them labelled wrongly in a known way. A seed makes a day, always the same.

The day itself (who comes, where and when each exam is done) is the simulation's. What a right label looks like is varied
as machines and desks vary it: capitals, lost accents, other scripts, parts and sides left out, neighbouring parts,
clocks and buttons some minutes off, machines that ask for no worklist, patients whose arrival nobody wrote down.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from xraydesk.imaging.anatomy_rules import Fit, fit, parts_named
from xraydesk.imaging.header import Header
from xraydesk.imaging.labelled_rules import Circumstances, Performed, Waiting
from xraydesk.imaging.letters import latin
from xraydesk.imaging.rules import Candidate, Person
from xraydesk.lib.text import folded
from xraydesk.patients.demographics import Identifier
from xraydesk.project.examples import example_file
from xraydesk.simulation.department import department_day
from xraydesk.simulation.files import read_policy, read_scenario
from xraydesk.simulation.run_day import run_day
from xraydesk.simulation.world import EPOCH, world_of
from xraydesk.siteplan.invented import invent
from xraydesk.siteplan.plan import ProcedurePlan, SitePlan
from xraydesk.siteplan.reading import read_toml

WRONG_ONE_IN = 15
PORTABLE = "portable"
OTHER_SCRIPTS = (
    ("Иванова", "Мария", "F"), ("Щербакова", "Юлия", "F"), ("Шевченко", "Наталія", "F"), ("Хрущёв", "Никита", "M"),
    ("Жуков", "Алексей", "M"), ("Петровић", "Љубица", "F"), ("Παπαδόπουλος", "Γεώργιος", "M"),
    ("Χατζής", "Ιωάννης", "M"), ("Διονυσίου", "Ευαγγελία", "F"), ("Θεοδωράκης", "Ευθύμιος", "M"),
)  # fmt: skip
NEIGHBOUR = {
    "HAND": "WRIST",
    "WRIST": "HAND",
    "KNEE": "LOWER LEG",
    "ANKLE": "FOOT",
    "FOOT": "ANKLE",
    "HIP": "PELVIS",
}
WIDE = {
    "HAND": "EXTREMITY",
    "KNEE": "LEG",
    "ANKLE": "LEG",
    "ELBOW": "ARM",
    "LSPINE": "SPINE",
    "TSPINE": "SPINE",
}
LOCAL_SIDES = {"L": "li", "R": "re"}
LOCAL_WORDS = 0.1
"""So many machines name their series in words of their own, which no table knows: `Knie li`, `H2`."""

SIDE_WORDS = {"L": ("L", "LT", "Left"), "R": ("R", "RT", "Right")}


@dataclass(frozen=True)
class Done:
    """One exam that was done: what was ordered, for whom, where and when."""

    exam: Candidate
    patient_id: int
    procedure: ProcedurePlan
    room: str
    begun: datetime
    ended: datetime
    booked: datetime
    arrived: datetime | None
    identified: bool
    urgent: bool
    by_hand: bool


@dataclass(frozen=True)
class Taken:
    """One image as it comes, with what the desk knows of its time and place; `error` is what is wrong with it, "" nothing.

    `is_betrayed` is False where neither header, words nor time differ from those of a right one.
    """

    header: Header
    circumstances: Circumstances
    exam: Candidate
    error: str = ""
    group: str = ""
    is_betrayed: bool = True


@dataclass(frozen=True)
class Day:
    """All exams of a day as they may be claimed, and all its images."""

    exams: tuple[Candidate, ...]
    images: tuple[tuple[Taken, ...], ...]
    """By exam."""


def hospital() -> SitePlan:
    """The department that the simulation takes where none is named."""
    return read_toml(example_file("hospital.toml"))


def day_of(site: SitePlan, *, seed: int, day: int, wrong_one_in: int = WRONG_ONE_IN) -> Day:
    """A day with every so many exams labelled wrongly; 0 for none."""
    random = Random(f"labels {seed} {day}")
    done = list(_done(site, random, seed=seed, day=day))
    day_images = []
    for number, one in enumerate(done):
        images = [_image(one, done, random, view) for view in one.procedure.views or ("",)]
        if wrong_one_in and random.randrange(wrong_one_in) == 0:
            images = _wrong(images, one, done, number, random)
        day_images.append(tuple(images))
    return Day(tuple(one.exam for one in done), tuple(day_images))


# -- who, where and when -----------------------------------------------------------------------------


def _done(site: SitePlan, random: Random, *, seed: int, day: int) -> Iterator[Done]:
    scenario = read_scenario(example_file("simulation/day.toml").read_text(encoding="utf-8"), site)
    policy = read_policy(example_file("simulation/first-come.toml").read_text(encoding="utf-8"), site)
    world = world_of(site, scenario, seed=seed, day=day)
    outcome = run_day(world, department_day(site, world.weekday, policy), scenario, policy)
    procedures = {p.code: p for p in site.procedures}
    asked = {patient.id: procedures[patient.procedure] for patient in world.patients}
    midnight = EPOCH + timedelta(days=day)
    people: list[Person] = []
    for number, end in enumerate(e for e in outcome.endings if e.begun is not None and e.ended is not None):
        procedure = asked[end.id]
        people.append(_person(random, number, people, midnight.date()))
        begun, ended = (midnight + timedelta(minutes=m or 0) for m in (end.begun, end.ended))
        here = midnight + timedelta(minutes=end.here if end.here is not None else end.begun or 0)
        sides = procedure.laterality
        yield Done(
            exam=Candidate(
                exam_id=number + 1,
                accession=f"A{day:03}{number:04}",
                study_instance_uid=f"1.2.{day + 1}.{number + 1}",
                requested_procedure_id=f"R{number}",
                scheduled_step_id=f"S{number}",
                patient=people[-1],
                laterality=random.choices(sides, [1 if s == "B" else 6 for s in sides])[0] if sides else "",
                body_part=procedure.body_part,
                procedure_text=procedure.text,
                views=procedure.views,
            ),
            patient_id=number + 1,
            procedure=procedure,
            room=end.room,
            begun=begun,
            ended=max(ended, begun + timedelta(minutes=2)),
            booked=begun - timedelta(minutes=random.randrange(-5, 25)),
            arrived=here if random.random() < 0.94 else None,
            identified=random.random() < 0.7,
            urgent=end.priority != "routine",
            by_hand=random.random() < 0.2,
        )


def _person(random: Random, number: int, known: list[Person], today: date) -> Person:
    """Somebody; now and then in another script, a twin of somebody, or born on the day of somebody."""
    made = invent(random, f"{500000 + number}", today)
    family, given, sex, born = made.family, made.given, made.sex, made.birth_date
    chance = random.random()
    if chance < 0.06:
        family, given, sex = random.choice(OTHER_SCRIPTS)
    elif chance < 0.09 and known:
        twin = random.choice(known)
        family, born = twin.name.split("^")[0], twin.birth_date or born
        given = given + "a" if given == twin.name.split("^")[1] else given
    elif chance < 0.12 and known:
        born = random.choice(known).birth_date or born
    return Person((Identifier(made.number, "HOSP", "MR"),), f"{family}^{given}", born, sex)


# -- a right image -----------------------------------------------------------------------------------


def _image(one: Done, done: list[Done], random: Random, view: str) -> Taken:
    person, exam = one.exam.patient, one.exam
    side = exam.laterality if exam.laterality != "B" else random.choice("LR")
    part = exam.body_part
    chance = random.random()
    said_part = (
        part
        if chance < 0.7
        else ""
        if chance < 0.88
        else WIDE.get(part, part)
        if chance < 0.96
        else NEIGHBOUR.get(part, part)
    )
    taken = one.begun + (one.ended - one.begun) * random.random()
    off = timedelta(seconds=random.gauss(0, 60)) if one.by_hand else timedelta(0)
    header = Header(
        sop_instance_uid=f"1.9.{exam.exam_id}.{random.randrange(10**9)}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        study_instance_uid=exam.study_instance_uid
        if random.random() < 0.97
        else f"1.7.{random.randrange(10**9)}",
        series_instance_uid=f"1.8.{exam.exam_id}",
        accession=exam.accession,
        patient_id=person.identifiers[0].value,
        patient_id_issuer="HOSP" if random.random() < 0.3 else "",
        patient_name=_as_written(person.name, random),
        patient_birth_date=person.birth_date if random.random() < 0.99 else None,
        patient_sex=person.sex if random.random() < 0.97 else "O",
        modality="DX",
        body_part=said_part,
        view_position=view if random.random() < 0.9 else "",
        laterality=side if random.random() < 0.7 else "",
        marker_texts=_words(part, view, side, random) if random.random() < 0.6 else (),
        acquired_at=(taken + off).replace(tzinfo=None),
    )
    return Taken(header, _circumstances(one, done, random, taken + off), exam)


def _as_written(name: str, random: Random) -> str:
    """A name as some machine writes it."""
    family, given = name.split("^")
    if any(c > "ʯ" for c in name):
        family, given = (latin(folded(part)) for part in (family, given))
        family = family.replace("kh", "h") if random.random() < 0.3 else family
    chance = random.random()
    written = f"{family}^{given}"
    if chance < 0.5:
        written = folded(written).upper()
    elif chance < 0.6:
        written = f"{written}^{random.choice('ABCDEM')}"
    elif chance < 0.62:
        written = f"{given} {family}"
    elif chance < 0.64 and "-" in family:
        written = f"{family.split('-')[0]}^{given}"
    elif chance < 0.645:
        written = (
            f"{random.choice(('Miller', 'Novak', 'Jensen'))}^{given}"  # married; the desk knows the old name
        )
    return written


def _words(part: str, view: str, side: str, random: Random) -> tuple[str, ...]:
    if random.random() < LOCAL_WORDS:
        return (f"{part[:1]}{random.randrange(9)} {view} {LOCAL_SIDES.get(side, '')}".strip(),)
    word = random.choice(SIDE_WORDS[side]) if side else ""
    return (random.choice((f"{part} {view} {word}", f"{word}_{part}", f"{part.title()} {word}")).strip(" _"),)


def _performed(one: Done, random: Random) -> Performed:
    late = (
        timedelta(minutes=random.choices((0, 2, 8, 15), (70, 20, 8, 2))[0]) if one.by_hand else timedelta(0)
    )
    room = "" if one.room.startswith("M") else one.room
    return Performed(one.exam.exam_id, one.patient_id, room, one.begun, one.ended + late, by_hand=one.by_hand)


def _circumstances(one: Done, done: list[Done], random: Random, taken: datetime) -> Circumstances:
    room = "" if one.room.startswith("M") else one.room  # a portable goes about
    near = [
        o
        for o in done
        if o is not one and o.room == one.room and abs((o.begun - taken).total_seconds()) < 7200
    ]
    return Circumstances(
        taken_at=taken,
        received_at=one.ended + timedelta(minutes=2),
        patient_id=one.patient_id,
        room=room,
        own=(_performed(one, random),),
        others=tuple(
            _performed(o, random)
            for o in near
            if room and o.begun <= taken <= o.ended + timedelta(minutes=20)
        ),
        waiting=tuple(
            Waiting(
                o.exam.exam_id, o.patient_id, o.booked, o.booked + (o.ended - o.begun), o.arrived, o.begun
            )
            for o in near
            if room and o.arrived and o.arrived <= taken
        ),
        arrived_at=one.arrived,
        is_identified=one.identified,
        is_urgent=one.urgent,
        is_due=abs(taken - one.booked) < timedelta(minutes=45) and random.random() < 0.95,
        was_shown=True if random.random() < 0.85 else None,
    )


# -- a wrong one -------------------------------------------------------------------------------------

Change = Callable[[list[Taken], Done, list[Done], Random], "list[Taken] | None"]


def _each(images: list[Taken], **said: Any) -> list[Taken]:
    return [replace(i, header=replace(i.header, **said)) for i in images]


def _another(one: Done, done: list[Done], random: Random) -> Done:
    return random.choice([o for o in done if o is not one])


def _accession(images, one, done, random):
    return _each(
        images,
        accession=_another(one, done, random).exam.accession,
        study_instance_uid=one.exam.study_instance_uid,
    )


def _typed(images, one, done, random):
    number = list(images[0].header.patient_id)
    number[-1] = random.choice([d for d in string.digits if d != number[-1]])
    return [
        replace(i, circumstances=replace(i.circumstances, was_shown=False))
        for i in _each(images, patient_id="".join(number))
    ]


def _unknown(images, one, done, random):
    return _each(
        images, accession=f"X{random.randrange(10**6)}", study_instance_uid=f"1.6.{random.randrange(10**9)}"
    )


def _patient(images, one, done, random):
    p = _another(one, done, random).exam.patient
    return _each(
        images,
        patient_id=p.identifiers[0].value,
        patient_name=p.name,
        patient_birth_date=p.birth_date,
        patient_sex=p.sex,
    )


def _twin(images, one, done, random):
    family, given = one.exam.patient.name.split("^")
    return _each(images, patient_name=f"{family}^{given[:-1]}{'i' if given[-1] != 'i' else 'o'}")


def _same_birthday(images, one, done, random):
    p = _another(one, done, random).exam.patient
    return _each(images, patient_id=p.identifiers[0].value, patient_name=p.name)


def _birth_date(images, one, done, random):
    born = one.exam.patient.birth_date
    assert born is not None
    return _each(
        images, patient_birth_date=born + timedelta(days=random.choice((-365, -31, -1, 1, 30, 3653)))
    )


def _sex(images, one, done, random):
    return _each(images, patient_sex={"F": "M", "M": "F"}[one.exam.patient.sex])


def _side(where: str) -> Change:
    def change(images, one, done, random):
        if one.exam.laterality not in ("L", "R"):
            return None
        other = "L" if one.exam.laterality == "R" else "R"
        part, view = one.exam.body_part, images[0].header.view_position
        said = {"header": {"laterality": other}, "words": {"marker_texts": _words(part, view, other, random)}}
        if where == "both":
            return _each(images, **said["header"], **said["words"])
        if where == "picture alone":
            right = {"laterality": one.exam.laterality, "marker_texts": ()}
            return [replace(i, is_betrayed=False) for i in _each(images, **right)]
        return _each(images, **said[where])

    return change


def _bilateral(images, one, done, random):
    if one.exam.laterality != "B":
        return None
    side, other = random.choice((("L", "R"), ("R", "L")))
    return _each(images, laterality=side, marker_texts=_words(one.exam.body_part, "", other, random))


def _part(where: str) -> Change:
    def change(images, one, done, random):
        mine = parts_named(one.exam.body_part)
        wanted = Fit.NEAR if where == "neighbour" else Fit.OTHER
        parts = sorted({o.exam.body_part for o in done if fit(parts_named(o.exam.body_part), mine) is wanted})
        if not parts:
            return None
        part = random.choice(parts)
        said: dict[str, Any] = {}
        if where != "words":
            said["body_part"] = part
        if where != "header":
            said["marker_texts"] = _words(part, random.choice(("AP", "LAT")), "", random)
        return _each(images, **said)

    return change


def _view(images, one, done, random):
    return _each(images, view_position=random.choice(("MORTISE", "SKYLINE", "DENS", "OBL", "AXIAL")))


def _wrong_entry(images, one, done, random):
    """These images are labelled as another exam, which was begun on the machine in this room instead of theirs."""
    later = [
        o
        for o in done
        if o is not one
        and o.begun > one.ended + timedelta(minutes=45)
        and o.arrived
        and o.arrived > one.ended
    ]
    if not later:
        return None
    picked = random.choice(later)
    return [
        _taken_as(
            i,
            one,
            replace(picked, begun=one.begun, ended=one.ended, room=one.room, arrived=None, identified=False),
        )
        for i in images
    ]


def _left_open(images, one, done, random):
    """These were taken under the exam before in this room, whose entry was still chosen on the machine after it had ended."""
    before = [
        o
        for o in done
        if o.room == one.room and o.ended <= one.begun and one.begun - o.ended < timedelta(hours=3)
    ]
    if not before or one.room.startswith("M"):
        return None
    picked = max(before, key=lambda o: o.ended)
    own = Performed(one.exam.exam_id, one.patient_id, one.room, one.begun, one.ended)
    changed = [_taken_as(i, one, picked) for i in images]
    return [
        replace(i, circumstances=replace(i.circumstances, others=(*i.circumstances.others, own)))
        for i in changed
    ]


def _taken_as(image: Taken, one: Done, picked: Done) -> Taken:
    """An image of one exam that carries all that another exam's would."""
    person, exam = picked.exam.patient, picked.exam
    header = replace(
        image.header,
        accession=exam.accession,
        study_instance_uid=exam.study_instance_uid,
        patient_id=person.identifiers[0].value,
        patient_name=person.name,
        patient_birth_date=person.birth_date,
        patient_sex=person.sex,
    )
    c = image.circumstances
    mine = Waiting(
        one.exam.exam_id,
        one.patient_id,
        one.booked,
        one.booked + (one.ended - one.begun),
        one.arrived or one.begun,
        None,
    )
    shown = replace(
        c,
        patient_id=picked.patient_id,
        own=(Performed(exam.exam_id, picked.patient_id, c.room and picked.room, picked.begun, picked.ended),),
        waiting=(*c.waiting, mine) if one.arrived and c.room else c.waiting,
        arrived_at=picked.arrived,
        is_identified=picked.identified,
        is_urgent=picked.urgent,
        is_due=picked.booked - timedelta(minutes=30) < one.begun < picked.booked + timedelta(minutes=45),
    )
    return Taken(header, shown, exam)


def _another_time(images, one, done, random):
    """Images of the machine's memory, sent under this exam hours after they were taken, from another room."""
    if one.room.startswith("M"):
        return None
    back = timedelta(hours=random.uniform(3, 9))
    return [
        replace(i, circumstances=replace(i.circumstances, taken_at=one.begun - back, room="XR9"))
        for i in images
    ]


ERRORS: dict[str, tuple[str, Change]] = {
    "accession number of another exam": ("identifiers", _accession),
    "number typed by hand, one digit wrong": ("identifiers", _typed),
    "numbers of no exam here": ("identifiers", _unknown),
    "another patient": ("demographics", _patient),
    "a twin's given name": ("demographics", _twin),
    "somebody born on the same day": ("demographics", _same_birthday),
    "another birth date": ("demographics", _birth_date),
    "another sex": ("demographics", _sex),
    "side, in the header": ("side", _side("header")),
    "side, in the machine's words": ("side", _side("words")),
    "side, in both": ("side", _side("both")),
    "side, in the picture alone": ("picture alone", _side("picture alone")),
    "sides of a bilateral exam": ("side", _bilateral),
    "part, in the header": ("body part", _part("header")),
    "part, in the machine's words": ("body part", _part("words")),
    "part, in both": ("body part", _part("both")),
    "a neighbouring part, in both": ("neighbouring part, view", _part("neighbour")),
    "view": ("neighbouring part, view", _view),
    "another entry of the worklist": ("worklist entry, time", _wrong_entry),
    "the entry before, left open": ("worklist entry, time", _left_open),
    "sent hours later from elsewhere": ("worklist entry, time", _another_time),
}
"""Every kind of error: its group, and what it makes of an exam's images; None where the exam has nothing to be wrong about."""


def _wrong(images: list[Taken], one: Done, done: list[Done], number: int, random: Random) -> list[Taken]:
    """The images with one kind of error, the kinds taken in turn so that each comes as often as it can."""
    kinds = list(ERRORS)
    random.shuffle(kinds)
    for kind in kinds:
        group, change = ERRORS[kind]
        changed = change(images, one, done, random)
        if changed is not None:
            return [replace(i, error=kind, group=group) for i in changed]
    raise AssertionError("an exam without anything to be wrong about")
