"""Every decision that a seed makes, each with a name, so that a run can be repeated and its faults taken away.

A decision is a function of the seed, its label and how often that label was asked. Taking one fault away therefore
leaves all the others where they are, which is what makes a failing seed shrink.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple, TypeVar

T = TypeVar("T")

# Kinds of trouble; each seed knows about half of them, and each at a strength of its own ("swarm testing").
WEATHER = ("network", "slow", "refusals", "stream", "outages", "database", "crashes", "clock", "hands", "operator")
WEATHER += ("fills", "lag", "foreign", "company")
WEATHER += ("lies", "absences", "transfers", "storms", "holders")
ALWAYS = "market"  # prices move in every seed


class Key(NamedTuple):
    """One decision: the label, and the how-manieth of that label."""

    label: str
    number: int


class Chance:
    """The dice of one run. `dropped` are decisions that now go the uneventful way."""

    def __init__(self, seed: int, dropped: Collection[Key] = ()) -> None:
        self.seed = seed
        self.dropped = frozenset(dropped)
        self.taken: list[tuple[Key, str]] = []  # what went another way than the uneventful one
        self.seen: Counter[str] = Counter()
        self.is_calm = False
        self._asked: dict[str, int] = defaultdict(int)
        self._prefix = f"{seed}/"
        self.weather = {kind: self._strength(kind) for kind in WEATHER} | {ALWAYS: 1.0}

    def roll(self, label: str) -> float:
        """A number from 0 up to 1."""
        return self._roll(label)[1]

    def between(self, label: str, low: float, high: float) -> float:
        return low + (high - low) * self.roll(label)

    def integer(self, label: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self.roll(label) * (high - low + 1))

    def pick(self, label: str, options: Sequence[T]) -> T:
        return options[int(self.roll(label) * len(options))]

    def fault(self, label: str, kind: str, options: Iterable[tuple[str, float]]) -> str | None:
        """Which of these happens now, with their probabilities in ordinary weather; None is the uneventful way."""
        strength = 0.0 if self.is_calm else self.weather[kind]
        if not strength:
            return None
        number, rolled = self._roll(label)
        for name, probability in options:
            rolled -= probability * strength
            if rolled < 0:
                key = Key(label, number)
                if key in self.dropped:
                    return None
                self.taken.append((key, name))
                self.seen[name] += 1
                return name
        return None

    def _roll(self, label: str) -> tuple[int, float]:
        number = self._asked[label]
        self._asked[label] = number + 1
        digest = blake2b(f"{self._prefix}{label}#{number}".encode(), digest_size=7).digest()
        return number, int.from_bytes(digest, "big") / 72057594037927936  # 2**56

    def _strength(self, kind: str) -> float:
        rolled = self.roll(f"weather {kind}")
        return 0.0 if rolled < 0.45 else 1.0 if rolled < 0.85 else 3.0
