"""Routing: how long a study takes to three destinations, beside dcmtk's storescu; and what a STAT waits for.

    python benchmarks/routing.py [IMAGES]

IMAGES (10) radiographs of 5 MB of one exam go to three `storescp` of dcmtk, by one job a destination as the worker runs
them; then `storescu` sends the same files to the same three, at once. Then 200 routine exams of two images wait for one of
them, and a STAT comes half way: how many images went between its coming and its going, and how long that took.
The desk records each image as sent in PostgreSQL, flushed; `storescu` records nothing.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._desk import database, folder, free_port, running

NAMES = ("PACS", "WS", "AWAY")
SIDE_PIXELS = 1600
ROUTINE_EXAMS = 200


@contextlib.contextmanager
def archives(work: Path) -> Iterator[dict[str, int]]:
    with contextlib.ExitStack() as stack:
        ports = {}
        for name in NAMES:
            target, port = work / name, free_port()
            target.mkdir()
            line = ["storescp", "-pdu", "131072", "-od", str(target), "--fork", str(port)]
            stack.enter_context(running(line, port))
            ports[name] = port
        yield ports


def at_once(calls: list[Callable[[], Any]]) -> float:
    """Seconds until all calls, each in a thread of its own, are over."""

    def run(call: Callable[[], Any]) -> None:
        from django.db import connection

        try:
            call()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun


def one_study(site: Any, spool: Path, ports: dict[str, int], images: int) -> None:
    from xraydesk.imaging.models import Delivery
    from xraydesk.links.dicom import lanes

    exam, paths = made(site, spool, images, side=SIDE_PIXELS)
    queued(exam)
    took = at_once([lambda name=name: lanes.run(site_id=site.pk, destination=name) for name in NAMES])
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}
    size = paths[0].stat().st_size
    print(f"{images} images of {size / 1e6:.1f} MB to three destinations: {took:.2f} s")
    line = ["storescu", "-pdu", "131072", "127.0.0.1"]
    theirs = at_once(
        [
            lambda port=port: subprocess.run([*line, str(port), *map(str, paths)], check=True)
            for port in ports.values()
        ]
    )
    print(f"storescu, the same files to the same three at once: {theirs:.2f} s ({took / theirs:.1f} times)")


def a_stat(site: Any, spool: Path) -> None:
    from xraydesk.imaging.models import Delivery
    from xraydesk.journey.turns import next_turn
    from xraydesk.lib import clock
    from xraydesk.links.dicom import lanes

    limited_to(site, "PACS")
    for _ in range(ROUTINE_EXAMS):
        queued(made(site, spool, 2, side=64)[0])
    begun = time.perf_counter()
    next_turn(site_id=site.pk, destination="PACS", at=clock.now())
    print(f"whose turn it is among {2 * ROUTINE_EXAMS} images: {(time.perf_counter() - begun) * 1000:.1f} ms")
    told: dict[str, Any] = {}

    def comes() -> None:
        mine = Delivery.objects.filter(destination="PACS", state="sent", image__exam__priority="routine")
        before = mine.count()
        while mine.count() < before + ROUTINE_EXAMS // 2:
            time.sleep(0.01)
        exam, _ = made(site, spool, 2, side=64, priority="stat")
        queued(exam)
        came, sent_before = time.perf_counter(), mine.count()
        while Delivery.objects.filter(image__exam=exam, state="sent").count() < 2:
            time.sleep(0.002)
        told.update(seconds=time.perf_counter() - came, between=mine.count() - sent_before)

    took = at_once([comes, lambda: lanes.run(site_id=site.pk, destination="PACS")])
    while Delivery.objects.filter(destination="PACS", state="waiting").exists():
        took += at_once([lambda: lanes.run(site_id=site.pk, destination="PACS")])
    print(
        f"a STAT of two images behind a backlog: {told['seconds']:.2f} s, {told['between']} others went meanwhile; "
        f"the whole backlog {took:.1f} s"
    )


def made(site: Any, spool: Path, images: int, *, side: int, **fields: str) -> tuple[Any, list[Path]]:
    from tests.factories import make_exam
    from xraydesk.imaging.states import StepState
    from xraydesk.journey.tests.performing import begun, header, received, told
    from xraydesk.links.dicom.tests.test_images_link import drawn

    exam = make_exam(site, **fields)
    uid = begun(site, exam)
    paths = []
    for _ in range(images):
        ds = drawn(exam, Rows=side, Columns=side, PixelData=bytes(2 * side * side))
        ds.SOPInstanceUID = said = header(exam).sop_instance_uid
        image = received(site, header(exam, sop_instance_uid=said))
        paths.append(spool / image.path)
        ds.save_as(paths[-1], enforce_file_format=True)
        type(image).objects.filter(pk=image.pk).update(size_bytes=paths[-1].stat().st_size)
    told(site, uid, StepState.COMPLETED)
    return exam, paths


def queued(exam: Any) -> None:
    from xraydesk.journey import route
    from xraydesk.lib import clock

    assert route.queue_deliveries(exam_id=exam.pk, at=clock.now())


def limited_to(site: Any, name: str) -> None:
    from dataclasses import replace

    from xraydesk.siteplan.jsonform import from_json, to_json

    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, destinations=tuple(d for d in plan.destinations if d.name == name)))
    site.save()


def main(images: int) -> None:
    if shutil.which("storescp") is None:
        sys.exit("dcmtk is not installed here.")
    with folder() as work, database(work / "home"), archives(work) as ports:
        from django.conf import settings

        from xraydesk.journey.tests.performing import site_with_pacs
        from xraydesk.siteplan.routing_plan import DestinationPlan

        spool = Path(settings.XRAYDESK_SPOOL)
        spool.mkdir(parents=True, exist_ok=True)
        site = site_with_pacs(*(DestinationPlan(name, name, "127.0.0.1", ports[name]) for name in NAMES))
        one_study(site, spool, ports, images)
        a_stat(site, spool)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
