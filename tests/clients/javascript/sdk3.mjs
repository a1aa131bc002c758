// @alpacahq/alpaca-trade-api 3, with nothing but the printed variables: they name its four hosts.
import assert from "node:assert/strict";
import Alpaca from "@alpacahq/alpaca-trade-api";
import { cannot, end, refused, until } from "./steps.mjs";

const SYMBOL = "BTC/USD";
const statusOf = (error) => error.response?.status;
const alpaca = new Alpaca();

function listen() {
  const heard = { updates: [], quotes: [], books: [], listening: false };
  const trading = alpaca.trade_ws;
  trading.onConnect(() => trading.subscribe(["trade_updates"]));
  trading.onOrderUpdate((update) => heard.updates.push(update));
  trading.connect();
  const prices = alpaca.crypto_stream_v1beta3;
  prices.onConnect(() => {
    prices.subscribeForQuotes([SYMBOL]);
    prices.subscribeForOrderbooks([SYMBOL]);
  });
  prices.onCryptoQuote((quote) => heard.quotes.push(quote));
  prices.onCryptoOrderbook((book) => heard.books.push(book));
  prices.connect();
  return heard;
}

// The events of an order, as the stream told them.
function told(heard, order) {
  return heard.updates.filter((one) => one.order.id === order.id).map((one) => one.event);
}

async function look() {
  const account = await alpaca.getAccount();
  assert.equal(account.status, "ACTIVE");
  assert.equal(account.cash, "100000");
  assert.ok((await alpaca.getClock()).timestamp);
  const assets = await alpaca.getAssets({ status: "active", asset_class: "crypto" });
  assert.ok(assets.some((asset) => asset.symbol === SYMBOL));
  assert.equal((await alpaca.getAsset("BTCUSD")).symbol, SYMBOL);
  assert.equal((await alpaca.getAccountConfigurations()).suspend_trade, false);
  const quote = (await alpaca.getLatestCryptoQuotes([SYMBOL])).get(SYMBOL);
  assert.ok(0 < quote.BidPrice && quote.BidPrice < quote.AskPrice);
  const start = new Date(Date.now() - 86_400_000).toISOString();
  const bars = await alpaca.getCryptoBars([SYMBOL], { timeframe: "1Min", start, limit: 200 });
  assert.ok(bars.get(SYMBOL).length >= 200);
  assert.ok((await alpaca.getCryptoQuotes([SYMBOL], { start, limit: 10 })).get(SYMBOL).length);
  assert.ok((await alpaca.getCryptoTrades([SYMBOL], { start, limit: 10 })).get(SYMBOL).length);
  assert.ok((await alpaca.getCryptoSnapshots([SYMBOL])).get(SYMBOL));
  return quote.AskPrice;
}

async function buy(ask, heard) {
  const terms = { symbol: SYMBOL, side: "buy", type: "limit", time_in_force: "gtc", qty: 0.01 };
  const order = await alpaca.createOrder({ ...terms, limit_price: (ask * 1.01).toFixed(2) });
  await until(() => told(heard, order).includes("fill"), "the fill on the stream");
  assert.deepEqual(told(heard, order), ["pending_new", "new", "fill"]);
  assert.equal((await alpaca.getOrder(order.id)).status, "filled");
  assert.equal((await alpaca.getOrderByClientId(order.client_order_id)).id, order.id);
  const daily = { ...terms, limit_price: 50_000, time_in_force: "day" };
  await refused(422, () => alpaca.createOrder(daily), statusOf);
  const rests = await alpaca.createOrder({ ...terms, limit_price: 20_000 });
  const opened = await alpaca.getOrders({ status: "open", symbols: SYMBOL });
  assert.deepEqual(opened.map((one) => one.id), [rests.id]);
  await cannot("replaceOrder", 404, () => alpaca.replaceOrder(rests.id, { qty: 0.02 }), statusOf);
  await alpaca.cancelOrder(rests.id);
  await until(() => told(heard, rests).includes("canceled"), "the cancel on the stream");
}

async function sell(heard) {
  const [position] = await alpaca.getPositions();
  assert.equal(position.symbol, "BTCUSD");
  assert.equal((await alpaca.getPosition("BTCUSD")).qty, position.qty);
  await cannot("getPosition with a slash", 404, () => alpaca.getPosition(SYMBOL), statusOf);
  const sold = await alpaca.createOrder({
    symbol: SYMBOL, side: "sell", type: "market", time_in_force: "gtc", qty: position.qty,
  });
  await until(() => told(heard, sold).includes("fill"), "the sale on the stream");
  assert.deepEqual(await alpaca.getPositions(), []);
  const fills = await alpaca.getAccountActivities({ activityTypes: "FILL" });
  assert.deepEqual(fills.map((fill) => fill.side).sort(), ["buy", "sell"]);
}

const heard = listen();
const ask = await look();
await until(() => heard.quotes.length && heard.books.length, "prices on the stream");
assert.equal(heard.quotes[0].S, SYMBOL);
await buy(ask, heard);
await sell(heard);
end();
