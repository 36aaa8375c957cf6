import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { ManualClock } from "../../testing/manual-clock.ts";
import { TokenBucket } from "./token-bucket.ts";

interface Grant {
  readonly at: number;
  readonly amount: number;
}

/** What a bucket grants when each call waits for its turn, one after the other, after its own pause. */
async function grants(perSecond: number, calls: readonly { readonly pauseMs: number; readonly amount: number }[]) {
  const clock = new ManualClock();
  const bucket = new TokenBucket(perSecond, clock);
  const granted: Grant[] = [];
  let waits = 0;
  for (const { pauseMs, amount } of calls) {
    await clock.tick(pauseMs);
    for (let ms = bucket.waitMs(amount); ms > 0; ms = bucket.waitMs(amount)) {
      waits += 1;
      await clock.tick(ms);
    }
    bucket.take(amount);
    granted.push({ at: clock.monotonic(), amount });
  }
  return { granted, waits };
}

const callsOf = (amountMax: number) =>
  fc.array(fc.record({ pauseMs: fc.integer({ min: 0, max: 1_500 }), amount: fc.integer({ min: 0, max: amountMax }) }), {
    maxLength: 25,
  });

describe("TokenBucket", () => {
  test("in no span of time more is granted than its rate, one second's worth and the last call's excess", async () => {
    const property = fc.asyncProperty(fc.integer({ min: 1, max: 50 }), callsOf(120), async (perSecond, calls) => {
      const { granted } = await grants(perSecond, calls);
      for (const [first, { at: from }] of granted.entries()) {
        let sum = 0;
        for (const { at, amount } of granted.slice(first)) {
          sum += amount;
          const excess = Math.max(0, amount - perSecond);
          const allowed = perSecond * (1 + (at - from) / 1_000) + excess;
          expect(sum).toBeLessThanOrEqual(allowed + 1e-3 * perSecond);
        }
      }
    });
    await fc.assert(property, { numRuns: 60 });
  });

  test("nobody waits while less is asked for than comes in", async () => {
    const property = fc.asyncProperty(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 2, max: 20 }),
      async (n, count) => {
        const calls = Array.from({ length: count }, () => ({ pauseMs: 1_000, amount: n }));
        expect((await grants(n, calls)).waits).toBe(0);
      },
    );
    await fc.assert(property, { numRuns: 30 });
  });

  test("a wait is never longer than what is missing takes to come in", async () => {
    const property = fc.asyncProperty(fc.integer({ min: 1, max: 50 }), callsOf(200), async (perSecond, calls) => {
      const clock = new ManualClock();
      const bucket = new TokenBucket(perSecond, clock);
      let debt = 0;
      for (const { amount } of calls) {
        const waitMs = bucket.waitMs(amount);
        expect(waitMs).toBeLessThanOrEqual(Math.ceil(((debt + Math.min(amount, perSecond)) / perSecond) * 1_000));
        await clock.tick(waitMs);
        expect(bucket.waitMs(amount)).toBe(0);
        bucket.take(amount);
        debt = Math.max(debt, 0) + amount;
      }
    });
    await fc.assert(property, { numRuns: 60 });
  });
});
