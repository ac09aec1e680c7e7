"""`/metrics`: numbers for whoever watches over the desk, as Prometheus reads them. No patient is in them.

What pages cost is counted in this process; how full queues and lists are is asked of the
database when somebody looks, at most every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

ASKED_AGAIN_SECONDS = 5.0

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
REQUESTS = Counter(
    "xraydesk_requests", "Pages and resources served", ["method", "page", "status"], registry=REGISTRY
)
SECONDS = Histogram(
    "xraydesk_request_seconds",
    "Time from request to answer",
    ["page"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=REGISTRY,
)

QUESTIONS = (
    ("xraydesk_facts", "Newest fact's number", (), "SELECT coalesce(max(id), 0) FROM facts_fact"),
    (
        "xraydesk_jobs",
        "Jobs that wait, run or failed",
        ("queue", "status"),
        "SELECT queue_name, status::text, count(*) FROM procrastinate_jobs GROUP BY 1, 2",
    ),
    (
        "xraydesk_oldest_job_seconds",
        "How long the oldest job that is due has waited",
        ("queue",),
        "SELECT j.queue_name, extract(epoch FROM now() - min(coalesce(j.scheduled_at, e.at)))::float8 "
        "FROM procrastinate_jobs j JOIN procrastinate_events e ON e.job_id = j.id AND e.type = 'deferred' "
        "WHERE j.status = 'todo' AND coalesce(j.scheduled_at, now()) <= now() GROUP BY 1",
    ),
    (
        "xraydesk_open_items",
        "What waits for a person",
        ("kind",),
        "SELECT kind, count(*) FROM attention_item WHERE closed_at IS NULL GROUP BY 1",
    ),
    (
        "xraydesk_messages",
        "Messages in and out",
        ("direction", "state"),
        "SELECT direction, state, count(*) FROM links_message GROUP BY 1, 2",
    ),
    ("xraydesk_images", "Images", ("state",), "SELECT state, count(*) FROM imaging_image GROUP BY 1"),
    (
        "xraydesk_deliveries",
        "Images on their way to a destination",
        ("state",),
        "SELECT state, count(*) FROM imaging_delivery GROUP BY 1",
    ),
    (
        "xraydesk_database_bytes",
        "Size of the database",
        (),
        "SELECT pg_database_size(current_database())",
    ),
)
"""Name, meaning, labels, and a question whose columns are the labels and then the number."""


class InDatabase(Collector):
    """What the database knows, asked at most every ASKED_AGAIN_SECONDS."""

    def __init__(self) -> None:
        self._asked_at = -ASKED_AGAIN_SECONDS
        self._told: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: a registry may be asked for names without a database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The numbers, and whether the database answered."""
        now = time.monotonic()
        if now - self._asked_at >= ASKED_AGAIN_SECONDS:
            try:
                self._told = [*_asked(), _answers(1)]
            except DatabaseError:
                self._told = [_answers(0)]
            self._asked_at = now
        yield from self._told


REGISTRY.register(InDatabase())


def _answers(value: int) -> Metric:
    return GaugeMetricFamily("xraydesk_database_answers", "1 where the database answers", value=value)


def _asked() -> Iterator[Metric]:
    with connection.cursor() as cursor:
        for name, meaning, labels, question in QUESTIONS:
            family = GaugeMetricFamily(name, meaning, labels=labels)
            cursor.execute(question)
            for row in cursor.fetchall():
                family.add_metric([str(value) for value in row[:-1]], float(row[-1]))
            yield family


class Measured:
    """Counts every answer by the pattern of its page, never by the address itself, and how long it took."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.later = iscoroutinefunction(get_response)
        if self.later:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.later:
            return self._answer_later(request)
        began = time.perf_counter()
        response: HttpResponseBase = self.get_response(request)
        _count(request, response, began)
        return response

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response: HttpResponseBase = await self.get_response(request)
        _count(request, response, began)
        return response


def _count(request: HttpRequest, response: HttpResponseBase, began: float) -> None:
    match = request.resolver_match
    page = match.route if match is not None else "unknown"
    method = request.method if request.method in ("GET", "HEAD", "POST", "PUT", "DELETE") else "other"
    REQUESTS.labels(method, page, str(response.status_code)).inc()
    SECONDS.labels(page).observe(time.perf_counter() - began)


def metrics(request: HttpRequest) -> HttpResponse:
    """Everything counted."""
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


urlpatterns = [path("metrics", metrics)]
