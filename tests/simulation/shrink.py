"""A failing seed, told with as few troubles as still make it fail, as a script that can be read."""

from collections.abc import Callable, Sequence

from tests.simulation.chance import Key
from tests.simulation.run import Planted, Result, play

ATTEMPTS_MAX = 400


def shrink(failed: Result, planted: Planted | None = None) -> Result:
    """Take troubles away, in halves and then one by one, while the same law is broken; the story of what is left."""
    law = failed.law
    best = failed
    dropped: set[Key] = set()
    attempts = 0

    def still_fails(more: Sequence[Key]) -> bool:
        nonlocal best, attempts
        attempts += 1
        result = play(failed.seed, dropped | set(more), planted=planted)
        if result.law != law:
            return False
        dropped.update(more)
        best = result
        return True

    size = max(len(failed.taken) // 2, 1)
    while attempts < ATTEMPTS_MAX:
        if not _one_round(lambda: [key for key, _ in best.taken], size, still_fails) and size == 1:
            break
        size = max(size // 2, 1)
    return play(failed.seed, dropped, tells=True, planted=planted)


def _one_round(keys: Callable[[], list[Key]], size: int, still_fails: Callable[[Sequence[Key]], bool]) -> bool:
    """Try to do without each piece of so many troubles; True when one could be spared."""
    spared = False
    at = 0
    while at < len(keys()):
        if still_fails(keys()[at : at + size]):
            spared = True
        else:
            at += size
    return spared


def script(result: Result, planted: Planted | None = None) -> str:
    """The story: numbered steps, the time in seconds, who, and what."""
    troubles = ", ".join(name for _, name in result.taken) or "none"
    head = [f"seed {result.seed} breaks {result.why}", f"troubles it needs: {troubles}", ""]
    again = f"again: python -m tests.simulation --seed {result.seed}"
    again += f" --plant {planted.__name__}" if planted else ""
    return "\n".join([*head, "  step     second  who                what", *result.story, "", result.why, again])
