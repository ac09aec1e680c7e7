"""FHIR R4 at 100,000 patients: reads and searches a second, CDS Hooks, and whether each search parameter finds by an index.

Method. An embedded PostgreSQL with its usual durability holds one site: so many patients with a number, an order, an
exam, a booking that is over, an image, a report and three facts each, spread over two years; a fifth of them with a
porter's job and a coverage, a fiftieth with a critical result. The rows go in by COPY and are analysed. One process
asks through Django's own handler, without a socket, one request after the other; keys are drawn from a seed. Beside it,
in the same process and the same way: a plain Django view that answers a constant (the floor of the framework), and a
bare psycopg query that fetches one patient with its numbers (the floor of the database). Printed are requests a second,
median and 99th percentile of wall time in milliseconds; the first few of each are thrown away.

With `plans`, each parameter of each type is searched once with a value that finds little, and each statement that
reads a large table from its beginning to its end is printed; nothing is printed where every one uses an index.

    python benchmarks/fhir_r4.py [patients] [calls]
    python benchmarks/fhir_r4.py plans [patients]
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from _desk import database, folder

PATIENTS = 100_000
CALLS = 300
WARM_UP = 5
DAYS = 730
LARGE = 5_000
"""Reading a table with fewer rows from one end to the other is no fault."""

BASE = "/fhir/R4/"
FAMILIES = ("Adler", "Brandt", "Çelik", "Dumont", "Eriksen", "Fischer", "Garcia", "Hansen", "Ito", "Jansen")


def put(model: Any, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows into the table of a model by COPY; what a row does not say is the field's default."""
    from django.db import connection
    from django.db.models import JSONField
    from psycopg.types.json import Jsonb

    fields = list(model._meta.concrete_fields)
    usual = {f.attname: f.get_default() for f in fields if not f.primary_key}
    names = [f.attname for f in fields]
    as_json = {f.attname for f in fields if isinstance(f, JSONField)}
    columns = ", ".join(f'"{f.column}"' for f in fields)
    with (
        connection.cursor() as cursor,
        cursor.copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN') as into,
    ):
        for row in rows:
            whole = usual | row
            into.write_row([Jsonb(whole[n]) if n in as_json else whole[n] for n in names])


def fill(count: int) -> Any:
    """The site with its rows; its patients have the keys from 1,000,001 on, and so have their exams."""
    from django.db import connection, transaction
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

    from tests.factories import make_site
    from xraydesk.access.models import Token
    from xraydesk.billing.models import Coverage
    from xraydesk.facts.models import Fact
    from xraydesk.imaging.models import Image
    from xraydesk.lib import clock
    from xraydesk.orders.models import Exam, Order, Procedure
    from xraydesk.patients.models import Patient, PatientIdentifier
    from xraydesk.results.models import Finding, Report
    from xraydesk.rooms.models import Room
    from xraydesk.scheduling.models import Booking
    from xraydesk.staff.models import Technologist
    from xraydesk.transport.models import TransportJob

    chance, now = random.Random(1), clock.now()
    site = make_site(rooms=10)
    procedure = Procedure.objects.get(site=site, code="XRCHEST2")
    rooms = list(Room.objects.filter(site=site).values_list("pk", flat=True))
    people = list(Technologist.objects.filter(site=site).values_list("pk", flat=True))
    first = 1_000_001
    keys = range(first, first + count)
    at = {key: now - timedelta(days=DAYS) * ((first + count - key) / count) for key in keys}
    born = now.date()
    family = {key: FAMILIES[chance.randrange(len(FAMILIES))] + str(key % 977) for key in keys}

    def some(every: int) -> Iterable[int]:
        return (key for key in keys if key % every == 0)

    here = {"site_id": site.pk}
    with transaction.atomic():
        put(
            Patient,
            (
                here
                | {
                    "id": k,
                    "family": family[k],
                    "given": "Ada",
                    "name_folded": f"{family[k].casefold()} ada",
                    "birth_date": born - timedelta(days=chance.randrange(30_000)),
                    "sex": "F" if k % 2 else "M",
                    "phone": f"555-{k}",
                    "created_at": at[k],
                }
                for k in keys
            ),
        )
        put(
            PatientIdentifier,
            (
                here | {"id": k, "patient_id": k, "value": f"MRN{k}", "authority": "HOSP", "type": "MR"}
                for k in keys
            ),
        )
        put(
            Order,
            (
                here
                | {
                    "id": k,
                    "patient_id": k,
                    "placer": f"PL{k}",
                    "placer_authority": "EHR",
                    "source": "link:EHR",
                    "patient_class": "O",
                    "provider_id": str(k % 400),
                    "received_at": at[k],
                }
                for k in keys
            ),
        )
        put(
            Exam,
            (
                here
                | {
                    "id": k,
                    "order_id": k,
                    "patient_id": k,
                    "accession": f"B{k}",
                    "study_instance_uid": f"2.25.{k}",
                    "requested_procedure_id": f"R{k}",
                    "scheduled_step_id": f"S{k}",
                    "procedure_id": procedure.pk,
                    "procedure_code": procedure.code,
                    "procedure_text": procedure.text,
                    "procedure_system": procedure.system,
                    "priority": "stat" if k % 50 == 0 else "routine",
                    "triage": "accepted",
                    "requested_at": at[k],
                    "created_at": at[k],
                }
                for k in keys
            ),
        )
        put(
            Booking,
            (
                here
                | {
                    "id": k,
                    "exam_id": k,
                    "patient_id": k,
                    "room_id": rooms[k % len(rooms)],
                    "technologist_id": people[k % len(people)],
                    "during": DateTimeTZRange(at[k], at[k] + timedelta(minutes=10)),
                    "state": "done",
                    "booked_at": at[k],
                    "booked_by": "rule",
                    "ended_at": at[k] + timedelta(minutes=10),
                }
                for k in keys
            ),
        )
        put(
            Image,
            (
                here
                | {
                    "id": k,
                    "exam_id": k,
                    "sop_instance_uid": f"2.25.{k}.1",
                    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
                    "series_instance_uid": f"2.25.{k}.2",
                    "study_instance_uid": f"2.25.{k}",
                    "transfer_syntax_uid": "1.2.840.10008.1.2.1",
                    "modality": "CR" if k % 500 == 0 else "DX",
                    "body_part": "CHEST",
                    "path": f"{k}.dcm",
                    "size_bytes": 1,
                    "sha256": "0",
                    "state": "matched",
                    "acquired_at": at[k],
                    "received_at": at[k],
                }
                for k in keys
            ),
        )
        put(
            Report,
            (
                here
                | {
                    "id": k,
                    "exam_id": k,
                    "state": "final",
                    "text": "The lungs are clear.",
                    "impression": "Nothing acute.",
                    "said_at": at[k],
                    "read_at": at[k],
                    "changed_at": at[k],
                }
                for k in keys
            ),
        )
        put(
            TransportJob,
            (
                here
                | {
                    "id": k,
                    "patient_id": k,
                    "exam_id": k,
                    "state": "delivered",
                    "kind": "fetch",
                    "ended_at": at[k],
                    "asked_at": at[k],
                    "due_at": at[k],
                }
                for k in some(5)
            ),
        )
        put(
            Coverage,
            (
                here
                | {
                    "id": k,
                    "patient_id": k,
                    "number": f"M{k}",
                    "authority": "PAYER",
                    "status": "active",
                    "resource": {
                        "resourceType": "Coverage",
                        "status": "active",
                        "beneficiary": {"reference": f"Patient/{k}"},
                        "payor": [{"display": "River Health"}],
                    },
                    "changed_at": at[k],
                }
                for k in some(5)
            ),
        )
        put(
            Finding,
            (
                here
                | {
                    "id": k,
                    "exam_id": k,
                    "report_id": k,
                    "state": "dismissed",
                    "key": "1",
                    "opened_at": at[k],
                    "source": "flag",
                    "category": 1,
                    "found_at": at[k],
                    "ended_at": at[k],
                }
                for k in some(50)
            ),
        )
        put(
            Fact,
            (
                here
                | {
                    "id": 10 * k + n,
                    "at": at[k],
                    "recorded_at": at[k],
                    "kind": kind,
                    "by": "rule",
                    "accession": f"B{k}",
                    "patient": k,
                }
                for k in keys
                for n, kind in enumerate(("order received", "exam booked", "exam ended"))
            ),
        )
    Token.objects.create(
        site=site, name="bench", role="system", sha256=hashlib.sha256(b"bench").hexdigest(), created_at=now
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return site


def timed(what: Callable[[], object], calls: int) -> list[float]:
    """Wall milliseconds of each call, sorted."""
    times = []
    for turn in range(calls + WARM_UP):
        began = time.perf_counter()
        what()
        if turn >= WARM_UP:
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def line(name: str, found: list[float]) -> str:
    """One row of what is printed."""
    last = found[round(0.99 * (len(found) - 1))]
    each = 1000 / statistics.fmean(found)
    return f"  {name:52} {each:7.0f} a second  median {statistics.median(found):7.1f} ms  p99 {last:7.1f} ms"


def client() -> Any:
    """A program with a token, without a socket."""
    from django.test import Client

    return Client(headers={"Authorization": "Bearer bench"}, SERVER_NAME="localhost")


def main(count: int, calls: int) -> None:
    """Fill, ask, print."""
    with folder() as work, database(work / "home"):
        from django.db import connection

        fill(count)
        chance, asking = random.Random(2), client()

        def key() -> int:
            return 1_000_001 + chance.randrange(count)

        def get(path: Callable[[], str]) -> Callable[[], object]:
            def ask() -> None:
                response = asking.get(BASE + path())
                assert response.status_code == 200, response.content

            return ask

        def bare() -> None:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT p.*, array_agg(i.value) FROM patients_patient p JOIN patients_patientidentifier i "
                    "ON i.patient_id = p.id WHERE p.id = %s GROUP BY p.id",
                    [key()],
                )
                assert cursor.fetchone()

        def hook() -> None:
            draft = {
                "resourceType": "ServiceRequest",
                "id": "1",
                "status": "draft",
                "intent": "proposal",
                "code": {"coding": [{"code": "XRCHEST2"}]},
                "subject": {"reference": "Patient/1"},
            }
            told = {
                "hook": "order-select",
                "hookInstance": "1",
                "fhirServer": "http://localhost/fhir/R4",
                "context": {
                    "patientId": str(key()),
                    "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": draft}] * 3},
                },
            }
            response = asking.post("/fhir/cds-services/order-select", json.dumps(told), "application/json")
            assert response.status_code == 200, response.content

        asks = {
            "read Patient": lambda: f"Patient/{key()}",
            "read ServiceRequest": lambda: f"ServiceRequest/{key()}",
            "Patient by number": lambda: f"Patient?identifier=MRN{key()}",
            "Patient by family name, 20": lambda: f"Patient?family=hansen{chance.randrange(977)}&_count=20",
            "ServiceRequest of a patient": lambda: f"ServiceRequest?patient={key()}",
            "ServiceRequest by number of a patient": lambda: f"ServiceRequest?patient.identifier=MRN{key()}",
            "Appointment of a day, 50": lambda: "Appointment?date=" + _day(chance) + "&_count=50&_total=none",
            "DiagnosticReport of an order, with it": lambda: (
                f"DiagnosticReport?based-on={key()}&_include=DiagnosticReport:based-on"
            ),
        }
        print(f"{count} patients, {calls} calls each, one after the other")
        print(line("floor: bare psycopg, one patient with numbers", timed(bare, calls)))
        print(
            line(
                "floor: plain Django, /healthz through the handler",
                timed(lambda: asking.get("/healthz"), calls),
            )
        )
        for name, path in asks.items():
            print(line(name, timed(get(path), calls)))
        print(line("CDS Hooks order-select, 3 drafts", timed(hook, calls)))


def _day(chance: random.Random) -> str:
    from xraydesk.lib import clock

    return (clock.now() - timedelta(days=chance.randrange(1, DAYS))).date().isoformat()


def plans(count: int) -> None:
    """Each parameter once; what reads a large table whole is printed."""
    with folder() as work, database(work / "home"):
        from django.db import connection

        from xraydesk.links.fhir.kinds import KINDS

        fill(count)
        asking, found = client(), 0
        for kind in KINDS.values():
            for search in _searches(kind, count):
                with _captured(connection) as statements:
                    began = time.perf_counter()
                    response = asking.get(BASE + search)
                    spent = (time.perf_counter() - began) * 1000
                assert response.status_code == 200, response.content
                whole = [
                    table for sql, values in statements for table in _read_whole(connection, sql, values)
                ]
                found += bool(whole)
                print(
                    f"  {search:84} {spent:7.1f} ms  {'reads whole: ' + ', '.join(sorted(set(whole))) if whole else ''}"
                )
        print(f"{found} searches read a table whole")


def _searches(kind: Any, count: int) -> Iterator[str]:
    key = 1_000_001 + count // 2
    key -= key % 50
    values = {
        "_id": str(key),
        "identifier": f"PL{key}",
        "name": "hansen123",
        "family": "hansen123",
        "given": "zoe",
        "birthdate": "1990-01-01",
        "gender": "other",
        "phone": f"555-{key}",
        "active": "false",
        "deceased": "true",
        "intent": "plan",
        "priority": "asap",
        "code": "NONE",
        "service-type": "XRCHEST2",
        "requester": "399",
        "modality": "CR",
        "patient.identifier": f"MRN{key}",
        "agent-name": "nobody",
        "criteria": "none",
        "url": "none",
        "_source": "none",
        "version": "none",
        "target-system": "none",
    }
    rare = {
        "ServiceRequest": "on-hold",
        "Appointment": "noshow",
        "DiagnosticReport": "preliminary",
        "Communication": "in-progress",
        "Task": "rejected",
        "Coverage": "draft",
        "Slot": "free",
    }
    for name, parameter in kind.parameters.items():
        value = values.get(name) or {"reference": str(key), "date": "2031-01-01"}.get(parameter.type, "none")
        if parameter.type == "reference" and name == "actor":
            value = f"Location/{key}" if kind.name == "Schedule" else f"Patient/{key}"
        if name == "status":
            value = rare.get(kind.name, "active")
        if name == "_lastUpdated":
            value = "ge2031-01-01"
        if name == "service-type" and kind.name == "Appointment":
            value = "NONE"
        if kind.name == "Patient" and name == "identifier":
            value = f"MRN{key}"
        if name == "active" and kind.name != "Patient":
            value = "true"
        extra = (
            "&service-type=XRCHEST2" if kind.name == "Slot" and name not in ("service-type", "_id") else ""
        )
        yield f"{kind.name}?{name}={value}{extra}"


@contextlib.contextmanager
def _captured(connection: Any) -> Iterator[list[tuple[str, Any]]]:
    kept: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, values: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith("SELECT"):
            kept.append((sql, values))
        return execute(sql, values, many, context)

    with connection.execute_wrapper(note):
        yield kept


def _read_whole(connection: Any, sql: str, values: Any) -> list[str]:
    """The large tables that a statement reads from one end to the other."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", values)
        told = cursor.fetchone()[0]
    plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    return list(_scans(connection, plan))


def _scans(connection: Any, node: Mapping[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        with connection.cursor() as cursor:
            cursor.execute("SELECT reltuples FROM pg_class WHERE relname = %s", [node["Relation Name"]])
            if cursor.fetchone()[0] > LARGE:
                yield node["Relation Name"]
    for part in node.get("Plans", ()):
        yield from _scans(connection, part)


if __name__ == "__main__":
    if sys.argv[1:2] == ["plans"]:
        plans(int(sys.argv[2]) if len(sys.argv) > 2 else PATIENTS)
    else:
        main(
            int(sys.argv[1]) if len(sys.argv) > 1 else PATIENTS,
            int(sys.argv[2]) if len(sys.argv) > 2 else CALLS,
        )
