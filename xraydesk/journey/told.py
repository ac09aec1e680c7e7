"""What the fact of an order carries, so that measures can be taken from facts alone."""

from __future__ import annotations

from typing import Any

from xraydesk.orders.models import Exam


def order_told(exam: Exam) -> dict[str, Any]:
    """Priority, patient class, procedure and times that an order asked for: codes and moments, nothing of the patient."""
    return {
        "priority": str(exam.priority),
        "class": exam.order.patient_class,
        "procedure": exam.procedure_code,
        "requested": exam.requested_at.isoformat() if exam.requested_at else None,
        "due": exam.due_at.isoformat() if exam.due_at else None,
    }
