"""The command line: each file parses one command, calls the library and prints.

Exit codes: 0 success, 1 some files failed, 2 wrong usage or total failure, 130 interrupted.
"""

from otoscope.cli.main import main

__all__ = ["main"]
