"""C-ECHO: is the desk there? (PS3.4 annex A)"""

from __future__ import annotations

from xraydesk.links.dicom.service import Answers, Request, Response, Service
from xraydesk.links.dicom.sop_classes import MESSAGE_SYNTAXES, VERIFICATION

SUCCESS = 0x0000


def echo(request: Request) -> Answers:
    """Answer that the desk is there."""
    yield Response(SUCCESS)


SERVICE = Service(
    name="verification",
    handle=echo,
    commands=frozenset({"C_ECHO"}),
    sop_classes=(VERIFICATION,),
    transfer_syntaxes=(*MESSAGE_SYNTAXES, "1.2.840.10008.1.2.2"),
    statuses={SUCCESS: "the desk is there"},
)
