"""The log lines at the first start after an upgrade: what changes for somebody who trades."""

import logging
from collections.abc import Iterable

from dcabot.core.model import Asset, TakeProfitOrder

log = logging.getLogger(__name__)

VERSION = "1.1"  # the release whose NEWS this is
PAGE = "/usr/share/doc/dcabot/NEWS.Debian.gz"


def tell_news(assets: Iterable[Asset]) -> None:
    """Log the changes, and the assets that still sell at market with the command that changes them."""
    log.warning(
        "new in dcabot %s: coins bought by hand are no longer sold with a cycle, coins sold by hand "
        "disable the asset, wide spreads hold base orders back; `zless %s` tells all",
        VERSION,
        PAGE,
    )
    at_market = sorted(asset.symbol for asset in assets if asset.take_profit_order is TakeProfitOrder.MARKET)
    if at_market:
        log.warning(
            "%s: the take profit is sold at market, as before; a limit sale cannot lose money: "
            "`dcabot asset set %s --take-profit-order limit`",
            ", ".join(at_market),
            at_market[0],
        )
