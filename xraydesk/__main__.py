"""`python -m xraydesk` is the command `xraydesk`."""

import sys

from xraydesk.project.processes import KINDS, run_started_process

if len(sys.argv) == 4 and sys.argv[1] in KINDS and sys.argv[2] == "--home":
    # As the supervisor starts its processes: they need not know the rest of the command line.
    run_started_process(sys.argv[1], sys.argv[3])
else:
    from xraydesk.project.cli import main

    main()
