"""What every page goes through: its headers, what no page takes, and what a form alone may open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict, UnreadablePostError
from django.utils.deprecation import MiddlewareMixin

from xraydesk.desk.views.wrong import not_understood, of_a_form

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; manifest-src 'self'"
)
"""Scripts and styles come from this host's files alone; block positions on the board are style attributes."""


class _OnAnswers:
    """Looks at each answer, of pages that wait and of those that do not; what is quick needs no thread of its own."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.later = iscoroutinefunction(get_response)
        if self.later:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.later:
            return self._answer_later(request)
        return self.answered(request, self.get_response(request))

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = await self.get_response(request)
        if self.is_slow(request, response):
            return await sync_to_async(self.answered)(request, response)
        return self.answered(request, response)

    def is_slow(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        """Whether `answered` asks the database."""
        return False

    def answered(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """What goes out in place of the answer; the answer itself where nothing is to be done."""
        raise NotImplementedError


class ContentSecurityPolicy(_OnAnswers):
    """Tells the browser to take nothing from elsewhere and to run nothing that stands in a page."""

    def answered(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The answer with its headers, where a page has none of its own."""
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        return response


class NoNul(MiddlewareMixin):
    """Refuses an address, a query or a form with a NUL in it: no person writes one, and the database keeps none.

    FHIR refuses it itself, in its own words.
    """

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> HttpResponse | None:
        """400 where a NUL is found, before any view looks for something by that text."""
        if request.path_info.startswith("/fhir/"):
            return None
        if "\0" in request.path_info or any(map(_has_nul, (request.GET, _form(request)))):
            return not_understood(request, BadRequest())
        return None


class OfAForm(_OnAnswers):
    """Shows a page where somebody opens the address of a form, which would else be left blank.

    FHIR answers in its own words.
    """

    def is_slow(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        """The page shows whose desk it is."""
        is_page = request.method == "GET" and not request.path_info.startswith("/fhir/")
        return is_page and response.status_code == 405

    def answered(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The page that says what to do, in place of a blank one."""
        if not self.is_slow(request, response):
            return response
        page = of_a_form(request)
        page.headers["Allow"] = response.headers["Allow"]
        return page


def _form(request: HttpRequest) -> QueryDict:
    try:
        return request.POST
    except UnreadablePostError:  # whoever sent it hung up; the view finds out for itself
        return QueryDict()


def _has_nul(values: QueryDict) -> bool:
    return any("\0" in text for name, texts in values.lists() for text in (name, *map(str, texts)))
