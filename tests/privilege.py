"""File permissions hold for root too, so that a test of them is the same for whoever runs it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NOBODY = 65534
_ABOVE_PERMISSIONS = "-dac_override,-dac_read_search"
# Words before a command; whose files they are does not change.
OBEYING = (
    ("setpriv", f"--inh-caps={_ABOVE_PERMISSIONS}", f"--bounding-set={_ABOVE_PERMISSIONS}") if os.geteuid() == 0 else ()
)


@contextmanager
def obeying() -> Iterator[None]:
    """For what runs in this process. Root is somebody else meanwhile: files are reached from the current folder."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
