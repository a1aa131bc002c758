"""Run a program and print how many seconds it took and its largest resident memory in MiB, as JSON.

Small on purpose: Linux counts the memory of whoever starts a program as the program's own until it is loaded.
"""

import json
import os
import sys
import time

began = time.monotonic()
pid = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ)
_, status, used = os.wait4(pid, 0)
seconds = time.monotonic() - began
print(json.dumps([seconds, used.ru_maxrss / 1024]))
sys.exit(os.waitstatus_to_exitcode(status))
