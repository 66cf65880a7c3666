"""Room 10: the command line, one file a command: parse, call, print, exit code.

Exit codes: 0 all well, 1 some files failed, 2 wrong usage or nothing could be done, 130 interrupted.
"""

from otoscope.cli.main import main

__all__ = ["main"]
