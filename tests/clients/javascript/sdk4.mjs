// @alpacahq/alpaca-trade-api 4: it reads the keys, but no host, so a middleware leads it here.
import assert from "node:assert/strict";
import { Alpaca, TimeFrame, withResponse } from "@alpacahq/alpaca-trade-api";
import { cannot, end, refused, until } from "./steps.mjs";

const SYMBOL = "BTC/USD";
const HERE = process.env.APCA_API_BASE_URL;
const STREAMS = HERE.replace("http", "ws");
const statusOf = (error) => error.status;

async function lead({ url, init }) {
  const asked = new URL(url);
  return { url: HERE + asked.pathname + asked.search, init };
}

const alpaca = new Alpaca({ middleware: [{ pre: lead }] });
const { trading, marketData } = alpaca;

// The events of an order, as the stream told them.
function told(heard, order) {
  return heard.updates.filter((one) => one.order.id === order.id).map((one) => one.event);
}

async function look() {
  assert.ok((await trading.validateConnection()).ok);
  const account = await withResponse(trading.account.getAccountRaw());
  assert.equal(account.data.cash, "100000");
  assert.ok(account.headers.get("X-Request-ID"));
  const config = await trading.accountConfigurations.getAccountConfig();
  assert.equal(config.suspendTrade, false);
  const assets = await trading.assets.getV2Assets({ assetClass: "crypto" });
  assert.ok(assets.some((asset) => asset.symbol === SYMBOL));
  const { quotes } = await marketData.crypto.cryptoLatestQuotes({ loc: "us", symbols: SYMBOL });
  const quote = quotes[SYMBOL];
  assert.ok(0 < quote.bp && quote.bp < quote.ap);
  const start = new Date(Date.now() - 86_400_000);
  const asked = { loc: "us", timeframe: TimeFrame.Minute, start };
  const bars = await marketData.getCryptoBarsFor(SYMBOL, asked, { maxPerSymbol: 200 });
  assert.equal(bars.length, 200);
  const many = { loc: "us", symbols: [SYMBOL], start };
  const trades = (await marketData.getCryptoTrades(many, { maxPerSymbol: 10 }))[SYMBOL];
  assert.ok(BigInt(trades[0].idRaw) > BigInt(Number.MAX_SAFE_INTEGER));
  return quote.ap;
}

function listen() {
  const heard = { quotes: [] };
  const prices = marketData.cryptoStream({ url: `${STREAMS}/v1beta3/crypto/us` });
  prices.onQuote((quote) => heard.quotes.push(quote));
  prices.onConnect(() => prices.subscribeForQuotes([SYMBOL]));
  prices.connect();
  return heard;
}

async function buy(ask) {
  const terms = { symbol: SYMBOL, side: "buy", qty: "0.01", timeInForce: "gtc" };
  const stream = trading.stream({ url: `${STREAMS}/stream` });
  const limit = { ...terms, type: "limit", limitPrice: (ask * 1.01).toFixed(2) };
  const waited = trading.submitAndWait(limit, { stream, timeoutMs: 30_000 });
  stream.connect(); // by then it listens for the subscription, which it waits for
  const filled = await waited;
  assert.equal(filled.status, "filled");
  assert.equal(filled.filledQty, "0.01");
  stream.disconnect();
}

async function cancel() {
  const heard = { updates: [] };
  const stream = trading.stream({ url: `${STREAMS}/stream` });
  stream.onTradeUpdate((update) => heard.updates.push(update));
  stream.onConnect(() => stream.subscribeTradeUpdates());
  stream.connect();
  assert.ok(await stream.waitForAuthentication(10_000));
  const terms = { symbol: SYMBOL, side: "buy", qty: "0.01", limitPrice: 20_000 };
  const unsaid = () => trading.orders.limit(terms); // the SDK's own choice is `day`
  await refused(422, unsaid, statusOf);
  const rests = await trading.orders.limit({ ...terms, timeInForce: "gtc" });
  const opened = await trading.orders.getAllOrders({ status: "open" });
  assert.deepEqual(opened.map((one) => one.id), [rests.id]);
  const changed = { orderId: rests.id, patchOrderRequest: { qty: "0.02" } };
  const change = () => trading.orders.patchOrderByOrderId(changed);
  await cannot("patchOrderByOrderId", 404, change, statusOf);
  await trading.orders.deleteOrderByOrderID({ orderId: rests.id });
  await until(() => told(heard, rests).includes("canceled"), "the cancel on the stream");
  return heard;
}

async function sell(heard) {
  const [position] = await trading.positions.getAllOpenPositions();
  assert.equal(position.symbol, "BTCUSD");
  const { symbol, qty } = position;
  const sold = await trading.orders.market({ symbol, qty, side: "sell", timeInForce: "gtc" });
  await until(() => told(heard, sold).includes("fill"), "the sale on the stream");
  assert.deepEqual(await trading.positions.getAllOpenPositions(), []);
  const fills = await trading.collectActivities({ activityTypes: ["FILL"] });
  assert.deepEqual(fills.map((fill) => fill.side).sort(), ["buy", "sell"]);
}

const heard = listen();
const ask = await look();
await until(() => heard.quotes.length, "prices on the stream");
assert.equal(heard.quotes[0].symbol, SYMBOL);
await buy(ask);
await sell(await cancel());
end();
