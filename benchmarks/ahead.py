"""Booking ahead in a house of thirty rooms with four weeks of bookings: finding, holding, booking.

Method. An embedded PostgreSQL with its usual durability and the department of
`site/university.toml`, its rooms filled to about two thirds on every day of four weeks, each
booking with a technologist who is on then. Calls are made in one process, one after the other,
as FHIR, patients' links and the page make them: the first sixty places for one procedure; nine
places that lie apart, for one exam and for a visit of three; a hold; a booking. The first three
of each are thrown away. Printed are median and 99th percentile in milliseconds of wall time.

    python benchmarks/ahead.py [calls]
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from _desk import ROOT, database, folder

DAYS = 28
FULL = 2 / 3
PATIENTS = 400
WARM_UP = 3


def fill(site: Any, at: Any, chance: random.Random) -> int:
    """Bookings of four weeks: outpatients side by side in each room, with whoever is free."""
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

    from tests.factories import make_exam, make_patient
    from xraydesk.lib.ids import new_uid
    from xraydesk.orders.models import Exam
    from xraydesk.orders.states import TriageState
    from xraydesk.scheduling.models import Booking
    from xraydesk.scheduling.queries import department_of

    kept = []
    for day in range(DAYS):
        since = at + timedelta(days=day)
        department, _ = department_of(site=site, since=since, until=since + timedelta(days=1))
        people = department.technologists or ()
        free = {person.technologist_id: since for person in people}
        starts = sorted(
            (stretch.start + timedelta(minutes=15 * number), room.room_id)
            for room in department.rooms
            for stretch in room.open
            for number in range((stretch.end - stretch.start) // timedelta(minutes=15))
        )
        for start, room_id in starts:
            end = start + timedelta(minutes=15)
            able = [
                person.technologist_id
                for person in people
                if free[person.technologist_id] <= start
                and any(on.start <= start and end <= on.end for on in person.on)
            ]
            if able and chance.random() < FULL:
                who = chance.choice(able)
                free[who] = end
                kept.append((room_id, who, start, end))
    people_booked = [make_patient(site) for _ in range(PATIENTS)]
    order = make_exam(site, patient=people_booked[0]).order
    exams = Exam.objects.bulk_create(
        [
            Exam(
                site=site,
                order=order,
                patient=people_booked[number % PATIENTS],
                sequence=number + 2,
                accession=f"B{number:06}",
                study_instance_uid=new_uid(),
                requested_procedure_id=f"R{number}",
                scheduled_step_id=f"S{number}",
                triage=TriageState.ACCEPTED,
                created_at=at,
            )
            for number in range(len(kept))
        ],
        batch_size=1000,
    )
    Booking.objects.bulk_create(
        [
            Booking(
                site=site,
                exam=exam,
                patient=exam.patient,
                room_id=room_id,
                technologist_id=who,
                during=DateTimeTZRange(start, end),
                booked_at=at,
                booked_by="rule",
            )
            for exam, (room_id, who, start, end) in zip(exams, kept, strict=True)
        ],
        batch_size=1000,
    )
    return len(kept)


def timed(what: Callable[[], object], calls: int) -> list[float]:
    """Wall milliseconds of each call, the first few left out."""
    times = []
    for turn in range(calls + WARM_UP):
        began = time.perf_counter()
        what()
        if turn >= WARM_UP:
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def main(calls: int) -> None:
    """Fill the house, ask, print."""
    with folder() as work, database(work / "home"):
        from tests.factories import make_exam, make_patient
        from xraydesk.access.models import Site
        from xraydesk.journey.ahead import Wish, book, find_slots, hold
        from xraydesk.journey.load_site import load_site
        from xraydesk.lib import clock
        from xraydesk.orders.models import Procedure
        from xraydesk.siteplan.reading import read_toml

        at = clock.now().replace(second=0, microsecond=0)
        load_site(plan=read_toml(ROOT / "site" / "university.toml"), at=at, by="desk")
        site = Site.objects.get(code="UNIV")
        chance = random.Random(1)
        number = fill(site, at, chance)
        chest = Procedure.objects.get(site=site, code="XRCHEST2")

        def exams(codes: tuple[str, ...]) -> Wish:
            patient = make_patient(site)
            return Wish(exam_ids=tuple(make_exam(site, patient=patient, code=code).pk for code in codes))

        one, three = exams(("XRCHEST2",)), exams(("XRCHEST2", "XRKNEE2", "XRABD1"))
        later = at + timedelta(days=7)

        def hold_one() -> None:
            wish = exams(("XRCHEST2",))
            offer = find_slots(site=site, wish=wish, at=at, since=later, count=1)[0]
            began = time.perf_counter()
            kept = hold(site=site, wish=wish, places=[offer.parts[0].place], at=at, by="bench")
            held.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            book(site=site, hold_id=kept.pk, at=at, by="bench")
            booked.append((time.perf_counter() - began) * 1000)

        held: list[float] = []
        booked: list[float] = []
        print(f"30 rooms, {number} bookings in {DAYS} days, {calls} calls each")
        results = {
            "60 places, one procedure": timed(
                lambda: find_slots(
                    site=site, wish=Wish(procedure_ids=(chest.pk,)), at=at, since=later, count=60
                ),
                calls,
            ),
            "9 that lie apart, one exam": timed(
                lambda: find_slots(site=site, wish=one, at=at, since=later, count=9, spread=True), calls
            ),
            "9 that lie apart, visit of 3": timed(
                lambda: find_slots(site=site, wish=three, at=at, since=later, count=9, spread=True), calls
            ),
        }
        timed(hold_one, calls)
        results |= {"hold": sorted(held[WARM_UP:]), "book": sorted(booked[WARM_UP:])}
        for name, found in results.items():
            last = found[min(len(found) - 1, round(0.99 * (len(found) - 1)))]
            print(f"  {name:30} median {statistics.median(found):7.1f} ms  p99 {last:7.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
