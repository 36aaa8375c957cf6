import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";

import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { fromFunction } from "../credentials/environment.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../sinks/index.ts";
import { csvFile, iterableSource } from "../sources/index.ts";
import { editedDocument, pathOf } from "./edit-document.ts";

interface Bench {
  readonly memento: Memento;
  readonly rows: MemoryTable<number>;
  readonly pipeline: (count: number) => Pipeline;
  readonly head: () => Promise<string>;
}

async function bench(): Promise<Bench> {
  const memento = await Memento.open(await MemoryStore.open());
  onTestFinished(async () => await memento.close());
  const rows = new MemoryTable<number>();
  const pipeline = (count: number): Pipeline =>
    definePipeline({
      name: "load",
      version: "1",
      params: z.object({ factor: z.number().default(1) }),
      credentials: { warehouse: fromFunction("load", async () => "warehouse-secret") },
      sources: {
        ids: () =>
          iterableSource<number>({
            name: "ids",
            async *records(from) {
              for (let id = Number(from ?? 0) + 1; id <= count; id++) yield { record: id, offset: id };
            },
            inspect: (from) => {
              const gone = Number(from ?? 0) > count;
              return { available: !gone, problem: gone ? `it ends at ${count}` : "", recordsBetween: null };
            },
          }),
      },
      sinks: { rows: () => memorySink<number>({ table: rows }) },
      stages: (stage) => [
        stage.task("load", { output: z.object({ last: z.number() }) }, async (context) => {
          for await (const { records } of context.read("ids")) {
            await context.write("rows", records);
            context.state["prices"] = { eur: 1, list: [1, 2], "a.b": true };
            context.state["when"] = new Date(0);
            context.state["bytes"] = Buffer.from("etl");
          }
          return { last: count };
        }),
      ],
    });
  const head = async (): Promise<string> => {
    for await (const { id } of memento.history({ name: "load" })) return id;
    throw new Error("no head");
  };
  return { memento, rows, pipeline, head };
}

describe("pathOf()", () => {
  test.each([
    ["state.a.b", ["state", "a", "b"]],
    ["offsets.orders.0", ["offsets", "orders", "0"]],
    ['state["a.b"][3]', ["state", "a.b", "3"]],
    ["/state/a~1b/0", ["state", "a/b", "0"]],
  ])("%s", (text, keys) => {
    expect(pathOf(text)).toEqual(keys);
  });

  test.each(["", "state..a", "state[x]", "state.", 'state["\\q"]', 'state["\n"]'])("refuses %j", (text) => {
    expect(() => pathOf(text)).toThrow("cannot be edited");
  });
});

describe("editedDocument()", () => {
  const document = { params: {}, state: { a: [1, 2, 3], b: { c: 1 } }, offsets: {}, outputs: {} };

  test("follows a JSON Patch step by step, and leaves the given one alone", () => {
    const patch = [
      { op: "test", path: "/state/a/0", value: 1 },
      { op: "add", path: "/state/a/1", value: 9 },
      { op: "remove", path: "/state/a/0" },
      { op: "move", from: "/state/b/c", path: "/state/d" },
      { op: "copy", from: "/state/d", path: "/state/b/e" },
      { op: "replace", path: "/state/d", value: null },
    ];
    expect(editedDocument(document, [], patch).state).toEqual({ a: [9, 2, 3], b: { e: 1 }, d: null });
    expect(document.state).toEqual({ a: [1, 2, 3], b: { c: 1 } });
  });

  test("takes an array's items for its members, and nothing else of it", () => {
    for (const path of ["state.a.length", "/state/a/length", "state.a.01"])
      expect(() => editedDocument(document, [{ path }], undefined)).toThrow("there is nothing");
    expect(editedDocument(document, [{ path: "state.a[0]" }], undefined).state).toMatchObject({ a: [2, 3] });
  });

  test("takes no inherited member for one that is there", () => {
    const edits = [{ path: "state.constructor", value: 1 }];
    const { state } = editedDocument(document, edits, { state: { valueOf: { x: 1 } } });
    expect(Object.entries(state).slice(2)).toEqual([
      ["constructor", 1],
      ["valueOf", { x: 1 }],
    ]);
  });

  test("merges a patch that is an object, where null takes away", () => {
    expect(editedDocument(document, [], { state: { a: null, b: { f: 2 } } }).state).toEqual({ b: { c: 1, f: 2 } });
  });

  test.each([
    [[{ op: "test", path: "/state/b/c", value: 2 }], "CONFLICT"],
    [[{ op: "replace", path: "/state/none", value: 2 }], "INVALID_ARGUMENT"],
    [[{ op: "jump", path: "/state" }], "INVALID_ARGUMENT"],
    [[{ op: "move", from: "/state/b", path: "/state/b/c" }], "INVALID_ARGUMENT"],
    [null, "INVALID_ARGUMENT"],
    ["state", "INVALID_ARGUMENT"],
    [[{ op: "replace", path: "", value: null }], "INVALID_ARGUMENT"],
    [{ state: JSON.parse('{"__proto__":{"x":1}}') as { x: number } }, "INVALID_ARGUMENT"],
  ])("refuses %j", (patch, code) => {
    expect(() => editedDocument(document, [], patch)).toThrow(expect.objectContaining({ code }) as Error);
  });
});

describe("editPipeline()", () => {
  test("takes no whole section away", async () => {
    const { memento, pipeline } = await bench();
    await memento.run(pipeline(3));
    for (const path of ["state", "offsets", "outputs", "params"])
      await expect(memento.edit(pipeline(3), { edits: [{ path }] })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: `${path} cannot be taken away as a whole`,
      });
    await expect(memento.edit(pipeline(3), { patch: { state: null } })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });

  test("asks a source whether it still has all that it would read again without its offsets", async () => {
    const { memento, pipeline } = await bench();
    await memento.run(pipeline(3));
    const gone = pipeline(-1);
    for (const path of ["offsets.ids.0", "offsets.ids"])
      await expect(memento.edit(gone, { edits: [{ path }] })).rejects.toMatchObject({ code: "SOURCE_RANGE_GONE" });
    await memento.edit(pipeline(3), { edits: [{ path: "offsets.ids" }] });
  });

  test("appends a new head with who, why and what, from which the next run goes on; the old one stays", async () => {
    const { memento, rows, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    const before = await head();
    const edited = await memento.edit(pipeline(10), {
      edits: [
        { path: "offsets.ids.0", value: 8 },
        { path: "state.prices.eur", value: 2 },
        { path: 'state.prices["a.b"]' },
        { path: "state.note", value: { by: "hand" } },
      ],
      by: "ann",
      why: "two records were lost at the source",
    });
    expect(edited.undo).toBe(before);
    const made = await memento.vault.load(edited.head);
    expect(made.entry).toMatchObject({ reason: "edit", status: "completed", generation: 1, parent: before });
    expect(await made.value("state/prices")).toEqual({ eur: 2, list: [1, 2] });
    expect(await made.value("state/when")).toEqual(new Date(0));
    expect(await made.value("state/bytes")).toEqual(Buffer.from("etl"));
    expect(made.fields()["evidence"]).toMatchObject({
      by: "ann",
      why: "two records were lost at the source",
      before,
      changes: [
        { path: "state.prices.eur", before: 1, after: 2 },
        { path: 'state.prices["a.b"]', before: true },
        { path: "state.note", after: { by: "hand" } },
        { path: "offsets.ids.0", before: 10, after: 8 },
      ],
    });
    await memento.run(pipeline(12));
    expect([...rows.rows]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 10, 11, 12]);
    expect(await memento.verify()).toMatchObject({ sound: true });
  });

  test("is undone by a rollback to the head before", async () => {
    const { memento, pipeline } = await bench();
    await memento.run(pipeline(10));
    const { undo } = await memento.edit(pipeline(10), { patch: { state: { prices: null } } });
    const digest = (await memento.vault.load(undo)).contentDigest();
    const { hash } = await memento.plan(pipeline(10), undo);
    const back = await memento.rollback(pipeline(10), undo, { plan: hash });
    const restored = await memento.vault.load(back.head);
    expect(await restored.value("state/prices")).toEqual({ eur: 1, list: [1, 2], "a.b": true });
    expect(restored.fields()["evidence"]).toMatchObject({ digests: { target: digest } });
  });

  test("keeps secrets out of what it shows and of its evidence", async () => {
    const { memento, pipeline } = await bench();
    await memento.run(pipeline(5));
    const { changes, head } = await memento.edit(pipeline(5), {
      edits: [
        { path: "state.url", value: "https://u:warehouse-secret@host" },
        { path: "state.api", value: { apiKey: "k-1", limit: 3 } },
        {
          path: "state.map",
          value: new Map<unknown, unknown>([
            ["db_pwd", "k-1"],
            ["warehouse-secret", new Set(["warehouse-secret"])],
          ]),
        },
        { path: "state.bytes", value: Buffer.from("Bearer warehouse-secret") },
        { path: 'state["warehouse-secret"]', value: { signature: "k-1" } },
      ],
    });
    const said = inspect([changes, (await memento.vault.load(head)).fields()], { depth: 20 });
    expect(said).not.toContain("warehouse-secret");
    expect(said).not.toContain("k-1");
    expect(said).not.toContain(
      Buffer.from("secret")
        .toString("hex")
        .replaceAll(/(?<=..)(?=(?:..)+$)/gu, " "),
    );
    expect(changes).toContainEqual({ path: "state.api", after: { apiKey: "***", limit: 3 } });
    expect(changes).toContainEqual({ path: "state.bytes", before: Buffer.from("etl"), after: "***" });
  });

  test.each([
    ["an offset that the source does not have", { path: "offsets.ids.0", value: 99 }, "SOURCE_RANGE_GONE"],
    ["an unknown source", { path: "offsets.nope.0", value: 1 }, "INVALID_ARGUMENT"],
    ["offsets that are none", { path: "offsets.ids", value: 3 }, "INVALID_ARGUMENT"],
    ["what is no plain data", { path: "state.f", value: (): number => 1 }, "UNSUPPORTED_VALUE"],
    ["parameters that do not fit", { path: "params.factor", value: "x" }, "PARAMS_INVALID"],
    ["an output that does not fit", { path: "outputs.load.last", value: "x" }, "SCHEMA_MISMATCH"],
    ["an output of a stage that is not done", { path: "outputs.nope", value: 1 }, "INVALID_ARGUMENT"],
    ["another part of the memento", { path: "sinks.rows", value: null }, "INVALID_ARGUMENT"],
  ])("refuses %s, and changes nothing", async (_what, edit, code) => {
    const { memento, pipeline, head } = await bench();
    await memento.run(pipeline(5));
    const before = await head();
    await expect(memento.edit(pipeline(5), { edits: [edit] })).rejects.toMatchObject({ code });
    expect(await head()).toBe(before);
  });

  test("says what an offset into a file is made of, and from where to take one", async () => {
    const { memento } = await bench();
    const folder = await mkdtemp(join(tmpdir(), "memento-edit-"));
    try {
      const file = join(folder, "orders.csv");
      await writeFile(file, "id\n1\n2\n");
      const orders = definePipeline({
        name: "orders",
        version: "1",
        sources: { orders: () => csvFile({ path: file }) },
        stages: (stage) => [stage.read("read", { source: "orders" })],
      });
      await memento.run(orders);
      await expect(memento.edit(orders, { edits: [{ path: "offsets.orders.0", value: 1 }] })).rejects.toMatchObject({
        code: "SOURCE_RANGE_GONE",
        message: `Source orders cannot be read from there: the offset is not one into ${file}, which is { file, byte, record }: another kind of source has made it, or a hand`,
        hint: expect.stringMatching(/memento show.*take them away/u),
      });
      await memento.edit(orders, { edits: [{ path: "offsets.orders" }] });
      const { output } = await memento.run(orders);
      expect(await output("read")).toMatchObject({ recordsOut: 2 });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("changes outputs and parameters that fit, and appends nothing where nothing differs", async () => {
    const { memento, pipeline, head } = await bench();
    await memento.run(pipeline(5));
    await memento.edit(pipeline(5), {
      edits: [
        { path: "outputs.load.last", value: 4 },
        { path: "params.factor", value: 3 },
      ],
    });
    const edited = await memento.vault.load(await head());
    expect(await edited.value("output/load")).toEqual({ last: 4 });
    expect(await edited.value("run")).toMatchObject({ params: { factor: 3 } });
    const same = await memento.edit(pipeline(5), { edits: [{ path: "outputs.load.last", value: 4 }] });
    expect(same).toEqual({ head: edited.entry.id, undo: edited.entry.id, changes: [] });
    const dry = await memento.edit(pipeline(5), { edits: [{ path: "state.x", value: 1 }], dryRun: true });
    expect(dry.changes).toEqual([{ path: "state.x", after: 1 }]);
    expect(await head()).toBe(edited.entry.id);
  });

  test("refuses another memento than the head, and a timeline that somebody alive holds", async () => {
    const { memento, pipeline } = await bench();
    await memento.run(pipeline(5));
    const edits = [{ path: "state.x", value: 1 }];
    await expect(memento.edit(pipeline(5), { edits, target: "1" })).rejects.toMatchObject({ code: "CONFLICT" });
    let refused: unknown;
    const busy = definePipeline({
      name: "load",
      version: "1",
      stages: (stage) => [
        stage.task("meanwhile", async () => {
          refused = await memento.edit(pipeline(5), { edits }).catch((error: unknown) => error);
        }),
      ],
    });
    await memento.run(busy);
    expect(refused).toMatchObject({ code: "LOCKED" });
  });
});
