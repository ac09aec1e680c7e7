"""What a ServiceRequest that was fetched asks of an order, by its status there and the one here. Pure."""

from __future__ import annotations

from xraydesk.siteplan.link_plan import OrderControl

ENDED_THERE = ("revoked", "entered-in-error")


def steps_asked(said: str, standing: str) -> tuple[OrderControl, ...]:
    """The steps to be taken, in their order; none where nothing is asked. `standing` is "" for a request that is new here.

    A request that is completed there, a draft, and one that ended before it ever came here ask for nothing.
    """
    if not standing:
        return (OrderControl.NEW,) if said == "active" else ()
    if said in ENDED_THERE:
        return () if standing == "revoked" else (OrderControl.CANCEL,)
    if said == "on-hold":
        return (OrderControl.CHANGE,) if standing == "on-hold" else (OrderControl.HOLD,)
    if said == "active":
        released = (OrderControl.RELEASE,) if standing == "on-hold" else ()
        return (*released, OrderControl.CHANGE)
    return ()
