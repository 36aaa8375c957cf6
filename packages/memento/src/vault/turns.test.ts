import { describe, expect, test } from "vitest";

import { Turns } from "./turns.ts";

describe("Turns.take()", () => {
  test("lets the event loop in after 20 ms, and not before", async () => {
    let nowMs = 0;
    const turns = new Turns({ monotonic: () => nowMs });
    let came = false;
    setImmediate(() => (came = true));
    nowMs = 19;
    await turns.take();
    expect(came).toBe(false);
    nowMs = 20;
    await turns.take();
    expect(came).toBe(true);
  });

  test("throws the reason of a signal that was aborted meanwhile", async () => {
    let nowMs = 0;
    const turns = new Turns({ monotonic: () => (nowMs += 20) });
    const controller = new AbortController();
    setImmediate(() => controller.abort(new Error("enough")));
    await expect(turns.take(controller.signal)).rejects.toThrow("enough");
  });
});
