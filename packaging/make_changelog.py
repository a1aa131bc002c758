"""Debian's changelog, on stdout, made from CHANGELOG.md: the first paragraph of each version.

make_changelog.py CHANGELOG.md >debian/changelog
"""

import re
import sys
import textwrap
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path

MAINTAINER = "dcabot maintainers <maintainers@dcabot.invalid>"
VERSION = re.compile(r"^## \[([\d.]+)\] - (\d{4})-(\d\d)-(\d\d)\n\n", re.MULTILINE)
LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")
NOON = 12  # the page names a day; Debian wants an hour too, the same at every build


def main() -> None:
    page = Path(sys.argv[1]).read_text(encoding="utf-8")
    sys.stdout.write("\n".join(entries(page)))


def entries(page: str) -> list[str]:
    """One text for each version that has a date, newest first."""
    made = []
    for heading in VERSION.finditer(page):
        version, year, month, day = heading.groups()
        paragraph = page[heading.end() :].partition("\n\n")[0]
        if paragraph.startswith("#"):
            sys.exit(f"CHANGELOG.md: version {version} has no paragraph below its heading")
        text = LINK.sub(r"\1", " ".join(paragraph.split())).replace("`", "")
        lines = textwrap.fill(text, 74, initial_indent="  * ", subsequent_indent="    ")
        at = datetime(int(year), int(month), int(day), NOON, tzinfo=timezone.utc)
        head = f"dcabot ({version}) unstable; urgency=medium"
        made.append(f"{head}\n\n{lines}\n\n -- {MAINTAINER}  {format_datetime(at)}\n")
    if not made:
        sys.exit("CHANGELOG.md names no version with a date")
    return made


if __name__ == "__main__":
    main()
