import { describe, expect, test } from "vitest";

import { isMementoError, MementoError } from "../../core/errors.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { Requests, type Attempt } from "./requests.ts";

interface Made {
  readonly clock: ManualClock;
  readonly requests: Requests;
  readonly slept: number[];
}

/** Requests on a clock that goes on by `stepMs` in each turn of the event loop, until the test is over. */
async function withRequests(stepMs: number, run: (made: Made) => Promise<void>): Promise<void> {
  const clock = new ManualClock();
  const slept: number[] = [];
  const noted = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    every: (ms: number, tick: () => void) => clock.every(ms, tick),
    sleep: async (ms: number, signal?: AbortSignal) => {
      if (signal === undefined) slept.push(ms);
      await clock.sleep(ms, signal);
    },
  };
  const failureOf = (error: unknown, doing: string): MementoError =>
    new MementoError(String(error).includes("network") ? "STORE_UNREACHABLE" : "IO_FAILED", `Could not ${doing}`);
  const bounds = { attemptsMax: 4, silenceMsMax: 1_000, perMiBMs: 100, firstPauseMs: 100 };
  const turns = setInterval(() => void clock.tick(stepMs), 0);
  try {
    await run({
      clock,
      slept,
      requests: new Requests({ clock: noted, random: new SeededRandom(1), bounds, failureOf }),
    });
  } finally {
    clearInterval(turns);
  }
}

async function refusal(call: Promise<unknown>): Promise<MementoError> {
  try {
    await call;
  } catch (error) {
    if (isMementoError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("send()", () => {
  test("repeats what could not be reached, with growing pauses, and gives the first answer", async () => {
    await withRequests(10, async ({ requests, slept }) => {
      let attempts = 0;
      const answer = await requests.send("ask", async () => {
        attempts += 1;
        if (attempts < 4) throw new Error("network");
        return "answer";
      });
      expect([answer, attempts]).toEqual(["answer", 4]);
      expect(slept.length).toBe(3);
      for (const [index, pause] of slept.entries()) {
        expect(pause).toBeGreaterThanOrEqual(50 * 2 ** index);
        expect(pause).toBeLessThanOrEqual(150 * 2 ** index);
      }
    });
  });

  test("gives up after the last attempt with what it met, and repeats no refusal", async () => {
    await withRequests(10, async ({ requests }) => {
      let attempts = 0;
      const fail =
        (reason: string): Attempt<never> =>
        async () => {
          attempts += 1;
          throw new Error(reason);
        };
      expect((await refusal(requests.send("ask", fail("network")))).code).toBe("STORE_UNREACHABLE");
      expect(attempts).toBe(4);
      expect((await refusal(requests.send("ask", fail("forbidden")))).code).toBe("IO_FAILED");
      expect(attempts).toBe(5);
    });
  });

  test("ends a request that gives no sign of life, by its signal", async () => {
    await withRequests(50, async ({ requests, clock }) => {
      const ended: unknown[] = [];
      const silent: Attempt<never> = ({ signal }) =>
        new Promise(() => {
          signal.addEventListener("abort", () => void ended.push(signal.reason));
        });
      const failure = await refusal(requests.send("ask", silent));
      expect(failure).toMatchObject({ code: "STORE_UNREACHABLE", retryable: true });
      expect(failure.message).toContain("1000 ms");
      expect(ended.length).toBe(4);
      expect(clock.monotonic()).toBeGreaterThanOrEqual(4_000);
    });
  });

  test("waits on while bytes come, and longer for what sends many", async () => {
    await withRequests(50, async ({ requests, clock }) => {
      let attempts = 0;
      const slow: Attempt<string> = async ({ alive }) => {
        attempts += 1;
        for (let chunk = 0; chunk < 5; chunk++) {
          await clock.sleep(800);
          alive();
        }
        return "whole";
      };
      expect(await requests.send("ask", slow)).toBe("whole");
      expect(attempts).toBe(1);
      expect(requests.patienceMs(0)).toBe(1_000);
      expect(requests.patienceMs(10 * 2 ** 20)).toBe(2_000);
    });
  });
});
