"""Rows gathered into one statement, and questions asked ahead: nobody can tell them from rows and questions one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connection
from django.db.models import Model
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext
from procrastinate.contrib.django import app as jobs

from tests.factories import AT, make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.facts.actions import REACT_QUEUE, REACT_TASK, record
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.lib import locks, prepared
from xraydesk.lib.prepared import (
    GATHERED_MAX,
    PREPARED_MAX,
    Question,
    all_or_nothing,
    ask,
    ask_ahead,
    gathered,
    insert,
    next_keys,
    rows_of,
    rows_with,
    step,
)
from xraydesk.orders.models import Exam, Procedure
from xraydesk.patients.models import Patient, PatientIdentifier
from xraydesk.scheduling.models import Booking
from xraydesk.trials.models import Trial

pytestmark = pytest.mark.django_db

HOW_MANY = Question("SELECT count(*) FROM patients_patient", (), frozenset({"patients_patient"}))
OF_NOTHING = Question("SELECT 1")


@pytest.fixture(autouse=True, params=["directly", "through a pooler"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds behind a connection pooler in transaction mode, too, where nothing can be prepared (row 49)."""
    if request.param != "directly":
        monkeypatch.setattr(prepared, "_keeps_plans", lambda cursor: False)


@pytest.fixture
def site() -> Site:
    return make_site()


@contextmanager
def round_trips(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """What is asked of the database by prepared statements, a list for each round trip."""
    asked: list[list[str]] = []
    real = prepared._ask

    def noted(questions: list[Question], **how: bool) -> list[list[tuple[Any, ...]]]:
        asked.append([question.statement for question in questions])
        return real(questions, **how)

    with monkeypatch.context() as patch:
        patch.setattr(prepared, "_ask", noted)
        yield asked


def patient(site: Site, family: str = "Osei") -> Patient:
    return Patient(site=site, family=family, created_at=AT)


def test_rows_of_several_tables_are_written_in_one_statement_with_the_job_that_follows(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with round_trips(monkeypatch) as asked, gathered():
        ask_ahead([])
        one = insert(patient(site, "Ñandú"))
        insert(PatientIdentifier(site=site, patient=one, value="N1", authority="HOSP"))
        fact = record(
            site_id=site.pk, kind=FactKind.ORDER_RECEIVED, at=AT, by="rule", data={"a": [1, None, "ö"]}
        )
        assert not any(statement.startswith("WITH") for trip in asked for statement in trip)
    assert sum(statement.startswith("WITH") for trip in asked for statement in trip) == 1
    assert Patient.objects.get(identifiers__value="N1").family == "Ñandú"
    kept = Fact.objects.get()
    assert (kept.pk, kept.kind, kept.data, kept.patient) == (
        fact.pk,
        "order received",
        {"a": [1, None, "ö"]},
        None,
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT queue_name, task_name, args, status, priority, lock FROM procrastinate_jobs")
        assert cursor.fetchall() == [("reactions", "react", f'{{"fact_id": {fact.pk}}}', "todo", 0, None)]


def test_a_job_asked_for_with_rows_is_the_one_that_the_queue_would_have_written(site: Site) -> None:
    with gathered():
        record(site_id=site.pk, kind=FactKind.ORDER_RECEIVED, at=AT, by="rule")
    record(site_id=site.pk, kind=FactKind.ORDER_RECEIVED, at=AT, by="rule")
    jobs.configure_task(REACT_TASK, queue=REACT_QUEUE).defer(fact_id=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT to_jsonb(j) - 'id' - 'args'),"
            " count(DISTINCT args), min(jsonb_object_keys) FROM procrastinate_jobs j, jsonb_object_keys(args)"
        )
        assert cursor.fetchone() == (3, 1, 3, "fact_id")


def test_whoever_asks_sees_what_was_gathered(site: Site) -> None:
    with gathered(Patient):
        ask_ahead([OF_NOTHING])
        one = insert(patient(site))
        assert ask(HOW_MANY) == [(1,)]
        insert(patient(site))
        assert Patient.objects.count() == 2
        one.family = "Prüfer"
        one.save()
    assert set(Patient.objects.values_list("family", flat=True)) == {"Prüfer", "Osei"}


def test_a_question_of_other_tables_does_not_part_the_rows(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with round_trips(monkeypatch) as asked, gathered():
        insert(patient(site))
        assert [row.code for row in rows_of(Procedure, "site_id = $1 AND code = $2", [site.pk, "XRCHEST2"])]
        insert(patient(site))
    assert [trip[0].count("INSERT") for trip in asked if trip[0].startswith("WITH")] == [2]


def test_rows_read_by_a_prepared_statement_are_those_of_the_table(site: Site) -> None:
    read = {row.pk: row.__dict__ for row in rows_of(Procedure, "site_id = $1", [site.pk])}
    for row in Procedure.objects.all():
        assert {k: v for k, v in read[row.pk].items() if k != "_state"} == {
            k: v for k, v in row.__dict__.items() if k != "_state"
        }


def test_json_that_is_not_there_is_written_and_read_as_such(site: Site) -> None:
    written = insert(
        Trial(site=site, at=AT, by="user:ann", policies={}, scenario="", load_percent=100, days=1, seed=1)
    )
    assert Trial.objects.get(report__isnull=True).pk == written.pk
    (read,) = rows_of(Trial, "site_id = $1 AND report IS NULL", [site.pk])
    assert (read.report, read.charts, read.policies) == (None, [], {})


def test_an_answer_asked_ahead_is_given_once_and_not_after_a_row_of_its_table_came(site: Site) -> None:
    with gathered():
        ask_ahead([locks.question(["a"]), HOW_MANY])
        assert ask(HOW_MANY) == [(0,)]
        insert(patient(site))
        assert ask(HOW_MANY) == [(1,)]
        ask_ahead([HOW_MANY])
        insert(patient(site))
        assert ask(HOW_MANY) == [(2,)]
        ask_ahead([HOW_MANY])
        Patient.objects.all().delete()
        assert ask(HOW_MANY) == [(0,)]


def test_outside_a_block_nothing_is_asked_ahead_and_rows_are_written_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with round_trips(monkeypatch) as asked:
        ask_ahead([HOW_MANY])
    assert asked == []
    assert insert(patient(site)).pk == Patient.objects.get().pk
    first, second = next_keys(Patient, 2)
    assert second > first > Patient.objects.get().pk


def test_what_was_gathered_in_a_step_that_fails_is_forgotten_with_it(site: Site) -> None:
    with gathered():
        insert(patient(site, "before"))
        with pytest.raises(ValueError, match="wrong"), step():
            insert(patient(site, "within"))
            raise ValueError("wrong")
        insert(patient(site, "after"))
    assert set(Patient.objects.values_list("family", flat=True)) == {"before", "after"}


def test_a_row_that_a_constraint_refuses_undoes_its_step_and_no_other(site: Site) -> None:
    with gathered():
        one = insert(patient(site, "before"))
        insert(PatientIdentifier(site=site, patient=one, value="N1", authority="HOSP"))
        with pytest.raises(IntegrityError), step():
            two = insert(patient(site, "twice"))
            insert(PatientIdentifier(site=site, patient=two, value="N1", authority="HOSP"))
        insert(patient(site, "after"))
    assert set(Patient.objects.values_list("family", flat=True)) == {"before", "after"}


def test_where_all_or_nothing_is_asked_for_a_step_that_fails_takes_everything_with_it(site: Site) -> None:
    with all_or_nothing(), pytest.raises(ValueError, match="wrong"), gathered():
        insert(patient(site, "before"))
        with step():
            insert(patient(site, "within"))
            raise ValueError("wrong")
    assert not Patient.objects.exists()


def test_more_rows_than_one_statement_holds_are_all_written(site: Site) -> None:
    with gathered():
        for _ in range(GATHERED_MAX * 2 + 1):
            insert(patient(site))
    assert Patient.objects.count() == GATHERED_MAX * 2 + 1


@pytest.mark.parametrize(
    "break_it", [lambda: ask(Question("SELECT 1/0")), lambda: ask_ahead([OF_NOTHING, Question("SELECT 1/0")])]
)
def test_what_the_database_refuses_is_raised_as_everywhere(break_it: Callable[[], None]) -> None:
    with pytest.raises(Exception, match="division by zero") as caught, gathered():
        break_it()
    assert caught.type.__module__ == "django.db.utils"
    assert ask(OF_NOTHING) == [(1,)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ahead", [False, True])
def test_a_connection_that_was_lost_is_told_as_such(ahead: bool) -> None:
    """So that whoever took a message does not acknowledge it (row 1)."""
    end = Question("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(OperationalError), gathered():
        ask_ahead([OF_NOTHING, end, HOW_MANY]) if ahead else ask(end)
    connection.close()
    assert ask(OF_NOTHING) == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_the_rows_and_the_end_of_the_transaction_go_together() -> None:
    site = make_site()
    with gathered():
        insert(patient(site))
    connection.close()  # whatever was not committed is gone
    assert Patient.objects.count() == 1
    with gathered():
        insert(patient(site))
        ask(HOW_MANY)
        assert Patient.objects.count() == 2
    connection.close()
    assert Patient.objects.count() == 2
    with pytest.raises(IntegrityError), gathered():
        insert(PatientIdentifier(site=site, patient_id=0, value="N1"))  # refused at the commit alone
    with gathered():
        insert(patient(site))
    assert (Patient.objects.count(), PatientIdentifier.objects.count()) == (3, 0)


def test_a_connection_that_has_prepared_much_begins_anew() -> None:
    for number in range(PREPARED_MAX * 2 + 3):
        assert ask(Question(f"SELECT {number}, $1::text", ["it's \\ 100 % {b}"])) == [
            (number, "it's \\ 100 % {b}")
        ]


def test_plans_are_kept_where_the_servers_own_process_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 49: a pooler gives another number than that of the process that answers."""
    monkeypatch.undo()
    connection.ensure_connection()

    class Behind(psycopg.Cursor[Any]):
        def fetchone(self) -> Any:
            return (0,)

    for kind, keeps in ((psycopg.Cursor, True), (Behind, False)):
        monkeypatch.setattr(prepared, "_prepared", WeakKeyDictionary())
        connection.connection.execute("DEALLOCATE ALL")
        assert prepared._keeps_plans(kind(connection.connection)) is keeps
        assert ask(Question("SELECT $1::int + $2::int", [1, -2])) == [(-1,)]


def test_rows_come_with_those_that_they_point_to_in_one_round_trip(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_exam(site), make_exam(site, code="XRKNEE2")
    other = make_exam(site, procedure=None)
    Exam.objects.filter(pk=other.pk).update(order=first.order, sequence=2)
    make_booking(first)
    wanted = ("site", "order", "patient", "procedure")
    with round_trips(monkeypatch) as asked:
        found = rows_with(Exam, "id = ANY ($1::bigint[])", [[other.pk, first.pk]], *wanted, lock=True)
        assert [exam.pk for exam in found] == [first.pk, other.pk]
        (booked,) = rows_with(Booking, "exam_id = $1", [first.pk], "room", "room__location", "technologist")
        assert rows_with(Exam, "id = $1", [0], *wanted) == []
    assert [len(trip) for trip in asked] == [5, 4, 5]
    assert "FOR UPDATE" in asked[0][0]
    assert not any("FOR UPDATE" in statement for statement in [*asked[0][1:], *asked[1]])
    assert found[0].order is found[1].order
    with CaptureQueriesContext(connection) as none:
        assert (found[0].procedure, found[1].procedure) == (first.procedure, None)
        assert (found[0].patient, found[0].site) == (first.patient, site)
        assert booked.room.location.code == "MAIN"
        assert booked.technologist.code == "T1"
    assert len(none) == 0
    one = Exam.objects.select_related(*wanted).get(pk=second.pk)
    (read,) = rows_with(Exam, "id = $1", [second.pk], *wanted)
    for related in ("", *wanted):
        ours, django = (getattr(exam, related) if related else exam for exam in (read, one))
        assert _values(ours) == _values(django)


def _values(row: Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.mark.django_db(transaction=True)
def test_rows_are_locked_in_a_transaction_only() -> None:
    with pytest.raises(TransactionManagementError):
        rows_with(Exam, "id = $1", [1], lock=True)


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_cut_since_the_last_step_is_opened_anew() -> None:
    """Row 48."""
    assert ask(OF_NOTHING) == [(1,)]
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    other.close()
    assert connection.health_check_enabled
    connection.health_check_done = False
    assert ask(OF_NOTHING) == [(1,)]
