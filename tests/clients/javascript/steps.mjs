// Words that the scripts share; the standard library only.
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

// The answer of `look`, once it is there.
export async function until(look, what, seconds = 60) {
  const deadline = Date.now() + 1000 * seconds;
  while (Date.now() < deadline) {
    const found = await look();
    if (found) return found;
    await pause(100);
  }
  throw new Error(`waited ${seconds} s in vain for ${what}`);
}

// Something that Alpaca refuses with this status; `statusOf` finds it in the client's error.
export async function refused(status, attempt, statusOf) {
  await assert.rejects(attempt, (error) => {
    assert.equal(statusOf(error), status, String(error));
    return true;
  });
}

// Something that the client cannot do at the real Alpaca either: docs/simulator.md says why.
export async function cannot(what, status, attempt, statusOf) {
  await refused(status, attempt, statusOf);
}

export function end() {
  console.log("told to the end");
  process.exit(0); // the streams reconnect for ever
}
