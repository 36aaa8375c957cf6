import { describe, expect, test } from "vitest";

import { testWrapped } from "../../../../../test/workers/embedded-places.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { MemoryStore } from "../memory/store.ts";
import type { MementoStore } from "../store.ts";
import { interceptStore, type StoreCall } from "./intercept.ts";
import { limitStore, type LimitOptions } from "./limit.ts";

testWrapped("limitStore()", (store) => limitStore(store, { callsAtOnceMax: 1 }));

/** A store whose calls go on when they are let, and which says how many were under way at most. */
async function heldStore() {
  const inner = await MemoryStore.open();
  const make = new StoreFixture(1);
  await inner.create(make.meta(), make.key("integrity"));
  const begun: StoreCall[] = [];
  const gates: (() => void)[] = [];
  let [running, most] = [0, 0];
  const store = interceptStore(inner, async (call, proceed) => {
    begun.push(call);
    running += 1;
    most = Math.max(most, running);
    try {
      if (call.method !== "close") await new Promise<void>((resolve) => void gates.push(resolve));
      return await proceed();
    } finally {
      running -= 1;
    }
  });
  const letOne = async (): Promise<void> => {
    gates.shift()?.();
    await turn();
  };
  const letAll = async (): Promise<void> => {
    while (gates.length > 0) await letOne();
  };
  return { store, make, begun, most: () => most, letOne, letAll };
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const abouts = (calls: readonly StoreCall[]): unknown[] => calls.map(({ args }) => args[0]);

describe("limitStore()", () => {
  test("lets so many calls run at once and no more, in the order in which they came", async () => {
    const { store, begun, most, letOne, letAll } = await heldStore();
    const limited = limitStore(store, { callsAtOnceMax: 3 });
    const wanted = Array.from({ length: 10 }, (_, index) => `t${index}`);
    const all = wanted.map((key) => limited.timeline(key));
    await turn();
    expect(begun.length).toBe(3);
    await letOne();
    expect(begun.length).toBe(4);
    await letAll();
    await Promise.all(all);
    expect(most()).toBe(3);
    expect(abouts(begun)).toEqual(wanted);
  });

  test("refuses with LOCKED what no longer fits into the queue, and takes calls again once it is shorter", async () => {
    const { store, begun, letOne, letAll } = await heldStore();
    const limited = limitStore(store, { callsAtOnceMax: 1, queueMax: 2 });
    const taken = ["a", "b", "c"].map((key) => limited.timeline(key));
    await expectCode("LOCKED", () => limited.timeline("d"));
    await turn();
    await letOne();
    const later = limited.timeline("e");
    await letAll();
    await Promise.all([...taken, later]);
    expect(abouts(begun)).toEqual(["a", "b", "c", "e"]);
  });

  test("lets a lease be renewed before what waits, though the queue is full", async () => {
    const { store, make, begun, letAll } = await heldStore();
    const limited = limitStore(store, { callsAtOnceMax: 1, queueMax: 1 });
    const calls: Promise<unknown>[] = ["a", "b"].map((key) => limited.timeline(key));
    calls.push(limited.renewLease({ timeline: "t", lease: make.lease(1) }));
    await turn();
    await letAll();
    await Promise.all(calls);
    expect(begun.map(({ method }) => method)).toEqual(["timeline", "renewLease", "timeline"]);
  });

  test("close waits for what came before it, and refuses what comes after", async () => {
    const { store, begun, letAll } = await heldStore();
    const limited = limitStore(store, { callsAtOnceMax: 1 });
    const calls = ["a", "b"].map((key) => limited.timeline(key));
    await turn();
    let closed = false;
    const closing = limited.close().then(() => (closed = true));
    await expectCode("STORE_CLOSED", () => limited.timeline("c"));
    await turn();
    expect(closed).toBe(false);
    await letAll();
    await Promise.all([...calls, closing]);
    expect(begun.map(({ method }) => method)).toEqual(["timeline", "timeline", "close"]);
  });

  test("a call that fails gives its place to the next one", async () => {
    const limited = limitStore(await MemoryStore.open(), { callsAtOnceMax: 1 });
    const make = new StoreFixture(1);
    const calls = [1, 2, 3].map(() => limited.note(make.notice("restored")));
    for (const call of calls) await expectCode("NOT_A_STORE", () => call);
  });

  async function timed(options: LimitOptions, run: (store: MementoStore, make: StoreFixture) => Promise<unknown>) {
    const clock = new ManualClock();
    const inner = await MemoryStore.open();
    const make = new StoreFixture(1);
    await inner.create(make.meta(), make.key("integrity"));
    const done = { at: -1 };
    const work = run(limitStore(inner, { ...options, clock }), make).then(() => (done.at = clock.monotonic()));
    for (let ms = 0; done.at < 0 && ms < 60_000; ms += 100) await clock.tick(100);
    await work;
    return done.at;
  }

  test("holds a rate of calls: one second's worth at once, the others as they come due", async () => {
    const at = await timed({ callsPerSecondMax: 10 }, async (store) => {
      await Promise.all(Array.from({ length: 35 }, (_, index) => store.timeline(`t${index}`)));
    });
    expect(at).toBeGreaterThanOrEqual(2_400);
    expect(at).toBeLessThanOrEqual(2_700);
  });

  test("holds a rate of bytes, of what is read too", async () => {
    const body = new Uint8Array(10_000);
    const at = await timed({ bytesPerSecondMax: 10_000 }, async (store, make) => {
      const timeline = await make.timeline(store);
      const record = timeline.next();
      await store.append(make.batch([record], { body }));
      for (let reads = 0; reads < 3; reads++) await store.read(record.entry.id);
      await collect(store.timelines(null));
    });
    // Four times ten thousand bytes and their headers, of which one second's worth is free.
    expect(at).toBeGreaterThanOrEqual(3_000);
    expect(at).toBeLessThanOrEqual(4_500);
  });

  test("refuses limits that would let nothing through", async () => {
    const store = await MemoryStore.open();
    for (const options of [{ callsAtOnceMax: 0 }, { callsPerSecondMax: 0 }, { bytesPerSecondMax: -1 }])
      await expectCode("INVALID_ARGUMENT", async () => limitStore(store, options));
  });
});
