import { describe, expect, test } from "vitest";

import { ManualClock } from "./manual-clock.ts";

describe("ManualClock", () => {
  test("stands still until it is told to go on", async () => {
    const clock = new ManualClock(1_000);
    expect([clock.now(), clock.monotonic()]).toEqual([1_000, 0]);
    await clock.tick(250);
    expect([clock.now(), clock.monotonic()]).toEqual([1_250, 250]);
    clock.setNow(50);
    await clock.tick(1);
    expect([clock.now(), clock.monotonic()]).toEqual([51, 251]);
  });

  test("ends sleeps in their order, and those that they start", async () => {
    const clock = new ManualClock();
    const seen: string[] = [];
    const sleeper = async (name: string, ...pauses: number[]): Promise<void> => {
      for (const ms of pauses) {
        await clock.sleep(ms);
        seen.push(`${name}${clock.monotonic()}`);
      }
    };
    const all = Promise.all([sleeper("a", 10, 10, 10), sleeper("b", 15, 100)]);
    await clock.tick(29);
    expect(seen).toEqual(["a10", "b15", "a20"]);
    expect(clock.waiting).toBe(2);
    await clock.tick(86);
    expect(seen.slice(3)).toEqual(["a30", "b115"]);
    await all;
  });

  test("ticks an interval until it is stopped", async () => {
    const clock = new ManualClock();
    let ticks = 0;
    const stop = clock.every(10, () => (ticks += 1));
    await clock.tick(35);
    expect(ticks).toBe(3);
    stop();
    await clock.tick(100);
    expect([ticks, clock.waiting]).toEqual([3, 0]);
  });

  test("a sleep ends with its signal's reason", async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const reason = new Error("enough");
    const sleeping = clock.sleep(10, controller.signal);
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await expect(clock.sleep(10, controller.signal)).rejects.toBe(reason);
    expect(clock.waiting).toBe(0);
  });
});
