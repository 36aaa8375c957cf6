import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { BusyWait } from "./busy-wait.ts";

const nextImmediate = setImmediate;
/** Turns of the event loop that were asked for so far. */
let turns = 0;

beforeEach(() => {
  turns = 0;
  vi.stubGlobal("setImmediate", (work: () => void) => {
    turns += 1;
    return nextImmediate(work);
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

/** Waits for an answer that comes when `TURNS_MAX` turns are long over; gives how many turns were asked for. */
async function turnsOfLongWait(wait: BusyWait): Promise<number> {
  const before = turns;
  const { promise, resolve } = Promise.withResolvers<void>();
  const waiting = wait.for(promise);
  for (let last = -1; last !== turns;) {
    last = turns;
    await new Promise((done) => void setTimeout(done, 5));
  }
  resolve();
  await waiting;
  return turns - before;
}

const turn = async (): Promise<void> => await new Promise((done) => void nextImmediate(done));

/** Waits for an answer; gives how many turns were asked for, a few more included. */
async function turnsUntil(wait: BusyWait, answer: Promise<void>): Promise<number> {
  const before = turns;
  await wait.for(answer);
  for (let more = 0; more < 3; more++) await turn();
  return turns - before;
}

/** Waits for an answer that comes in the third turn. */
const turnsOfShortWait = async (wait: BusyWait): Promise<number> =>
  await turnsUntil(wait, turn().then(turn).then(turn));

describe("BusyWait.for()", () => {
  test("gives the answer, and throws what it is rejected with", async () => {
    const wait = new BusyWait(2);
    expect(await wait.for(Promise.resolve(7))).toBe(7);
    await expect(wait.for(Promise.reject(new Error("no")))).rejects.toThrow("no");
  });

  test("keeps the event loop turning until the answer is there, and no longer than 2,000 turns", async () => {
    const wait = new BusyWait(2);
    expect(await turnsOfShortWait(wait)).toBeGreaterThan(0);
    expect(await turnsOfLongWait(wait)).toBe(2_000);
  });

  test("sleeps through ever more answers that are slow, and tries again after the first quick one", async () => {
    const wait = new BusyWait(2);
    const isAwake: boolean[] = [];
    for (let answer = 0; answer < 12; answer++) isAwake.push((await turnsOfLongWait(wait)) > 0);
    // One slept through after the first, three after the second, seven after the third.
    expect(isAwake.flatMap((awake, answer) => (awake ? [answer] : []))).toEqual([0, 2, 6]);
    while ((await turnsOfShortWait(wait)) === 0);
    expect(await turnsOfShortWait(wait)).toBeGreaterThan(0);
    expect(await turnsOfLongWait(wait)).toBeGreaterThan(0);
  });

  test("takes ever fewer turns for answers that come without any", async () => {
    const wait = new BusyWait(2);
    const needed: number[] = [];
    for (let answer = 0; answer < 12; answer++) needed.push(await turnsUntil(wait, Promise.resolve()));
    expect(needed).toEqual([1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    while ((await turnsOfShortWait(wait)) === 0);
    expect(await turnsOfShortWait(wait)).toBeGreaterThan(1);
  });

  test("only waits where there is one core", async () => {
    const wait = new BusyWait(1);
    expect(await turnsOfShortWait(wait)).toBe(0);
    expect(await turnsOfLongWait(wait)).toBe(0);
  });
});
