/** Saves that go on at once on one originator, in this process and in others. */
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";

import type { MementoError } from "../core/errors.ts";
import { systemClock } from "../core/ports.ts";
import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/index.ts";
import { interceptStore } from "../store/wrap/intercept.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import type { Caretaker } from "./caretaker.ts";

/** Two processes, as far as the store can tell, on one store. */
async function opened(): Promise<{ memento: Memento; etl: Caretaker; other: Caretaker }> {
  const store = await MemoryStore.open();
  const keys = { raw: [new Uint8Array(32).fill(5)] };
  const [memento, beside] = [await Memento.open(store, { keys }), await Memento.open(store, { keys })];
  onTestFinished(async () => await memento.close());
  return { memento, etl: memento.caretaker("etl"), other: beside.caretaker("etl") };
}

const readAll = async (caretaker: Caretaker, id: string): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(await caretaker.openStream(id)));

describe("states saved at once", () => {
  test("each comes back as it was given, whatever shape the ones beside it have", async () => {
    const state = fc.oneof(
      fc.dictionary(fc.constantFrom("a", "b", "c"), fc.nat(3), { noNullPrototype: true }),
      fc.constantFrom<unknown>(5, "text", null, [1, 2], {}),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(state, { minLength: 2, maxLength: 8 }), async (states) => {
        const { memento, etl } = await opened();
        const saved = await Promise.all(states.map(async (each) => await etl.save(each)));
        for (const [index, { id }] of saved.entries()) expect(await etl.load(id)).toEqual(states[index]);
        const alone = await Promise.all(
          states.map(async (each) => await etl.save(each, { originator: "alone", full: true })),
        );
        expect(saved.map(({ contentDigest }) => contentDigest)).toEqual(
          alone.map(({ contentDigest }) => contentDigest),
        );
        expect(await memento.verify()).toMatchObject({ sound: true });
      }),
      { numRuns: 100 },
    );
  });

  test("each has the labels and the metadata that its call was given, whatever becomes of those", async () => {
    const { etl } = await opened();
    await etl.setPolicy({ queryable: ["step"] });
    const [labels, metadata] = [{ step: "0" }, { step: 0, deep: { step: 0 } }];
    const calls = [1, 2, 3, 4].map((step) => {
      labels.step = String(step);
      metadata.step = step;
      metadata.deep.step = step;
      return step < 4
        ? etl.save({ step }, { labels, metadata })
        : etl.saveStream([new Uint8Array(5)], { labels, metadata });
    });
    labels.step = "later";
    metadata.deep.step = 99;
    for (const [index, { id }] of (await Promise.all(calls)).entries()) {
      const step = index + 1;
      const wanted = { labels: { step: String(step) }, metadata: { step, deep: { step } } };
      expect(await etl.info(id)).toMatchObject(wanted);
      expect((await Array.fromAsync(etl.list({ metadata: { step } }))).map((info) => info.id)).toEqual([id]);
    }
  });

  test("one that has a name is the same memento when it is saved again", async () => {
    const { etl } = await opened();
    const [, { id }] = await Promise.all([etl.save({ a: 1 }), etl.save({ b: 1 }, { id: "named" })]);
    expect((await etl.save({ b: 1 }, { id: "named" })).id).toBe(id);
  });

  test("are all there when another process has saved before", async () => {
    const { etl, other } = await opened();
    await etl.save("first");
    await other.save("in between");
    const saved = await Promise.all(Array.from({ length: 60 }, async (_, n) => await etl.save({ n })));
    for (const [n, { id }] of saved.entries()) expect(await other.load(id)).toEqual({ n });
    expect(await other.statistics()).toMatchObject({ mementos: 62 });
  });

  test("by two processes are all there", async () => {
    const { etl, other } = await opened();
    const both = Array.from({ length: 200 }, async (_, n) => await (n % 2 === 0 ? etl : other).save({ n }));
    for (const [n, { id }] of (await Promise.all(both)).entries()) expect(await etl.load(id)).toEqual({ n });
  });
});

describe("a process that is slower than the one beside it", () => {
  /** The other one saves whenever this one is about to append: until it has waited a little, it comes too late each time. */
  async function outpaced(pausesMin: number): Promise<{ etl: Caretaker; pauses: number[] }> {
    const store = await MemoryStore.open();
    const keys = { raw: [new Uint8Array(32).fill(5)] };
    const other = (await Memento.open(store, { keys })).caretaker("etl");
    const pauses: number[] = [];
    const clock = { ...systemClock, sleep: async (ms: number): Promise<void> => void pauses.push(ms) };
    const behind = interceptStore(store, async ({ method }, proceed) => {
      if (method === "append" && pauses.length < pausesMin) await other.save("first");
      return await proceed();
    });
    const memento = await Memento.open(behind, { keys, clock, random: new SeededRandom(7) });
    onTestFinished(async () => await memento.close());
    return { etl: memento.caretaker("etl"), pauses };
  }

  test.each([
    ["a state", async (etl: Caretaker) => await etl.save({ n: 1 })],
    ["a stream", async (etl: Caretaker) => await etl.saveStream([new Uint8Array(5)])],
  ])("saves %s all the same: it lets go for a while, longer each time", async (_, save) => {
    const { etl, pauses } = await outpaced(8);
    await expect(save(etl)).resolves.toMatchObject({ caretaker: "etl" });
    expect(pauses).toHaveLength(8);
    expect(Math.max(...pauses.slice(4))).toBeGreaterThan(Math.max(...pauses.slice(0, 4)));
  });

  test("is told of it where it never gets in between", async () => {
    const { etl, pauses } = await outpaced(1_000);
    await expect(etl.save({ n: 1 })).rejects.toMatchObject({ code: "CONFLICT", retryable: true });
    expect(Math.max(...pauses)).toBeLessThanOrEqual(250);
  });
});

describe("streams beside states", () => {
  test("each is what it was saved as", async () => {
    const { memento, etl } = await opened();
    const bytes = new Uint8Array(9).fill(1);
    const [before, stream, after] = await Promise.all([
      etl.save({ a: 1 }),
      etl.saveStream([bytes]),
      etl.save({ b: 2 }),
    ]);
    expect([await etl.load(before.id), await etl.load(after.id)]).toEqual([{ a: 1 }, { b: 2 }]);
    expect(await readAll(etl, stream.id)).toEqual(Buffer.from(bytes));
    expect(await memento.verify()).toMatchObject({ sound: true });
  });

  test("what a stream shares with one that is removed while it comes in is there in the end", async () => {
    const { memento, etl } = await opened();
    const random = new SeededRandom(3);
    const bytes = Buffer.concat(Array.from({ length: 60 }, () => random.bytes(65_536)));
    const first = await etl.saveStream([bytes]);
    const again = etl.saveStream(
      (async function* slowly() {
        yield bytes;
        await etl.save({ in: "between" });
        await etl.delete(first.id);
        await memento.collect();
      })(),
    );
    const outcome = await again.then(
      async ({ id }) => ((await readAll(etl, id)).equals(bytes) ? "whole" : "other bytes"),
      (error: unknown) => (error as MementoError).code,
    );
    expect(["whole", "CONFLICT"]).toContain(outcome);
    expect(await memento.verify()).toMatchObject({ sound: true });
  });
});
