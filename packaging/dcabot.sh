#!/bin/sh
# Isolated (-I): neither the current directory nor a variable decides which code runs. With faulthandler, the watchdog's
# SIGABRT leaves the stack of every thread in the journal.
exec /usr/lib/dcabot/bin/python3 -I -X faulthandler -m dcabot "$@"
