"""How long ago something was, by a clock that may have been set back meanwhile. Pure."""

from datetime import datetime, timedelta

SET_BACK = timedelta(minutes=1)  # further ahead than this is no small correction


def has_passed(since: datetime, now: datetime, limit: timedelta) -> bool:
    """Whether it was so long ago. An instant well ahead of now was written by a clock that has been set back: nobody
    knows its age, and to wait until the clock has caught up could take days. So it counts as old.
    """
    return now - since >= limit or since - now > SET_BACK
