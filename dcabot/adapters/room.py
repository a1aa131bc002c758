"""How many pairs the plan's market-data stream takes: nobody tells, so it is found out by asking. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Room:
    """What is known of one connection: so many were taken, so many were too many."""

    taken: int = 0
    refused: int | None = None

    def share(self, wanted: int) -> int:
        """How many of those wanted to ask for next; halving the doubt, so that few questions are enough."""
        if self.refused is None or wanted < self.refused:
            return wanted
        return max(self.taken, (self.taken + self.refused) // 2)

    def take(self, count: int) -> None:
        self.taken = max(self.taken, count)
        if self.refused is not None and self.refused <= count:
            self.refused = None  # the plan has grown

    def refuse(self, count: int) -> None:
        self.refused = count if self.refused is None else min(count, self.refused)
        self.taken = min(self.taken, self.refused - 1)
