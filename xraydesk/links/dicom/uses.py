"""What the desk asks of other machines over DICOM: the counterpart of `services`, one row a use.

The conformance statement is made of it, and a test holds it to the modules that ask for associations.
"""

from __future__ import annotations

from dataclasses import dataclass

from xraydesk.links.dicom import archive, available, commit, probe, promise, send
from xraydesk.links.dicom.sop_classes import (
    INSTANCE_AVAILABILITY,
    MESSAGE_SYNTAXES,
    STORAGE_COMMITMENT,
    VERIFICATION,
)


@dataclass(frozen=True)
class Use:
    """One thing that the desk asks for over an association of its own.

    `module` is the one that asks. Without `sop_classes`, those of what is sent are proposed, and without
    `transfer_syntaxes` the one that each object came in. `seconds_max` is how long an answer is waited for.
    """

    module: str
    name: str
    commands: tuple[str, ...]
    when: str
    seconds_max: float
    sop_classes: tuple[str, ...] = ()
    transfer_syntaxes: tuple[str, ...] = ()
    role: str = "SCU"


USES = (
    Use(
        module=send.__name__,
        name="storage, the classes of what is sent",
        commands=("C_STORE",),
        when="images, requisitions and rejection notes go to a destination",
        seconds_max=send.NETWORK_SECONDS_MAX,
    ),
    Use(
        module=archive.__name__,
        name="query",
        commands=("C_FIND",),
        when="earlier studies are looked for at a destination that `finds`",
        seconds_max=archive.ANSWER_SECONDS_MAX,
        sop_classes=(archive.STUDY_ROOT_FIND,),
        transfer_syntaxes=MESSAGE_SYNTAXES,
    ),
    Use(
        module=archive.__name__,
        name="retrieve",
        commands=("C_MOVE",),
        when="an earlier study is to go where it is read (`moves_to`)",
        seconds_max=archive.ANSWER_SECONDS_MAX,
        sop_classes=(archive.STUDY_ROOT_MOVE,),
        transfer_syntaxes=MESSAGE_SYNTAXES,
    ),
    Use(
        module=promise.__name__,
        name="storage commitment",
        commands=("N_ACTION",),
        when="a destination that `commits` has taken images: whether it keeps them",
        seconds_max=promise.NETWORK_SECONDS_MAX,
        sop_classes=(STORAGE_COMMITMENT,),
        transfer_syntaxes=MESSAGE_SYNTAXES,
    ),
    Use(
        module=commit.__name__,
        name="outcome of a storage commitment",
        commands=("N_EVENT_REPORT",),
        when="a machine did not take it on the association it asked over",
        seconds_max=commit.NETWORK_SECONDS_MAX,
        sop_classes=(STORAGE_COMMITMENT,),
        transfer_syntaxes=MESSAGE_SYNTAXES,
        role="SCP, by role selection",
    ),
    Use(
        module=available.__name__,
        name="availability of images",
        commands=("N_CREATE",),
        when="images can be read at a destination, and another one wants to know (`notices`)",
        seconds_max=available.NETWORK_SECONDS_MAX,
        sop_classes=(INSTANCE_AVAILABILITY,),
        transfer_syntaxes=MESSAGE_SYNTAXES,
    ),
    Use(
        module=probe.__name__,
        name="verification",
        commands=("C_ECHO",),
        when="a person tries a connection out",
        seconds_max=probe.ANSWER_SECONDS_MAX,
        sop_classes=(VERIFICATION,),
        transfer_syntaxes=MESSAGE_SYNTAXES,
    ),
)
"""Everything that the desk asks for; append a row for what it asks for newly."""
