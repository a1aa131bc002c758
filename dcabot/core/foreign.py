"""Text that others wrote (a row, an answer, a variable), made harmless for a log and for a terminal."""


def plain(text: str) -> str:
    """One line without a character that a terminal obeys or that turns the reading around; such are escaped."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def plain_lines(text: str) -> str:
    """The same for a text of ours, which may have several lines."""
    return "\n".join(map(plain, text.split("\n")))


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode()
