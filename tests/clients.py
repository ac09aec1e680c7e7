"""A desk whose exams wait for a person, and fifty people with a browser each who press at the same moment."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.cookiejar import CookieJar
from itertools import count
from threading import Barrier
from typing import Any

from tests.running import ROOT, Desk, until
from xraydesk.lib import clock

PASSWORD = "a password that only tests use"
CLIENTS = 50
SECONDS_MAX = 60
_numbers = count(int(time.time()) % 100_000 * 1000)

SITE = """
[site]
code = "S"
name = "Four rooms"
timezone = "Etc/UTC"
assigning_authority = "HOSP"
ae_title = "XRAYDESK"

[[location]]
code = "MAIN"
name = "Main building"
{rooms}
[[procedure]]
code = "XRCHEST2"
text = "Chest 2 views"
minutes = 10
room_kinds = ["general"]

[[link]]
name = "EHR"
kind = "orders"
sending_application = "EHR"
sending_facility = "HOSP"

[policies.booking]
"*" = "ask"
"""
ROOM = """
[[room]]
code = "XR{n}"
name = "XR{n} General"
location = "MAIN"
kind = "general"
hours = {{ every = ["00:00-24:00"] }}

[[technologist]]
code = "T{n}"
name = "Lopez {n}"
skills = ["general"]
shifts = {{ every = ["00:00-24:00"] }}
"""
ROOMS = 4


def site_file() -> str:
    """A department of four rooms, each with a technologist, in which nothing is booked without a person."""
    return SITE.format(rooms="".join(ROOM.format(n=n) for n in range(1, ROOMS + 1)))


@dataclass(frozen=True)
class Told:
    """What one press was answered, and after how many seconds."""

    status: int
    body: str
    location: str
    seconds: float


class People:
    """Somebody signed in, with as many connections as there are presses at once."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        made = subprocess.run(
            [sys.executable, "-m", "xraydesk", "user", "create", "wanjiru", "--role", "coordinator", "--password-stdin"],
            input=PASSWORD, text=True, capture_output=True, env=desk.env | {"XRAYDESK_HOME": str(desk.home)}, cwd=ROOT,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        jar = CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        base = f"http://127.0.0.1:{desk.http}"
        form = opener.open(f"{base}/sign-in", timeout=20).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert token is not None
        fields = {"username": "wanjiru", "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
        opener.open(f"{base}/sign-in", urllib.parse.urlencode(fields).encode(), timeout=20).read()
        cookies = {c.name: c.value or "" for c in jar}
        self.headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "X-CSRFToken": next(value for name, value in cookies.items() if "csrf" in name),
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def get(self, path: str) -> str:
        """A page."""
        (told,) = self.at_once([("GET", path, {})])
        assert told.status == 200, (path, told.status)
        return told.body

    def at_once(self, presses: Sequence[tuple[str, str, dict[str, str]]]) -> list[Told]:
        """Each press by a connection of its own, all at the same moment; answers in order."""
        gate = Barrier(len(presses))

        def press(one: tuple[str, str, dict[str, str]]) -> Told:
            method, path, fields = one
            line = http.client.HTTPConnection("127.0.0.1", self.desk.http, timeout=SECONDS_MAX)
            line.connect()
            body = urllib.parse.urlencode(fields).encode() if method == "POST" else None
            gate.wait(SECONDS_MAX)
            begun = time.perf_counter()
            line.request(method, path, body, self.headers)
            answer = line.getresponse()
            text = answer.read().decode()
            told = Told(answer.status, text, answer.headers.get("Location", ""), time.perf_counter() - begun)
            line.close()
            return told

        with ThreadPoolExecutor(len(presses)) as pool:
            return list(pool.map(press, presses))

    def exams(self, number: int, *, priority: str = "R") -> list[str]:
        """Accession numbers of so many exams of so many patients, accepted and without a place."""
        placers = []
        for _ in range(number):
            n = next(_numbers)
            answer = self.desk.ask(
                "\r".join(
                    [
                        f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|{clock.now():%Y%m%d%H%M%S}||ORM^O01^ORM_O01|C{n}|P|2.5.1||||||UNICODE UTF-8",
                        f"PID|1||N{n}^^^HOSP^MR||Prüfer{n}^Ada||19690512|F",
                        "PV1|1|O|RAD",
                        f"ORC|NW|P{n}^EHR|||||1^^^^^{priority}|||||7001^Okafor^Ngozi",
                        f"OBR|1|P{n}^EHR||XRCHEST2^Chest 2 views^L||||||||||||7001^Okafor^Ngozi|||||||||||||||cough",
                        "",
                    ]
                )
            )
            assert f"MSA|AA|C{n}" in answer
            placers.append(f"P{n}")

        def waiting() -> list[str] | None:
            found = {e["placer"]: e for e in self.desk.objects("exam", "list", "--all")}
            ready = [found[p]["accession"] for p in placers if p in found and found[p]["why"]]
            return ready if len(ready) == number else None

        ready = until(waiting, SECONDS_MAX, every=0.5)
        assert ready, "every exam waits for a person"
        return ready

    def places(self) -> dict[str, tuple[str, str]]:
        """Room and start by accession number, of those that have a place."""
        listed: list[dict[str, Any]] = self.desk.objects("exam", "list", "--all")
        return {e["accession"]: (e["room"], e["start"]) for e in listed if e["start"]}


def place(minutes: int, room: str = "XR1") -> str:
    """A place as forms carry it: so many minutes after the next full hour but one."""
    start = clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=2, minutes=minutes)
    return f"{room} {start.isoformat()}"


def proposal_of(page: str) -> str:
    """What accepts the proposal that a page shows."""
    found = re.search(r'name="proposal" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def no_two_at_once(places: dict[str, tuple[str, str]], minutes: int = 10) -> bool:
    """Whether no room has two exams that overlap."""
    starts: dict[str, list[datetime]] = {}
    for room, start in places.values():
        starts.setdefault(room, []).append(datetime.fromisoformat(start))
    gap = timedelta(minutes=minutes)
    return all(
        b - a >= gap for of in starts.values() for a, b in zip(sorted(of), sorted(of)[1:], strict=False)
    )
