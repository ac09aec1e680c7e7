"""JSON that is read far more often than it is written: the same text is read once, and gives the same object. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

TEXTS_MAX = 64
"""So many different texts are remembered by each process, the newest ones."""


class Shared(dict[str, Any]):
    """An object of JSON that others hold as well: it is not changed, and what is made of it is made once.

    Raises TypeError where it is changed; `{**shared, …}` is a copy that may be.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(content)
        self._made: dict[Callable[[Shared], Any], Any] = {}

    def once(self, make: Callable[[Shared], T]) -> T:
        """What `make` makes of it; the same object each time. What it raises is raised each time."""
        if make not in self._made:
            self._made[make] = make(self)
        made: T = self._made[make]
        return made

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this is shared with others that read the same text: change a copy")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __deepcopy__(self, _: dict[int, Any]) -> Shared:
        return self

    def __reduce__(self) -> tuple[type[dict], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


@lru_cache(maxsize=TEXTS_MAX)
def shared(text: str) -> Any:
    """What a text of JSON says; the same object for the same text, where it is an object."""
    read = json.loads(text)
    return Shared(read) if isinstance(read, dict) else read
