import { expect } from "vitest";

import type { ManualClock } from "../../packages/memento/src/testing/manual-clock.ts";

/** Lets time go by until the work has ended, and gives what came of it. */
export async function passTime<Value>(clock: ManualClock, work: Promise<Value>, stepMs = 250): Promise<Value> {
  const state = { over: false };
  const done = work.finally(() => {
    state.over = true;
  });
  done.catch(() => undefined);
  for (let step = 0; !state.over && step < 4_000; step++) await clock.tick(stepMs);
  expect(state.over, "it ended").toBe(true);
  return await done;
}
