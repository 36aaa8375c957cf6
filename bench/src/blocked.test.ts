import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import { blockedDuring } from "./blocked.ts";

/** Keeps the thread busy without giving way. */
function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe("blockedDuring()", () => {
  test("sees stretches apart when the work gives way to the loop, and one when it does not", async () => {
    const stretches = async () =>
      await blockedDuring(async () => {
        for (let i = 0; i < 4; i++) {
          spin(20);
          await turn();
        }
      });
    let apart = await stretches();
    // Another process may have had the processor for a while: of some samples one is undisturbed.
    for (let sample = 0; sample < 50 && apart.longestMs >= 80; sample++) apart = await stretches();
    const atOnce = await blockedDuring(async () => {
      for (let i = 0; i < 4; i++) {
        spin(20);
        await Promise.resolve();
      }
    });
    assert.ok(atOnce.longestMs >= 80, `${atOnce.longestMs}`);
    assert.ok(apart.longestMs >= 20 && apart.longestMs < atOnce.longestMs, `${apart.longestMs}`);
    assert.ok(apart.totalMs >= 80, `${apart.totalMs}`);
  });
});
