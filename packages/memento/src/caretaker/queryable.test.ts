import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Memento } from "../memento.ts";
import { jsonSortKey } from "../store/query.ts";
import type { Caretaker, ListOptions } from "./caretaker.ts";
import { clearMetadata, jsonOf, metadataAt } from "./queryable.ts";

async function withMemento<T>(use: (memento: Memento) => Promise<T>): Promise<T> {
  await using memento = await Memento.open("memory:");
  return await use(memento);
}

const METADATA: readonly Readonly<Record<string, unknown>>[] = [
  { owner: { team: "bi" }, rows: 10 },
  { owner: { team: "ops" }, rows: 9 },
  { "owner.team": "bi", rows: "many" },
  { rows: null },
  {},
];

async function saveAll(caretaker: Caretaker): Promise<void> {
  for (const [n, metadata] of METADATA.entries())
    await caretaker.save({ n }, { metadata, labels: { n: String(n), ...(n % 2 === 0 ? { even: `e${9 - n}` } : {}) } });
}

const listed = async (caretaker: Caretaker, options: ListOptions): Promise<string> =>
  (await Array.fromAsync(caretaker.list({ order: "ascending", ...options }), ({ labels }) => labels["n"])).join("");

/** By whichever way they are found, these are the answers. */
const LISTS: readonly (readonly [what: string, options: ListOptions, gives: string])[] = [
  ["a nested path", { metadata: { "owner.team": "bi" } }, "02"],
  ["two paths", { metadata: { "owner.team": "bi", rows: 10 } }, "0"],
  ["a path and a label", { metadata: { "owner.team": "bi" }, labels: { n: "2" } }, "2"],
  ["null, which is not the same as nothing", { metadata: { rows: null } }, "3"],
  ["a number, which is no text", { metadata: { rows: "10" } }, ""],
  ["a path and a limit", { metadata: { "owner.team": "bi" }, limit: 1 }, "0"],
  ["a path and where", { metadata: { "owner.team": "bi" }, where: ({ labels }) => labels["n"] !== "0" }, "2"],
  ["the order of a path", { sort: "metadata:rows" }, "43102"],
  ["the order of a path, from its end", { sort: "metadata:rows", order: "descending" }, "20134"],
  ["the order of a path, limited", { sort: "metadata:rows", limit: 2 }, "43"],
  ["the order of a label", { sort: "label:even" }, "13420"],
];

describe("list() by metadata and labels", () => {
  test.each(LISTS)("sealed: %s", async (_what, options, gives) => {
    await withMemento(async (memento) => {
      const etl = memento.caretaker("etl");
      await saveAll(etl);
      expect(await listed(etl, options)).toBe(gives);
    });
  });

  test.each(LISTS)("declared queryable: %s", async (_what, options, gives) => {
    await withMemento(async (memento) => {
      const etl = memento.caretaker("etl");
      await etl.setPolicy({ queryable: ["owner.team", "rows"] });
      await saveAll(etl);
      expect(await listed(etl, options)).toBe(gives);
    });
  });

  test("exactly the declared paths are in the clear, and the whole is sealed beside them", async () => {
    await withMemento(async (memento) => {
      const etl = memento.caretaker("etl");
      await etl.setPolicy({ queryable: ["owner.team", "absent"] });
      const metadata = { owner: { team: "bi", mail: "x@example.org" }, secret: 1 };
      const { id } = await etl.save({ a: 1 }, { metadata });
      const { id: stream } = await etl.saveStream([new Uint8Array(3)], { metadata });
      for (const each of [id, stream]) {
        expect((await memento.vault.load(each)).entry.metadata).toEqual({ "owner.team": "bi" });
        expect((await etl.info(each)).metadata).toEqual(metadata);
      }
    });
  });

  test("a declared path that JSON cannot hold is refused by name", async () => {
    await withMemento(async (memento) => {
      const etl = memento.caretaker("etl");
      await etl.setPolicy({ queryable: ["size"] });
      await expect(etl.save(1, { metadata: { size: 5n } })).rejects.toMatchObject({
        code: "UNSUPPORTED_VALUE",
        message: expect.stringContaining("metadata.size"),
      });
    });
  });

  test("across caretakers a path is declared when all of them declare it", async () => {
    await withMemento(async (memento) => {
      const [etl, lab] = [memento.caretaker("etl"), memento.caretaker("lab")];
      await etl.setPolicy({ queryable: ["owner.team", "rows"] });
      await lab.setPolicy({ queryable: ["rows"] });
      await saveAll(etl);
      await saveAll(lab);
      expect([...(await memento.declaredPaths())]).toEqual(["rows"]);
      expect([...(await memento.declaredPaths("etl"))]).toEqual(["owner.team", "rows"]);
      const found = await Array.fromAsync(memento.select({ metadata: { "owner.team": "bi", rows: 10 } }));
      expect(found.map(({ caretaker }) => caretaker)).toEqual(["lab", "etl"]);
    });
  });

  test("Memento's own labels are refused", async () => {
    await withMemento(async (memento) => {
      const saved = memento.caretaker("etl").save(1, { labels: { "memento.part": "x" } });
      await expect(saved).rejects.toMatchObject({ code: "NAME_INVALID" });
    });
  });
});

describe("metadataAt()", () => {
  test.each([
    [{ a: { b: 1 } }, "a.b", 1],
    [{ "a.b": 2, a: { b: 1 } }, "a.b", 2],
    [{ a: [5] }, "a.0", 5],
    [{ a: null }, "a.b", undefined],
    [{}, "constructor.name", undefined],
    [{ a: "text" }, "a.length", undefined],
  ])("%j at %s is %j", (metadata, path, value) => {
    expect(metadataAt(metadata, path)).toBe(value);
  });

  test("clearMetadata() keeps what JSON makes of a value", () => {
    const metadata = { at: new Date(0), gone: undefined, n: Number.NaN };
    expect(clearMetadata(metadata, ["at", "gone", "n", "none"])).toEqual({ at: "1970-01-01T00:00:00.000Z", n: null });
    expect(jsonOf(() => 1)).toBeUndefined();
  });
});

describe("jsonSortKey()", () => {
  test("numbers sort as numbers, texts by code unit", () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(number, number, (a, b) => {
        expect(Math.sign(Number(jsonSortKey(a) > jsonSortKey(b)) - Number(jsonSortKey(a) < jsonSortKey(b)))).toBe(
          Math.sign(Number(a > b) - Number(a < b)),
        );
      }),
      { numRuns: 2_000 },
    );
    fc.assert(fc.property(fc.string(), fc.string(), (a, b) => jsonSortKey(a) < jsonSortKey(b) === a < b));
  });
});
