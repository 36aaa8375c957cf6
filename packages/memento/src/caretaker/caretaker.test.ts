import * as fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";

import { isMementoError, MementoError } from "../core/errors.ts";
import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/index.ts";
import { chaosStore } from "../testing/chaos-store.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import type { Caretaker, ListOptions } from "./caretaker.ts";
import type { SaveOptions } from "./save-options.ts";

async function opened(): Promise<{ memento: Memento; store: MemoryStore; etl: Caretaker }> {
  const store = await MemoryStore.open();
  const memento = await Memento.open(store, { keys: { raw: [new Uint8Array(32).fill(5)] } });
  onTestFinished(async () => await memento.close());
  return { memento, store, etl: memento.caretaker("etl") };
}

describe("save() and load()", () => {
  test("gives a state back as it was, by id, by name and as the latest", async () => {
    const { etl } = await opened();
    const state = { at: new Date(7), rows: [1n, new Set(["a"]), undefined], "": Number.NaN, nested: { $: [-0] } };
    const first = await etl.save(state, {
      id: "stage_1",
      labels: { env: "test" },
      metadata: { accuracy: 0.9 },
      description: "first",
    });
    expect(await etl.load("stage_1")).toEqual(state);
    expect(await etl.load(first.id)).toEqual(state);
    expect(await etl.latest()).toEqual(state);
    expect(await etl.info("stage_1")).toMatchObject({
      name: "stage_1",
      labels: { env: "test" },
      metadata: { accuracy: 0.9 },
      description: "first",
      sequence: 1,
    });
    expect(Object.keys((await etl.load("stage_1")) as object)).toEqual(Object.keys(state));
  });

  test.each([
    [null],
    [17],
    ["text"],
    [[]],
    [{}],
    [undefined],
    [new Map([[1, 2]])],
    [new Uint8Array([1, 2])],
    [Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`k${n}`, n]))],
  ])("takes any value: %#", async (state) => {
    const { etl } = await opened();
    const { id } = await etl.save(state);
    expect(await etl.load(id)).toEqual(state);
  });

  test("a store that could not be reached when a writer was opened is asked again by the next save", async () => {
    let down = false;
    const store = chaosStore(await MemoryStore.open(), {
      before: () => {
        if (down) throw new MementoError("STORE_UNREACHABLE", "made to fail");
      },
    });
    await using memento = await Memento.open(store, { keys: false });
    const etl = memento.caretaker("etl");
    down = true;
    await expect(etl.save({ step: 1 })).rejects.toMatchObject({ code: "STORE_UNREACHABLE" });
    down = false;
    expect(await etl.save({ step: 1 })).toMatchObject({ sequence: 1 });
  });

  test("writes only what changed, unless full is asked for", async () => {
    const { etl } = await opened();
    const table = Array.from({ length: 2_000 }, (_, row) => `row ${row}`);
    await etl.save({ table, step: 1 });
    expect((await etl.save({ table, step: 2 })).sizes.heldBytes).toBeLessThan(50);
    expect((await etl.save({ table, step: 3 }, { full: true })).sizes.heldBytes).toBeGreaterThan(10_000);
    expect(await etl.latest()).toEqual({ table, step: 3 });
  });

  test("any sequence of states, with any of them removed: every kept one is exact (P8, P11)", async () => {
    const state = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), fc.jsonValue({ maxDepth: 2 }), {
      noNullPrototype: true,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(state, fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 25 }),
        async (steps) => {
          const { etl, memento } = await opened();
          const kept = new Map<string, unknown>();
          for (const [value, full, keep] of steps) {
            const { id } = await etl.save(value, { full });
            if (keep) kept.set(id, value);
            else await etl.delete(id);
          }
          for (const [id, value] of kept) expect(await etl.load(id)).toEqual(value);
          expect((await etl.statistics()).mementos).toBe(kept.size);
          expect(await memento.verify()).toMatchObject({ sound: true });
          await memento.close();
        },
      ),
      { numRuns: Number(process.env["MEMENTO_CASES"] ?? 1_000) / 10 },
    );
  });

  test("a state is saved as it was when save() was called, whatever is done to it before it resolves", async () => {
    const { etl } = await opened();
    const state = { rows: Array.from({ length: 2_000 }, (_, n) => ({ n })), step: 1 };
    const saves = [1, 2, 3].map((step) => {
      state.step = step;
      state.rows.push({ n: -step });
      return etl.save(state);
    });
    state.rows.length = 0;
    for (const [index, save] of saves.entries()) {
      const { step, rows } = (await etl.load((await save).id)) as typeof state;
      expect([step, rows.length, rows.at(-1)]).toEqual([index + 1, 2_001 + index, { n: -index - 1 }]);
    }
  });

  test("many saves at once are all there, each once", async () => {
    const { etl } = await opened();
    await Promise.all(Array.from({ length: 50 }, async (_, n) => await etl.save({ n }, { originator: `o${n % 7}` })));
    const found: unknown[] = [];
    for await (const info of etl.list()) found.push(((await etl.load(info.id)) as { n: number }).n);
    expect(found.toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });

  test("a writer that another one overtook follows it", async () => {
    const { store, etl } = await opened();
    const other = (await Memento.open(store, { keys: { raw: [new Uint8Array(32).fill(5)] } })).caretaker("etl");
    await etl.save({ n: 1 });
    await other.save({ n: 2 });
    await etl.save({ n: 3 });
    expect(await other.latest()).toEqual({ n: 3 });
    expect((await etl.statistics()).mementos).toBe(3);
  });
});

describe("names", () => {
  test("same name and same content is the same memento; other content is EXISTS; replace moves the name", async () => {
    const { etl } = await opened();
    const first = await etl.save({ a: 1 }, { id: "daily" });
    expect((await etl.save({ a: 1 }, { id: "daily" })).id).toBe(first.id);
    await expect(etl.save({ a: 2 }, { id: "daily" })).rejects.toMatchObject({ code: "EXISTS" });
    const moved = await etl.save({ a: 2 }, { id: "daily", replace: true });
    expect(moved.id).not.toBe(first.id);
    expect(await etl.load("daily")).toEqual({ a: 2 });
    expect(await etl.load(first.id)).toEqual({ a: 1 });
    await etl.delete("daily");
    await expect(etl.load("daily")).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect((await etl.save({ a: 3 }, { id: "daily" })).sequence).toBe(3);
  });

  test.each([[""], ["a\nb"], ["x".repeat(201)], ["\ud800"], ["abcdefghjkmn-1-abcdef"]])(
    "refuses the name %j",
    async (id) => {
      const { etl } = await opened();
      await expect(etl.save({}, { id })).rejects.toMatchObject({ code: "NAME_INVALID" });
      expect((await etl.statistics()).mementos).toBe(0);
    },
  );
});

describe("what callers without types may say", () => {
  const anything = (options: unknown): SaveOptions => options as SaveOptions;

  test.each([
    [{ labels: ["nightly"] }, "INVALID_ARGUMENT", "labels"],
    [{ labels: "nightly" }, "INVALID_ARGUMENT", "labels"],
    [{ labels: null }, "INVALID_ARGUMENT", "labels"],
    [{ labels: { attempt: 3 } }, "INVALID_ARGUMENT", "attempt"],
    [{ labels: { attempt: null } }, "INVALID_ARGUMENT", "attempt"],
    [{ metadata: ["a"] }, "INVALID_ARGUMENT", "metadata"],
    [{ metadata: "a" }, "INVALID_ARGUMENT", "metadata"],
    [{ description: 5 }, "INVALID_ARGUMENT", "description"],
    [{ kind: "thing" }, "INVALID_ARGUMENT", "kind"],
    [{ kind: "pipeline" }, "INVALID_ARGUMENT", "kind"],
    [{ id: 7 }, "NAME_INVALID", "7"],
    [{ originator: 7 }, "NAME_INVALID", "7"],
  ])("%j is refused by name, as a state and as a stream, and the store stays sound", async (options, code, named) => {
    const { memento, etl } = await opened();
    const { id } = await etl.save({ n: 1 }, { labels: { nightly: "yes" } });
    const refused = { code, message: expect.stringContaining(named) as string };
    await expect(etl.save({ n: 2 }, anything(options))).rejects.toMatchObject(refused);
    await expect(etl.saveStream([new Uint8Array(9)], anything(options))).rejects.toMatchObject(refused);
    const found: string[] = [];
    for await (const info of etl.list({ labels: { nightly: "yes" } })) found.push(info.id);
    expect(found).toEqual([id]);
    expect((await memento.statistics()).total.mementos).toBe(1);
    expect(await memento.verify()).toMatchObject({ sound: true });
  });
});

describe("list()", () => {
  test("filters by labels and by a function that sees the sealed facts, sorts and limits", async () => {
    const { etl } = await opened();
    for (let n = 1; n <= 6; n++)
      await etl.save(
        { n, pad: "x".repeat(n * 10) },
        { id: `s${n}`, labels: { odd: String(n % 2) }, metadata: { accuracy: n / 10 } },
      );
    const names = async (options: Parameters<Caretaker["list"]>[0]): Promise<(string | undefined)[]> => {
      const found: (string | undefined)[] = [];
      for await (const { name } of etl.list(options)) found.push(name);
      return found;
    };
    expect(await names({})).toEqual(["s6", "s5", "s4", "s3", "s2", "s1"]);
    expect(await names({ labels: { odd: "1" }, order: "ascending" })).toEqual(["s1", "s3", "s5"]);
    expect(await names({ where: ({ metadata }) => Number(metadata["accuracy"]) > 0.4 })).toEqual(["s6", "s5"]);
    expect(await names({ where: ({ metadata }) => Number(metadata["accuracy"]) < 0.4, limit: 2 })).toEqual([
      "s3",
      "s2",
    ]);
    expect(await names({ sort: "size", limit: 1 })).toEqual(["s6"]);
  });

  test.each([
    [{ createdFrom: "2027-03-04T05:06:07Z" }, ["at .500"]],
    [{ createdFrom: "2027-03-04T05:06Z" }, ["at .500"]],
    [{ createdFrom: "2027-03-04T06:00:00+01:00" }, ["at .500"]],
    [{ createdFrom: "2027-03-04T06:00:00Z" }, []],
    [{ createdFrom: "2027-03-04" }, ["at .500"]],
    [{ createdBefore: "2027-03-04T05:06:07Z" }, []],
    [{ createdBefore: "2027-03-04T07:06:07+02:00" }, []],
    [{ createdBefore: "2027-03-04T05:06:07.501Z", createdFrom: "2027-03-04T05:06:07.500Z" }, ["at .500"]],
  ])("looks from and to moments, however they are written: %j", async (options, found) => {
    const clock = new ManualClock(Date.parse("2027-03-04T05:06:07.500Z"));
    await using memento = await Memento.open("memory:", { clock });
    const etl = memento.caretaker("etl");
    await etl.save(1, { id: "at .500" });
    expect((await Array.fromAsync(etl.list(options))).map(({ name }) => name)).toEqual(found);
    expect((await Array.fromAsync(memento.select(options))).map(({ name }) => name)).toEqual(found);
  });

  test.each([
    { createdFrom: "yesterday" },
    { createdBefore: "2027-03-04T05:06" },
    { order: "asc" },
    { sort: "newest" },
  ])("refuses what it would have to guess: %j", async (options) => {
    const { etl } = await opened();
    await etl.save(1);
    const listed = Array.fromAsync(etl.list(options as ListOptions));
    await expect(listed).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("P12 loud: a save that fails", () => {
  test("is an error of that save, harms nothing, and the next one goes on", async () => {
    const { store, etl } = await opened();
    await etl.save({ n: 1 });
    const append = store.append.bind(store);
    store.append = async () => await Promise.reject(new Error("the disk is gone"));
    await expect(etl.save({ n: 2 })).rejects.toThrow("the disk is gone");
    store.append = append;
    await etl.save({ n: 3 });
    expect(await etl.latest()).toEqual({ n: 3 });
    expect((await etl.statistics()).mementos).toBe(2);
  });
});

describe("P4 secret: what a store sees", () => {
  test("no value, description or metadata in any byte of it", async () => {
    const { store, etl } = await opened();
    await etl.save(
      { card: "4111-secret-1111", list: ["4111-secret-1111"] },
      { metadata: { card: "4111-secret-1111" }, description: "4111-secret-1111", labels: { env: "prod" } },
    );
    for await (const { header, body } of store.commits(null)) {
      expect(Buffer.concat([header, body ?? new Uint8Array()]).toString("latin1")).not.toContain("4111-secret");
    }
  });

  test("a value that cannot be kept is refused by path, and nothing is stored", async () => {
    const { etl } = await opened();
    const error: unknown = await etl.save({ job: { run: () => 1 } }).catch((cause: unknown) => cause);
    expect(isMementoError(error, "UNSUPPORTED_VALUE") && error.message).toContain("job.run");
    expect((await etl.statistics()).mementos).toBe(0);
  });
});
