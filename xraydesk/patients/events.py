"""What can be told of a patient's stay."""

from __future__ import annotations

from enum import StrEnum


class PatientEvent(StrEnum):
    """One kind of news (HL7 ADT trigger events in brackets)."""

    ADMIT = "admit"  # A01
    TRANSFER = "transfer"  # A02
    DISCHARGE = "discharge"  # A03
    REGISTER = "register"  # A04
    UPDATE = "update"  # A08, A28, A31
    ARRIVE = "arrive"  # A10
    CANCEL_ADMIT = "cancel admit"  # A11
    CANCEL_TRANSFER = "cancel transfer"  # A12
    CANCEL_DISCHARGE = "cancel discharge"  # A13
