"""Who writes each type that is written, and who ends what can be ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.giving_up import write_appointment
from xraydesk.links.fhir.subscribing import end_subscription, write_subscription
from xraydesk.links.fhir.writing import Writer, write_coverage_resource, write_patient, write_request

WRITERS: dict[str, Writer] = {
    "Patient": write_patient,
    "ServiceRequest": write_request,
    "Coverage": write_coverage_resource,
    "Appointment": write_appointment,
    "Subscription": write_subscription,
}

ENDERS: dict[str, Callable[[Caller, int, datetime], None]] = {"Subscription": end_subscription}
