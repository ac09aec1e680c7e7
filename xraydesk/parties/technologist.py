"""A simulated technologist: signs in and answers the safety check on the desk's own page, as people do."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from urllib.parse import quote, urlencode

import structlog

from xraydesk.parties.department import Address

log = structlog.get_logger("parties.technologist")

PAGE_BYTES_MAX = 2_000_000
SECONDS_MAX = 15.0
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class NotTaken(ConnectionError):
    """The desk did not take what was pressed; the exam goes on without it, as happens to people."""


class Technologist:
    """Somebody at a browser without JavaScript. One instance belongs to one machine's thread."""

    def __init__(self, desk: Address, name: str, password: str) -> None:
        self.desk, self.name, self.password = desk, name, password
        self.cookies: dict[str, str] = {}

    def check(self, accession: str, *, side: str, may_be_pregnant: bool) -> None:
        """Ask the patient and write down the answers for one exam.

        Raises NotTaken or OSError where the desk does not take them.
        """
        page = f"/exams/{quote(accession, safe='')}/check"
        status, body = self._send("GET", page)
        if status != 200:
            self._sign_in()
            status, body = self._send("GET", page)
        token = _TOKEN.search(body)
        if status != 200 or token is None:
            raise NotTaken(f"the safety check page answered {status}")
        answers = {"csrfmiddlewaretoken": token[1], "identity": "confirmed"}
        if side:
            answers["side"] = side
        if may_be_pregnant:
            answers["pregnancy"] = "no"
        status, _ = self._send("POST", page, answers)
        if status not in (302, 303):
            raise NotTaken(f"the answers were not kept: {status}")

    def _sign_in(self) -> None:
        _, body = self._send("GET", "/sign-in")
        token = _TOKEN.search(body)
        if token is None:
            raise NotTaken("there is no sign-in form")
        form = {"csrfmiddlewaretoken": token[1], "username": self.name, "password": self.password}
        status, _ = self._send("POST", "/sign-in", form)
        if status not in (302, 303):
            raise NotTaken(f"signing in was refused: {status}")

    def _send(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.desk.host, self.desk.port, timeout=SECONDS_MAX)
        try:
            headers = {
                "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
                "Referer": f"http://{self.desk.host}:{self.desk.port}{path}",
                "Content-Type": "application/x-www-form-urlencoded",
            }
            connection.request(method, path, urlencode(form) if form else None, headers)
            answer = connection.getresponse()
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie":
                    key, _, rest = value.partition("=")
                    self.cookies[key] = rest.split(";")[0]
            return answer.status, answer.read(PAGE_BYTES_MAX).decode("utf-8", "replace")
        except http.client.HTTPException as wrong:
            raise NotTaken(type(wrong).__name__) from wrong
        finally:
            connection.close()


def hired(home: Path, desk: Address) -> Technologist | None:
    """A technologist with the demonstration's own sign-in; None where it has none."""
    try:
        told = json.loads((home / "demo.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    for user in told.get("users", ()):
        if user["role"] == "technologist":
            return Technologist(desk, user["name"], user["password"])
    return None
