import { expect } from "vitest";

import type { ManualClock } from "../../packages/memento/src/testing/manual-clock.ts";

/** Lets time go by until the work has ended, and gives what came of it. */
export async function passTime<Value>(clock: ManualClock, work: Promise<Value>, stepMs = 250): Promise<Value> {
  let over = false;
  const done = work.finally(() => {
    over = true;
  });
  done.catch(() => undefined);
  for (let step = 0; !over && step < 4_000; step++) await clock.tick(stepMs);
  expect(over, "it ended").toBe(true);
  return await done;
}
