"""TLS to whoever the desk calls over DICOM: images out, and a connection that is tried out (PS3.15 B.9)."""

from __future__ import annotations

import ssl

from xraydesk.siteplan.routing_plan import DestinationPlan

TlsArguments = tuple[ssl.SSLContext, str]
"""What pynetdicom's `associate` takes as `tls_args`: a context, and the name that the certificate must carry."""


def tls_to(to: DestinationPlan) -> TlsArguments | None:
    """How to speak to a destination; None in clear. Raises OSError for a certificate file that cannot be read."""
    if not to.tls:
        return None
    context = ssl.create_default_context(cafile=to.authority or None)
    if to.certificate:
        context.load_cert_chain(to.certificate, to.key)
    return context, to.host
