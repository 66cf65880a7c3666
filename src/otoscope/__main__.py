"""`python -m otoscope` is the command `otoscope`."""

from otoscope.cli import main

main()
