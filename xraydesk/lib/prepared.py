"""Statements that are asked many times a second: prepared once, and new rows of several tables in one of them.

A message that comes in asks the same few questions and writes the same few rows every time. Building each
statement anew costs more than PostgreSQL needs to answer it. Here a statement is written down once, with `$1`,
`$2`… for its values, and the server keeps its plan.

`gathered` collects the new rows of a step and writes them together. Nobody can tell the difference: they are
written before anything else is asked of the database, and at the latest where the block ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction
from psycopg.adapt import Transformer
from psycopg.types.json import Jsonb

from xraydesk.lib.shared_field import SharedJSONField
from xraydesk.lib.shared_json import shared

M = TypeVar("M", bound=models.Model)

GATHERED_MAX = 16
"""So many rows are written at once; more of them go in several statements."""

_TO_QUOTE = re.compile(r"['\\]")

PREPARED_MAX = 100
"""A connection keeps the plans of so many statements; beyond them it begins anew."""

_LOCKS = {
    (False, False): "",
    (True, False): " FOR UPDATE",
    (True, True): " FOR SHARE",
}

SHAPES_MAX = 256
"""So many different statements of gathered rows are remembered."""


@dataclass(frozen=True)
class Question:
    """A prepared statement with `$1`, `$2`… and its values, and the names of the tables that it reads."""

    statement: str
    values: Sequence[Any] = ()
    reads: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """The same for the same question."""
        return f"{self.statement}{self.values!r}"


def ask(question: Question) -> list[tuple[Any, ...]]:
    """The answer to a question. Raises Django's database errors.

    Gathered rows of the tables that it reads are written before.
    """
    gathering = _gathering.get()
    if gathering is None:
        return _ask([question])[0]
    return gathering.ask(question)


def ask_ahead(*works: Iterable[Question], first: Iterable[Question] = ()) -> None:
    """Ask, in one round trip and in this order, what will be asked one by one in a `gathered` block; elsewhere nothing.

    Each question sees what was committed when those before it were answered, so that locks come `first` as
    always; their answers are not kept. An answer is given once, and only while nothing was written to what it
    tells of. Where there are several works, each asks inside its own `work`.
    """
    gathering = _gathering.get()
    if gathering is not None:
        gathering.ask_ahead(list(first), [list(questions) for questions in works])


@contextmanager
def work(number: int) -> Iterator[None]:
    """Inside, what is asked and written is of that work, from 0 on, of those that were asked ahead together.

    The caller knows that no work writes what another one asks: their answers outlive each other's rows.
    """
    gathering = _gathering.get()
    assert gathering is not None
    before, gathering.now = gathering.now, gathering.works[number]
    try:
        yield
    finally:
        gathering.now = before


def ask_all(questions: Sequence[Question]) -> list[list[tuple[Any, ...]]]:
    """The answers to several questions in one round trip, in their order. Raises Django's database errors.

    Each sees what was committed when those before it were answered, and what was gathered is written before.
    """
    gathering = _gathering.get()
    return _ask(questions) if gathering is None else gathering.ask_all(questions)


def rows_of(model: type[M], where: str, values: Sequence[Any]) -> list[M]:
    """The rows of a table for which `where` holds, by a prepared statement; related rows are not read with them."""
    return _made(model, ask(rows_question(model, where, values)))


def rows_with(
    model: type[M],
    where: str,
    values: Sequence[Any],
    *related: str,
    order: str = "id",
    lock: bool = False,
    shared: bool = False,
) -> list[M]:
    """The rows of a table for which `where` holds, with the rows that they point to by `related`, in one round trip.

    `related` are names as for Django's `select_related` (`step`, `step__room`); rows that several point to are one
    object. The columns in `where` are those of the table alone. With `lock` the rows (not those that they point to)
    are locked in their order until the transaction ends, before any other is read. A `shared` lock is one that others
    may hold as well who want the rows to stay as they are; whoever wants to change one waits for all of them.

    Raises TransactionManagementError where rows are to be locked and no transaction is open.
    """
    if lock and not connection.in_atomic_block:
        raise transaction.TransactionManagementError("rows are locked inside a transaction only")
    statements, links = _reading(model, where, related, order, _LOCKS[lock, shared])
    answers = ask_all([Question(statement, values) for statement in statements])
    rows = _made(model, answers[0])
    found: list[list[Any]] = [list(rows)]
    for (held_by, field), answer in zip(links, answers[1:], strict=True):
        there = {row.pk: row for row in _made(field.related_model, answer)}
        for row in found[held_by]:
            key = getattr(row, field.attname)
            if key is None or key in there:
                field.set_cached_value(row, there.get(key))
        found.append(list(there.values()))
    return rows


def _made(model: type[M], answer: Iterable[tuple[Any, ...]]) -> list[M]:
    table = _table_of(model)
    return [
        model.from_db(
            connection.alias,
            table.attributes,
            [value if read is None else read(value) for value, read in zip(row, table.readers, strict=True)],
        )
        for row in answer
    ]


def rows_question(model: type[models.Model], where: str, values: Sequence[Any]) -> Question:
    """What `rows_of` asks."""
    table = _table_of(model)
    return Question(f"{table.select} WHERE {where}", values, frozenset({model._meta.db_table}))


def insert(row: M, *calls: str) -> M:
    """Write a new row, at once or with the others of a `gathered` block; its key is set either way.

    `calls` are functions of the database to be called in the same statement, `$` standing for the row's key.
    """
    gathering = _gathering.get()
    alone = gathering or _Gathering((type(row),))
    alone.add(row)
    alone.now.calls += [(call, row.pk) for call in calls]
    if gathering is None:
        alone.write()
    return row


def next_keys(model: type[models.Model], count: int) -> list[int]:
    """Keys for new rows of a table, that nobody else gets; a sequence is never waited for."""
    gathering = _gathering.get()
    if gathering is not None:
        return [gathering.key(model) for _ in range(count)]
    return [row[0] for row in _ask([_next_keys((model,), count)])[0]]


@contextmanager
def gathered(*likely: type[models.Model]) -> Iterator[None]:
    """A transaction that writes the rows inserted inside in as few statements as can be, the last with its own end.

    `likely` are the tables of which a row will most likely be written, as often as that; their keys are taken
    with the first questions that are asked ahead. Keys that were not needed are never given again, as after a
    transaction that was undone.
    """
    gathering = _Gathering(likely)
    token = _gathering.set(gathering)
    try:
        with transaction.atomic(), connection.execute_wrapper(gathering.before):
            # Inside another transaction that one goes on; else the first text begins it and the last one ends it.
            is_outermost = len(connection.atomic_blocks) == 1
            if is_outermost:
                gathering.begin_with_first()
            yield
            # Django's own commit finds nothing open then.
            gathering.write(and_commit=is_outermost)
    finally:
        _gathering.reset(token)


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """Inside, a `step` that fails takes the whole transaction with it: whoever asks for this begins anew without it."""
    token = _all_or_nothing.set(True)
    try:
        yield
    finally:
        _all_or_nothing.reset(token)


def is_all_or_nothing() -> bool:
    """True inside `all_or_nothing`."""
    return _all_or_nothing.get()


def step() -> AbstractContextManager[Any]:
    """A transaction; inside another one a savepoint, so that a step that fails leaves nothing and others go on."""
    return transaction.atomic(savepoint=not _all_or_nothing.get())


class _Work:
    """What one of several works of a block has asked ahead, and its rows that are not written yet."""

    def __init__(self) -> None:
        self.rows: list[models.Model] = []
        self.calls: list[tuple[str, Any]] = []
        self.known: dict[str, tuple[frozenset[str], list[tuple[Any, ...]]]] = {}


class _Gathering:
    """The rows of one block that are not written yet."""

    def __init__(self, likely: Sequence[type[models.Model]]) -> None:
        self.works = [_Work()]
        self.now = self.works[0]
        self._likely = tuple(likely)
        self._keys: dict[type[models.Model], list[int]] = {}
        self._is_to_begin = False

    def begin_with_first(self) -> None:
        """Have the transaction begin with whatever is asked first, and not by a round trip of its own."""
        connection.connection.autocommit = True  # the driver begins none by itself: it begins as told
        self._is_to_begin = True

    def ask(self, question: Question) -> list[tuple[Any, ...]]:
        known = self.now.known.pop(question.key, None)
        if known is not None:
            return known[1]
        if not question.reads.isdisjoint(row._meta.db_table for row in self.now.rows):
            self.write()
        return self._ask([question])[0]

    def ask_all(self, questions: Sequence[Question]) -> list[list[tuple[Any, ...]]]:
        self.write()
        return self._ask(questions)

    def ask_ahead(self, first: list[Question], works: list[list[Question]]) -> None:
        self.write()
        while len(self.works) < len(works):
            self.works.append(_Work())
        # What several works ask in the same words is answered once.
        asked = {question.key: question for questions in works for question in questions}
        questions = [*first, *asked.values()]
        if not questions:
            return
        if self._likely:
            questions.append(_next_keys(self._likely, len(works)))
        answers = self._ask(questions)
        if self._likely:
            for row in answers.pop():
                for model, key in zip(self._likely, row, strict=True):
                    self._keys.setdefault(model, []).insert(0, key)
            self._likely = ()
        given = dict(zip(asked, answers[len(first) :], strict=True))
        for one, mine in zip(self.works, works, strict=False):
            one.known = {question.key: (question.reads, given[question.key]) for question in mine}

    def add(self, row: models.Model) -> None:
        model = type(row)
        if row.pk is None:
            row.pk = self.key(model)
        row._state.adding, row._state.db = False, connection.alias
        now, table = self.now, model._meta.db_table
        now.rows.append(row)
        now.known = {key: known for key, known in now.known.items() if table not in known[0]}
        if len(now.rows) >= GATHERED_MAX:
            self.write()

    def key(self, model: type[models.Model]) -> int:
        keys = self._keys.get(model)
        return keys.pop() if keys else int(self._ask([_next_keys((model,), 1)])[0][0][0])

    def write(self, *, and_commit: bool = False) -> None:
        """Write what was gathered so far. What was known before may be otherwise now."""
        written = [one for one in self.works if one.rows or one.calls]
        if written:
            writings = [_writing(one.rows, one.calls) for one in written]
            for one in written:
                one.rows, one.calls, one.known = [], [], {}
            self._ask(writings, and_commit=and_commit)

    def before(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        """Django asks something: what was gathered is written first, or forgotten where its step is undone."""
        if isinstance(sql, str) and sql.startswith("ROLLBACK"):
            for one in self.works:
                one.rows, one.calls = [], []
        else:
            self.write()
        if self._is_to_begin:
            self._is_to_begin = False
            connection.connection.execute("BEGIN")
        if not (isinstance(sql, str) and sql.startswith("SELECT")):
            for one in self.works:
                one.known = {}
        return execute(sql, params, many, context)

    def _ask(self, questions: Sequence[Question], *, and_commit: bool = False) -> list[list[tuple[Any, ...]]]:
        begin, self._is_to_begin = self._is_to_begin, False
        return _ask(questions, begin=begin, and_commit=and_commit)


_gathering: ContextVar[_Gathering | None] = ContextVar("rows gathered", default=None)
_all_or_nothing: ContextVar[bool] = ContextVar("all or nothing", default=False)


class _Table:
    """How rows of a model are written and read: every column of it, each value as PostgreSQL's driver wants it."""

    def __init__(self, model: type[models.Model]) -> None:
        fields = model._meta.concrete_fields
        quoted = connection.ops.quote_name
        self.name = quoted(model._meta.db_table)
        self.attributes = tuple(field.attname for field in fields)
        self.columns = ", ".join(quoted(str(field.column)) for field in fields)
        self.select = f"SELECT {self.columns} FROM {self.name}"
        self.writers: tuple[Callable[[Any], Any] | None, ...] = tuple(map(_writer, fields))
        self.readers: tuple[Callable[[Any], Any] | None, ...] = tuple(map(_reader, fields))


def _writer(field: Any) -> Callable[[Any], Any] | None:
    if isinstance(field, models.JSONField):
        return lambda value: None if value is None else Jsonb(value)
    if isinstance(field, models.CharField | models.TextField):
        return str.__str__  # a member of an enumeration is written as its text
    return list if isinstance(field, ArrayField) else None


def _reader(field: Any) -> Callable[[Any], Any] | None:
    if isinstance(field, SharedJSONField):
        return shared
    if isinstance(field, models.JSONField):
        return lambda text: None if text is None else json.loads(text)
    return None


@cache
def _table_of(model: type[models.Model]) -> _Table:
    return _Table(model)


@lru_cache(maxsize=SHAPES_MAX)
def _reading(
    model: type[models.Model], where: str, related: tuple[str, ...], order: str, lock: str
) -> tuple[list[str], list[tuple[int, Any]]]:
    """The statements that read rows and those they point to; of each but the first, by which field of which one's rows."""
    end = f" ORDER BY {order}{lock}"
    statements, links = [f"{_table_of(model).select} WHERE {where}{end}"], []
    held: dict[str, tuple[int, type[models.Model], str]] = {"": (0, model, where)}
    for path in related:
        parent, _, name = path.rpartition("__")
        number, holder, which = held[parent]
        field: Any = holder._meta.get_field(name)
        keys = f"SELECT {connection.ops.quote_name(field.column)} FROM {_table_of(holder).name} WHERE {which}"
        held[path] = (len(statements), field.related_model, f"id IN ({keys})")
        statements.append(f"{_table_of(field.related_model).select} WHERE {held[path][2]}")
        links.append((number, field))
    return statements, links


def _next_keys(tables: tuple[type[models.Model], ...], count: int) -> Question:
    """Asks for so many rows of new keys, one of each of `tables`."""
    return Question(_keys_of(tables), [count])


@lru_cache(maxsize=SHAPES_MAX)
def _keys_of(tables: tuple[type[models.Model], ...]) -> str:
    keys = ", ".join(f"nextval({_sequence_of(model)})" for model in tables)
    return f"SELECT {keys} FROM generate_series(1, $1::int)"


@cache
def _sequence_of(model: type[models.Model]) -> str:
    key = model._meta.pk
    assert key is not None
    found = _ask(
        [
            Question(
                "SELECT quote_literal(pg_get_serial_sequence($1::text, $2::text))",
                [_table_of(model).name, key.column],
            )
        ]
    )
    return f"{found[0][0][0]}::regclass"


def _writing(rows: Sequence[models.Model], calls: Sequence[tuple[str, Any]]) -> Question:
    """Writes rows of several tables and makes calls, in one statement."""
    values: list[Any] = []
    for row in rows:
        table = _table_of(type(row))
        values += [
            value if write is None or value is None else write(value)
            for value, write in zip(
                map(row.__dict__.__getitem__, table.attributes), table.writers, strict=True
            )
        ]
    statement = _statement_of(tuple(type(row) for row in rows), tuple(call for call, _ in calls))
    return Question(statement, [*values, *(value for _, value in calls)])


@lru_cache(maxsize=SHAPES_MAX)
def _statement_of(tables: tuple[type[models.Model], ...], calls: tuple[str, ...]) -> str:
    """One statement that writes a row of each of `tables` and makes `calls`."""
    parts, used = [], 0
    for number, model in enumerate(tables):
        table = _table_of(model)
        marks = ", ".join(f"${used + n}" for n in range(1, len(table.attributes) + 1))
        used += len(table.attributes)
        parts.append(f"w{number} AS (INSERT INTO {table.name} ({table.columns}) VALUES ({marks}))")
    asked = ", ".join(call.replace("$", f"${used + n}") for n, call in enumerate(calls, start=1))
    return f"WITH {', '.join(parts)} SELECT {asked or '1'}" if parts else f"SELECT {asked}"


_prepared: WeakKeyDictionary[Any, dict[str, str] | None] = WeakKeyDictionary()
"""What each connection has prepared already, the name of each statement; None where nothing can be."""


def _ask(
    questions: Sequence[Question], *, begin: bool = False, and_commit: bool = False
) -> list[list[tuple[Any, ...]]]:
    """The answers to several questions, asked in one text, which may begin and end the transaction, too.

    PostgreSQL answers them one after the other, each on what is committed when its turn comes. Their values are
    written out by the driver; their plans are kept where they can be.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    driver = connection.connection
    with connection.wrap_database_errors, psycopg.Cursor(driver) as cursor:
        literal = _literal(Transformer.from_context(driver).as_literal)
        written_out = [[*map(literal, question.values)] for question in questions]
        if _keeps_plans(cursor):
            parts = [*map(_by_name, _names_of(cursor, questions), written_out)]
        else:
            parts = [*map(_in_full, questions, written_out)]
        if begin:
            parts.insert(0, b"BEGIN")
        if and_commit:
            parts.append(b"COMMIT")
        cursor.execute(b";".join(parts))
        if begin:
            cursor.nextset()
        answers = [cursor.fetchall()]
        for _ in questions[1:]:
            cursor.nextset()
            answers.append(cursor.fetchall())
        return answers


def _literal(of_driver: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """How a value is written into a statement: plain ones at once, as the driver would, all others by the driver itself."""

    def literal(value: Any) -> bytes:
        kind = type(value)
        if kind is str and value.isprintable() and not _TO_QUOTE.search(value):
            return b"'%s'" % value.encode()
        if kind is int and value >= 0:
            return b"%d" % value
        return b"NULL" if value is None else of_driver(value)

    return literal


def _by_name(name: str, values: list[bytes]) -> bytes:
    return b"EXECUTE %s(%s)" % (name.encode(), b",".join(values)) if values else b"EXECUTE " + name.encode()


def _in_full(question: Question, values: list[bytes]) -> bytes:
    return re.sub(rb"\$(\d+)", lambda found: values[int(found[1]) - 1], question.statement.encode())


def _keeps_plans(cursor: psycopg.Cursor[Any]) -> bool:
    """True where each transaction of this connection is one of the same process of the server.

    Behind a connection pooler in transaction mode it is not: what was prepared there is not known here, or is
    somebody else's of the same name. A pooler names no process of the server as its own.
    """
    driver = cursor.connection
    if driver not in _prepared:
        process = cursor.execute("SELECT pg_backend_pid()").fetchone()
        _prepared[driver] = {} if process == (driver.info.backend_pid,) else None
    return _prepared[driver] is not None


def _names_of(cursor: psycopg.Cursor[Any], questions: Sequence[Question]) -> list[str]:
    """The names under which this connection knows the statements; what it does not know yet is prepared."""
    known = _prepared[cursor.connection]
    assert known is not None
    if len(known) > PREPARED_MAX:
        cursor.execute("DEALLOCATE ALL")
        known.clear()
    for question in questions:
        if question.statement not in known:
            name = f"xraydesk_{len(known)}"
            cursor.execute(f"PREPARE {name} AS {question.statement}".encode())
            known[question.statement] = name
    return [known[question.statement] for question in questions]
