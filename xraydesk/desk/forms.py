"""What people type into forms, read and checked."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms

from xraydesk.access.models import Site
from xraydesk.lib import clock
from xraydesk.orders.form import ExamOnForm, OrderForm
from xraydesk.orders.models import Procedure
from xraydesk.orders.states import Priority

EXAMS_ON_FORM_MAX = 3
SIDES = [("", "no side"), ("L", "left"), ("R", "right"), ("B", "both")]
CLASSES = [("O", "outpatient"), ("E", "emergency"), ("I", "inpatient")]
SEXES = [("", "not known"), ("F", "female"), ("M", "male"), ("O", "other")]
TRANSPORTS = [("WALK", "walks"), ("WHLC", "chair"), ("CART", "bed")]


class OrderFields(forms.Form):
    """An order by paper or phone. Every field says what is wrong with it, beside itself."""

    key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    family = forms.CharField(label="Family name", max_length=100)
    given = forms.CharField(label="Given name", max_length=100, required=False)
    birth_date = forms.DateField(
        label="Born",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        input_formats=["%Y-%m-%d"],
    )
    sex = forms.ChoiceField(label="Sex", choices=SEXES, required=False)
    patient_number = forms.CharField(label="MRN, if there is one", max_length=64, required=False)
    phone = forms.CharField(label="Phone", max_length=64, required=False)
    patient_class = forms.ChoiceField(label="Comes as", choices=CLASSES)
    ward = forms.CharField(label="Ward", max_length=64, required=False)
    bed = forms.CharField(label="Bed", max_length=64, required=False)
    transport = forms.ChoiceField(label="How", choices=TRANSPORTS)
    priority = forms.ChoiceField(label="Priority", choices=[(p.value, p.value) for p in Priority])
    requested = forms.DateTimeField(
        label="Wished for, if a time was given",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        input_formats=["%Y-%m-%dT%H:%M"],
    )
    reason = forms.CharField(label="Reason", max_length=500)
    provider_name = forms.CharField(label="Asked by", max_length=200)
    provider_phone = forms.CharField(label="Their phone", max_length=64, required=False)

    def __init__(self, *arguments: Any, site: Site, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.site = site
        offered = list(Procedure.objects.filter(site=site, retired=False).order_by("text"))
        self.offered = {str(p.pk): p for p in offered}
        for number in range(1, EXAMS_ON_FORM_MAX + 1):
            self.fields[f"procedure{number}"] = forms.ChoiceField(
                label="Exam" if number == 1 else f"Exam {number}",
                choices=[("", "choose" if number == 1 else "none"), *((str(p.pk), p.text) for p in offered)],
                required=number == 1,
            )
            self.fields[f"side{number}"] = forms.ChoiceField(
                label="Side" if number == 1 else f"Side {number}", choices=SIDES, required=False
            )
        for name, field in self.fields.items():
            field.widget.attrs["class"] = "in"
            if not isinstance(field.widget, forms.Select):
                field.widget.attrs["autocomplete"] = "off"
            if name in self.errors:
                field.widget.attrs["aria-invalid"] = "true"

    def clean_requested(self) -> datetime | None:
        """The wish as a moment: what was typed is wall time of the site."""
        typed: datetime | None = self.cleaned_data["requested"]
        if typed is None:
            return None
        wall = (
            typed.replace(tzinfo=None)
            if typed.tzinfo is None
            else typed.astimezone(ZoneInfo(self.site.timezone))
        )
        return clock.at_wall_time(wall.date(), wall.time(), self.site.timezone)

    def order(self) -> OrderForm:
        """The order that the form asks for."""
        told = self.cleaned_data
        exams = []
        for number in range(1, EXAMS_ON_FORM_MAX + 1):
            procedure = self.offered.get(told[f"procedure{number}"])
            if procedure is not None:
                exams.append(
                    ExamOnForm(procedure.code, procedure.text, procedure.system, told[f"side{number}"])
                )
        return OrderForm(
            key=told["key"],
            exams=tuple(exams),
            patient_number=told["patient_number"],
            family=told["family"],
            given=told["given"],
            birth_date=told["birth_date"],
            sex=told["sex"],
            phone=told["phone"],
            patient_class=told["patient_class"],
            ward=told["ward"],
            bed=told["bed"],
            priority=Priority(told["priority"]),
            requested_at=told["requested"],
            reason=told["reason"],
            provider_name=told["provider_name"],
            provider_phone=told["provider_phone"],
            transport=told["transport"],
        )


def new_key() -> str:
    """What tells one form from another, so that pressing the button twice is one order."""
    return secrets.token_urlsafe(16)
