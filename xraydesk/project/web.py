"""The process `web`: pages, FHIR and the streams that tell boards of change."""

from __future__ import annotations

import socket
from typing import cast

import uvicorn
from django.core.asgi import get_asgi_application

from xraydesk.desk.live import end_streams
from xraydesk.project import uploads
from xraydesk.project.addresses import read_address, refuse_exposed_web
from xraydesk.project.body_deadline import BodyDeadline
from xraydesk.project.body_limit import BodyLimit, is_signed_in
from xraydesk.project.config import Config
from xraydesk.project.static import Application, StaticFiles

CONNECTIONS_MAX = 2000
"""Above it new ones are answered 503; an open board holds one."""

HEADER_BYTES_MAX = 65_536
KEEP_ALIVE_SECONDS = 20
STOP_SECONDS = 3


class Server(uvicorn.Server):
    """Uvicorn that lets open streams end when it is told to stop; it would wait for them otherwise."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then stop as usual."""
        await end_streams()
        await super().shutdown(sockets)


def run(config: Config) -> None:
    """Serve until told to end. Raises Trouble for an address that is open to others in clear."""
    address = read_address(config.http, "--http")
    tls = config.tls_cert is not None
    refuse_exposed_web(address, tls=tls, behind_proxy=config.behind_proxy)
    uploads.make_room()
    desk = BodyLimit(cast(Application, get_asgi_application()), knows=is_signed_in)
    Server(
        uvicorn.Config(
            BodyDeadline(StaticFiles(desk)),
            host=address.host,
            port=address.port,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=config.behind_proxy,
            limit_concurrency=CONNECTIONS_MAX,
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=config.tls_cert,
            ssl_keyfile=config.tls_key,
        )
    ).run()
