"""`python -m xraydesk` is the command `xraydesk`."""

from xraydesk.project.cli import main

main()
