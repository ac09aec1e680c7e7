"""Who writes each type that is written."""

from __future__ import annotations

from xraydesk.links.fhir.giving_up import write_appointment
from xraydesk.links.fhir.writing import Writer, write_coverage_resource, write_patient, write_request

WRITERS: dict[str, Writer] = {
    "Patient": write_patient,
    "ServiceRequest": write_request,
    "Coverage": write_coverage_resource,
    "Appointment": write_appointment,
}
