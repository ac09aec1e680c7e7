"""Somebody at a browser without JavaScript: signs in and presses buttons on the desk's own pages, as people do."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from urllib.parse import urlencode

from xraydesk.parties.department import Address

PAGE_BYTES_MAX = 2_000_000
SECONDS_MAX = 15.0
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class NotTaken(ConnectionError):
    """The desk did not take what was pressed; the work goes on without it, as happens to people."""


class Browser:
    """One person's browser, with its cookies. It belongs to one thread."""

    def __init__(self, desk: Address, name: str, password: str) -> None:
        self.desk, self.name, self.password = desk, name, password
        self.cookies: dict[str, str] = {}

    def page(self, path: str) -> str:
        """A page, signed in; raises NotTaken or OSError where the desk does not show it."""
        status, body = self._send("GET", path)
        if status != 200:
            self._sign_in()
            status, body = self._send("GET", path)
        if status != 200:
            raise NotTaken(f"{path} answered {status}")
        return body

    def press(self, page: str, path: str, form: dict[str, str]) -> None:
        """Send a form of a page that was fetched; raises NotTaken or OSError where the desk does not take it."""
        token = _TOKEN.search(page)
        if token is None:
            raise NotTaken(f"{path} has no form")
        status, _ = self._send("POST", path, {"csrfmiddlewaretoken": token[1], **form})
        if status not in (302, 303):
            raise NotTaken(f"{path} was not taken: {status}")

    def _sign_in(self) -> None:
        _, body = self._send("GET", "/sign-in")
        self.press(body, "/sign-in", {"username": self.name, "password": self.password})

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


def signed_in_as(role: str, home: Path, desk: Address) -> Browser | None:
    """The demonstration's own user of a role; None where it has none."""
    try:
        told = json.loads((home / "demo.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    for user in told.get("users", ()):
        if user["role"] == role:
            return Browser(desk, user["name"], user["password"])
    return None
