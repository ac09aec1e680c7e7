"""A practice whose orders the simulated EHR gives by FHIR: it keeps them where the desk asks, and calls when one is new."""

from __future__ import annotations

import http.client
from datetime import datetime
from random import Random

import structlog

from xraydesk.lib import clock
from xraydesk.parties.department import Department, FhirDoor
from xraydesk.parties.fhir_store import Resource, Store
from xraydesk.siteplan.invented import PROVIDERS, Person, reason_for
from xraydesk.siteplan.plan import ProcedurePlan

log = structlog.get_logger("parties.practice")

CALL_SECONDS_MAX = 5.0
ISSUER, CODES = "urn:xraydesk:issuer:", "urn:xraydesk:codes:"
PLACER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}
SECTION = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}
PAYORS = ("Harbour Mutual", "River Health Plan", "Northport County")
GENDERS = {"F": "female", "M": "male"}
SIDES = {"L": "Left ", "R": "Right "}


class Practice:
    """Orders by FHIR, under numbers of the EHR."""

    def __init__(self, department: Department, door: FhirDoor, random: Random) -> None:
        self.department, self.door, self.random = department, door, random
        self.store = Store(department.folder / door.file)

    def order(self, person: Person, procedure: ProcedurePlan, placer: str, wished: datetime | None) -> None:
        """Order one exam under that number, with whose it is and who pays; `wished` is wall time."""
        if self.store.read("Patient", person.number) is None:
            self.store.put(self.patient(person))
            self.store.put(self.coverage(person))
        self.store.put(self.request(person, procedure, placer, wished))
        self.call()

    def revoke(self, placer: str) -> None:
        """Take an order back."""
        found = self.store.read("ServiceRequest", placer)
        if found is not None:
            self.store.put({**found, "status": "revoked"})
            self.call()

    def patient(self, person: Person) -> Resource:
        """A person as the practice knows them."""
        return {
            "resourceType": "Patient",
            "id": person.number,
            "identifier": [
                {
                    "use": "usual",
                    "system": ISSUER + self.department.plan.assigning_authority,
                    "value": person.number,
                }
            ],
            "name": [{"use": "official", "family": person.family, "given": [person.given]}],
            "gender": GENDERS.get(person.sex, "unknown"),
            "birthDate": person.birth_date.isoformat(),
            "telecom": [
                {"system": "phone", "value": f"(555)555-{int(person.number) % 10000:04d}", "use": "home"}
            ],
            "address": [{"line": [f"{1 + int(person.number) % 90} Harbour Road"], "city": "Northport"}],
        }

    def coverage(self, person: Person) -> Resource:
        """Who pays for them."""
        return {
            "resourceType": "Coverage",
            "id": f"c{person.number}",
            "identifier": [{"system": f"{ISSUER}PAYER", "value": f"M{person.number}"}],
            "status": "active",
            "subscriberId": f"M{person.number}",
            "beneficiary": {"reference": f"Patient/{person.number}"},
            "payor": [{"display": self.random.choice(PAYORS)}],
        }

    def request(
        self, person: Person, procedure: ProcedurePlan, placer: str, wished: datetime | None
    ) -> Resource:
        """The order itself."""
        side = self.random.choice([s for s in procedure.laterality if s != "B"] or [""])
        number, family, given = self.random.choice(PROVIDERS)
        words = SIDES[side] + procedure.text.lower() if side else procedure.text
        reason = reason_for(self.random, procedure.body_part or procedure.text)
        told: Resource = {
            "resourceType": "ServiceRequest",
            "id": placer,
            "identifier": [
                {
                    "type": PLACER,
                    "system": f"{ISSUER}{self.department.orders_link.sending_application}",
                    "value": placer,
                }
            ],
            "status": "active",
            "intent": "order",
            "category": [{"coding": [SECTION], "text": "imaging"}],
            "priority": "routine",
            "code": {
                "coding": [
                    {"system": CODES + procedure.system, "code": procedure.code, "display": procedure.text}
                ],
                "text": words,
            },
            "subject": {
                "reference": f"Patient/{person.number}",
                "display": f"{person.family}, {person.given}",
            },
            "authoredOn": clock.now().isoformat(timespec="seconds"),
            "requester": {"identifier": {"value": number}, "display": f"Dr {given} {family}"},
            "reasonCode": [{"text": reason}],
            "insurance": [{"reference": f"Coverage/c{person.number}"}],
        }
        if side:
            told["bodySite"] = [
                {"text": f"{SIDES[side].strip().lower()} {procedure.body_part.lower()}".strip()}
            ]
        if wished is not None:
            aware = clock.at_wall_time(wished.date(), wished.time(), self.department.plan.timezone)
            told["occurrenceDateTime"] = aware.isoformat(timespec="seconds")
        return told

    def call(self) -> None:
        """Tell the desk that something changed; it asks what, and does so every minute besides."""
        if not self.door.word:
            return
        desk, plan = self.department.http, self.department.plan
        connection = http.client.HTTPConnection(desk.host, desk.port, timeout=CALL_SECONDS_MAX)
        try:
            connection.request(
                "POST",
                f"/fhir/calls/{plan.code}/{self.door.name}",
                headers={"Authorization": f"Bearer {self.door.word}"},
            )
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as away:
            status = 0
            log.info("the desk was not reached", error=type(away).__name__)
        finally:
            connection.close()
        if status not in (0, 200):
            log.warning("a call was refused", status=status)
