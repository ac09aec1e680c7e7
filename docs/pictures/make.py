"""Take the pictures of the pages anew: of a demonstration that runs for a while in a folder of its own.

    .venv/bin/python docs/pictures/make.py

Needs `make test`'s environment and Debian's chromium. Takes about a quarter of an hour, so that the day has some people in it.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xraydesk.project.settings")

import numpy as np  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

from tests.running import Desk, running_desk  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
STAGES = ("scheduled", "begun", "ended", "read")
LIVELY_SECONDS = 900
"""So long the department works before anybody looks at it."""
PATIENCE_SECONDS = 1020
WAIT_SECONDS_MAX = 1200
RESULT_SECONDS_MAX = 240
"""So long a result is waited for that nobody has been told of yet: readers call within minutes."""
BYTES_MAX = 200_000
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def main() -> None:
    """Start the demonstration, wait until its day is under way, take the pictures, stop it."""
    with (
        tempfile.TemporaryDirectory(prefix="xraydesk-pictures-") as folder,
        started(Path(folder)) as desk,
    ):
        take_all(desk, wait_for_a_day_under_way(desk))


def take_all(desk: Desk, accession: str) -> None:
    """Every picture of a desk that runs; `accession` is of an exam to show."""
    user = json.loads((desk.home / "demo.json").read_text())["users"][0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        for scheme, width, height, pages in (
            ("light", 1280, 720, {"board-light": "/", "attention": "/attention"}),
            ("dark", 1280, 720, {"board-dark": "/"}),
            ("light", 390, 844, {"board-390": "/"}),
            (
                "light",
                1280,
                900,
                {"exam": f"/exams/{accession}", "room": room_of(desk), "today": "/measures", "wall": "/wall"},
            ),
        ):
            page = signed_in(browser, desk, user, scheme=scheme, width=width, height=height)
            close_guide(page)
            for name, address in pages.items():
                take(page, f"http://127.0.0.1:{desk.http}{address}", HERE / f"{name}.png")
        page = signed_in(browser, desk, user, scheme="light", width=1280, height=900)
        take(page, f"http://127.0.0.1:{desk.http}{result_to_show(page, desk)}", HERE / "results.png")
        browser.close()


def started(folder: Path) -> AbstractContextManager[Desk]:
    """A demonstration in a folder that the user PostgreSQL runs as may enter, when root takes the pictures."""
    folder.chmod(0o711)
    return running_desk(folder, "--demo")


def exams(desk: Desk) -> list[dict[str, Any]]:
    """Today's exams, as the command line tells them."""
    return [json.loads(line) for line in desk.cli("exam", "list", "--json").stdout.splitlines()]


def wait_for_a_day_under_way(desk: Desk) -> str:
    """Wait until there is an exam in each of STAGES; the accession of one whose images have gone on."""
    began = time.monotonic()
    while True:
        lasted = time.monotonic() - began
        today = exams(desk)
        ended = [exam["accession"] for exam in today if exam["stage"] in ("ended", "read")]
        needed = STAGES if lasted < PATIENCE_SECONDS else ("ended", "read")
        if lasted > LIVELY_SECONDS and {exam["stage"] for exam in today} >= set(needed):
            for accession in reversed(ended[-10:]):
                shown = json.loads(desk.cli("exam", "show", accession, "--json").stdout)
                if shown["images"]["sent"] and shown["dose"]["dap_gym2"]:
                    return accession
        if lasted > WAIT_SECONDS_MAX:
            raise SystemExit(f"no exam in each of {', '.join(needed)} within {WAIT_SECONDS_MAX} s")
        time.sleep(5)


def room_of(desk: Desk) -> str:
    """The page of a room: where an exam is under way, else where somebody waits or comes next."""
    rank = {"begun": 0, "arrived": 1, "scheduled": 2}
    placed = [exam for exam in exams(desk) if exam["room"]]
    return f"/rooms/{min(placed, key=lambda exam: rank.get(exam['stage'], 3))['room']}"


def result_to_show(page: Page, desk: Desk) -> str:
    """The page of a result that waits to be told; where none comes in time, of one that was told today."""
    began = time.monotonic()
    while True:
        lasted = time.monotonic() - began
        shown = "/results" if lasted < RESULT_SECONDS_MAX else "/results?show=ended"
        page.goto(f"http://127.0.0.1:{desk.http}{shown}")
        found = page.locator("#results-list td a")
        if found.count():
            return str(found.first.get_attribute("href"))
        if lasted > RESULT_SECONDS_MAX:
            return shown
        time.sleep(1)


def signed_in(
    browser: Browser, desk: Desk, user: dict[str, str], *, scheme: Any, width: int, height: int
) -> Page:
    """A page of that size in which the coordinator is signed in."""
    page = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    ).new_page()
    page.goto(f"http://127.0.0.1:{desk.http}/sign-in")
    page.fill("#username", user["name"])
    page.fill("#password", user["password"])
    page.click("button.go")
    page.wait_for_selector("header.top")
    return page


def close_guide(page: Page) -> None:
    """The line for newcomers is shown once: it is not in the way of the pictures."""
    if page.locator(".new button").count():
        page.click(".new button")
        page.wait_for_selector("header.top")


def take(page: Page, address: str, file: Path) -> None:
    """One picture, with no more colours than a palette holds."""
    page.goto(address, wait_until="load")
    page.wait_for_timeout(1000)
    file.write_bytes(with_palette(page.screenshot()))
    size = file.stat().st_size
    print(f"{file.name} {size // 1000} kB")
    if size > BYTES_MAX:
        raise SystemExit(f"{file.name} is larger than {BYTES_MAX // 1000} kB")


def with_palette(png: bytes) -> bytes:
    """The same picture with its 256 most frequent colours; others become the nearest of these."""
    pixels = decoded(png)
    height, width, _ = pixels.shape
    packed = (pixels.astype(np.uint32) * (65536, 256, 1)).sum(axis=2, dtype=np.uint32).ravel()
    colours, where, counts = np.unique(packed, return_inverse=True, return_counts=True)
    of = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.int32)
    kept = np.sort(np.argsort(-counts)[:256])
    nearest = np.array([((of[kept] - colour) ** 2).sum(axis=1).argmin() for colour in of], dtype=np.uint8)
    rows = nearest[where].reshape(height, width)
    return b"".join(
        [
            SIGNATURE,
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            chunk(b"PLTE", of[kept].astype(np.uint8).tobytes()),
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows), 9)),
            chunk(b"IEND", b""),
        ]
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file (PNG, third edition, 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG file."""
    at = len(SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


def decoded(png: bytes) -> Any:
    """The pixels of what a browser writes: eight bits, RGB or RGBA, not interlaced; height x width x 3."""
    parts = list(chunks(png))
    width, height, depth, colour = struct.unpack_from(">IIBB", parts[0][1])
    channels = {2: 3, 6: 4}[colour]
    assert depth == 8
    data = zlib.decompress(b"".join(data for kind, data in parts if kind == b"IDAT"))
    stride = width * channels
    above = np.zeros(stride, dtype=np.uint8)
    rows = []
    for number in range(height):
        start = number * (stride + 1)
        line = np.frombuffer(data, dtype=np.uint8, count=stride, offset=start + 1)
        above = unfiltered(data[start], line, above, channels)
        rows.append(above)
    return np.stack(rows).reshape(height, width, channels)[:, :, :3]


def unfiltered(kind: int, line: Any, above: Any, step: int) -> Any:
    """A row of bytes as it was before its filter (PNG, third edition, 9.2)."""
    if kind == 0:
        return line
    if kind == 2:
        return line + above
    if kind == 1:
        return line.reshape(-1, step).cumsum(axis=0, dtype=np.uint8).ravel()
    found, up = bytearray(line.tobytes()), above.tobytes()
    for i in range(len(found)):
        left = found[i - step] if i >= step else 0
        corner = up[i - step] if i >= step else 0
        guess = (left + up[i]) // 2 if kind == 3 else paeth(left, up[i], corner)
        found[i] = (found[i] + guess) & 255
    return np.frombuffer(bytes(found), dtype=np.uint8)


def paeth(left: int, up: int, corner: int) -> int:
    """Whichever neighbour is nearest to left + up - corner."""
    guess = left + up - corner
    return min((left, up, corner), key=lambda neighbour: abs(guess - neighbour))


if __name__ == "__main__":
    main()
