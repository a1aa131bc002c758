"""`dca_troubles`: why the bot does not trade, and when a person was told.

The functions are part of the caller's transaction.
"""

from collections.abc import Iterable, Mapping

from dcabot.adapters import schema
from dcabot.core.telling import Told
from dcabot.core.troubles import Kind, Trouble


def replace(troubles: Iterable[Trouble], told: Mapping[str, Told]) -> None:
    """From now on these stand there, and no others."""
    schema.Trouble.delete().execute()
    for trouble in troubles:
        last = told.get(trouble.name)
        schema.Trouble.add(
            kind=trouble.kind.value,
            asset=trouble.asset[: schema.Trouble.asset.max_length],
            since=trouble.since,
            sentence=trouble.sentence[: schema.Trouble.sentence.max_length],
            remedy=trouble.remedy[: schema.Trouble.remedy.max_length],
            **({} if last is None else {"told_at": last.at, "told": last.times}),
        )


def read() -> list[Trouble]:
    """What the daemon wrote last, oldest first. A kind of a newer program is left out."""
    known = {kind.value: kind for kind in Kind}
    rows = schema.Trouble.select().order_by(schema.Trouble.id)
    rows = [row for row in rows if row.kind in known]
    return [Trouble(known[r.kind], r.asset, r.since, r.sentence, r.remedy) for r in rows]


def read_told() -> dict[str, Told]:
    """When each of them was told."""
    known = {kind.value: kind for kind in Kind}
    rows = [row for row in schema.Trouble.select() if row.told_at is not None and row.kind in known]
    return {f"{row.kind} {row.asset}".rstrip(): Told(row.told_at, row.told) for row in rows}
