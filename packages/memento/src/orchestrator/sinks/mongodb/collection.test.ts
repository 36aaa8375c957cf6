import { Binary, Decimal128, Double, Int32, Long, MongoClient, ObjectId, Timestamp, UUID } from "mongodb";
import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { bench, load } from "../../../../../../test/harness/number-runs.ts";
import { mongodbIsThere, startMongodb } from "../../../../../../test/harness/servers/mongodb.ts";
import { systemClock } from "../../../core/ports.ts";
import { definePipeline } from "../../pipeline/pipeline.ts";
import { fromIterable } from "../../sources/index.ts";
import type { Sink } from "../sink.ts";
import { mongodbCollection } from "./collection-sink.ts";
import type { MongodbCollectionOptions } from "./options.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);
const server = isThere ? await startMongodb() : null;
const client = new MongoClient(server?.url("none") ?? "mongodb://127.0.0.1:1/none");

afterAll(async () => {
  await client.close();
  await server?.[Symbol.asyncDispose]();
});

type Row = Readonly<Record<string, unknown>>;
type Options = Partial<MongodbCollectionOptions>;

const by = (token: string): { epoch: number; token: string } => ({ epoch: 1, token });
const gently = { force: false };
let databases = 0;

/** Lends sinks into the collection `t` of a database of its own. */
async function withDatabase(
  run: (open: (options?: Options, timeline?: string) => Promise<Sink<Row>>, name: string) => Promise<void>,
): Promise<void> {
  await using lent = new AsyncDisposableStack();
  databases += 1;
  const name = `sink_${databases}`;
  await run(async (options = {}, timeline = "one") => {
    const sink = mongodbCollection<Row>({ url: server?.url(name) ?? "", collection: "t", mode: "append", ...options });
    lent.defer(async () => await sink.close());
    await sink.open({ timeline, name: "out", clock: systemClock, signal: new AbortController().signal });
    return sink;
  }, name);
}

describe.skipIf(!isThere)("mongodbCollection()", () => {
  test.each(["transaction", "staged"] as const)(
    "puts documents back to the byte, whatever their types: %s",
    async (commit) => {
      await withDatabase(async (open, name) => {
        const documents = client.db(name).collection("t", { promoteValues: false, promoteBuffers: false });
        const before = {
          _id: new ObjectId(),
          k: "a",
          int: new Int32(1),
          double: new Double(1),
          long: Long.fromString("9007199254740993"),
          none: null,
          decimal: Decimal128.fromString("1.10"),
          at: new Date(0),
          bytes: new Binary(Buffer.from([0, 1])),
          id: new UUID(),
          stamp: new Timestamp({ t: 1, i: 2 }),
          nested: { z: [new Double(2), { y: "\0" }], a: true },
        };
        await documents.insertOne({ ...before });
        const found = client.db(name).collection("t").find({}, { raw: true });
        const [bytes] = (await found.toArray()) as unknown as Buffer[];
        const sink = await open({ mode: "upsert", key: "k", commit });
        await sink.write([{ k: "a", big: 2n ** 60n, left: undefined }, { k: "b" }], by("t1"));
        expect(await client.db(name).collection("t").countDocuments()).toBe(2);
        expect(Object.keys((await documents.findOne({ k: "a" })) ?? {})).toEqual(["_id", "k", "big"]);
        expect(await sink.revertTo(null, by("back"), gently)).toMatchObject({ removed: 1, restored: 1 });
        const [restored] = (await client
          .db(name)
          .collection("t")
          .find({}, { raw: true })
          .toArray()) as unknown as Buffer[];
        expect(restored?.equals(bytes ?? Buffer.alloc(0))).toBe(true);
      });
    },
  );

  test.each(["transaction", "staged"] as const)(
    "takes all of a batch back whose last row an index refuses, and names the row: %s",
    async (commit) => {
      await withDatabase(async (open, name) => {
        await client
          .db(name)
          .collection("t")
          .createIndexes([{ key: { email: 1 }, unique: true }]);
        const sink = await open({ commit });
        const rows = [{ email: "a" }, { email: "b" }, { email: "a" }];
        const refused = sink.write(rows, by("t1"));
        await expect(refused).rejects.toMatchObject({ code: "RECORD_INVALID" });
        if (commit === "transaction") await expect(refused).rejects.toMatchObject({ details: { item: "rows[2]" } });
        expect(await client.db(name).collection("t").countDocuments()).toBe(0);
        expect(await sink.mark()).toBeNull();
        await sink.write(rows.slice(0, 2), by("t1"));
        expect(await client.db(name).collection("t").countDocuments()).toBe(2);
      });
    },
  );

  test.each([
    ["transaction", "_id"],
    ["staged", "_id"],
    ["transaction", "k"],
    ["staged", "k"],
  ] as const)(
    "puts back documents whose values of another unique index changed places: %s, by %s",
    async (commit, key) => {
      await withDatabase(async (open, name) => {
        const collection = client.db(name).collection("t");
        await collection.createIndexes([{ key: { email: 1 }, unique: true }]);
        const sink = await open({ mode: "upsert", key, commit });
        // More than one part holds.
        const rows = Array.from({ length: 1_100 }, (_none, index) => ({ [key]: index, email: `${index}` }));
        const { mark } = await sink.write(rows, by("t1"));
        const before = await collection
          .find()
          .sort({ [key]: 1 })
          .toArray();
        await sink.write([{ [key]: 0, email: "away" }], by("t2"));
        await sink.write([{ [key]: 1_099, email: "0" }], by("t3"));
        const { mark: late } = await sink.write(
          [
            { [key]: 0, email: "1099" },
            { [key]: "new", email: "away" },
          ],
          by("t4"),
        );
        const after = await collection
          .find()
          .sort({ [key]: 1 })
          .toArray();
        expect(await sink.revertTo(mark, by("r1"), gently)).toMatchObject({ removed: 1, restored: 2, kept: [] });
        expect(
          await collection
            .find()
            .sort({ [key]: 1 })
            .toArray(),
        ).toEqual(before);
        await sink.revertTo(late, by("r2"), gently);
        expect(
          await collection
            .find()
            .sort({ [key]: 1 })
            .toArray(),
        ).toEqual(after);
      });
    },
  );

  test("takes a staged write back that the engine refuses half-way, where its values had changed places", async () => {
    await withDatabase(async (open, name) => {
      const collection = client.db(name).collection<{ _id: number }>("t");
      await collection.createIndexes([{ key: { email: 1 }, unique: true }]);
      const sink = await open({ mode: "upsert", commit: "staged" });
      const rows = [1, 2, 3].map((_id) => ({ _id, email: `${_id}` }));
      await sink.write(rows, by("t1"));
      const moved = [
        { _id: 1, email: "free" },
        { _id: 2, email: "1" },
        { _id: 4, email: "3" },
      ];
      await expect(sink.write(moved, by("t2"))).rejects.toMatchObject({ code: "RECORD_INVALID" });
      expect(await collection.find().sort({ _id: 1 }).toArray()).toEqual(rows);
      await sink.write([{ _id: 5, email: "5" }], by("t2"));
    });
  });

  test.each(["transaction", "staged"] as const)("keeps fields that are named __proto__: %s", async (commit) => {
    await withDatabase(async (open, name) => {
      const text = '{"_id":1,"__proto__":{"a":1},"b":{"__proto__":{"c":2},"d":1}}';
      const sink = await open({ mode: "upsert", commit });
      const { mark } = await sink.write([JSON.parse(text) as Row], by("t1"));
      await sink.write([{ _id: 1 }], by("t2"));
      await sink.revertTo(mark, by("r"), gently);
      expect(JSON.stringify(await client.db(name).collection("t").find().toArray())).toBe(`[${text}]`);
    });
  });

  test.each<[string, unknown, string]>([
    ["a field that is an operator", { $set: 1 }, "RECORD_INVALID"],
    ["no object", 7, "RECORD_INVALID"],
    ["a function", { a: { b: () => 1 } }, "UNSUPPORTED_VALUE"],
    ["an instance of a class", { a: new Map() }, "UNSUPPORTED_VALUE"],
    ["a number of 65 bits", { a: 2n ** 64n }, "UNSUPPORTED_VALUE"],
    ["more than 15 MiB", { a: "x".repeat(16_000_000) }, "RECORD_INVALID"],
    ["an _id that is an array", { _id: [1] }, "RECORD_INVALID"],
  ])("refuses %s, naming the row", async (_name, row, code) => {
    await withDatabase(async (open) => {
      const sink = await open();
      const refused = sink.write([{ a: 1 }, row as Row], by("t1"));
      await expect(refused).rejects.toMatchObject({ code });
      await expect(refused).rejects.toThrow("rows[1]");
    });
  });

  test("refuses in an append a key that is there, or twice in the batch", async () => {
    await withDatabase(async (open) => {
      const sink = await open({ key: ["a", "b"] });
      await sink.write(
        [
          { a: 1, b: "x" },
          { a: 1, b: "y" },
        ],
        by("t1"),
      );
      await expect(
        sink.write(
          [
            { a: 2, b: "x" },
            { a: 1, b: "y" },
          ],
          by("t2"),
        ),
      ).rejects.toThrow('rows[1] has a key that is there already: t[a=1, b="y"]');
      await expect(
        sink.write(
          [
            { a: 3, b: "x" },
            { a: 3, b: "x" },
          ],
          by("t3"),
        ),
      ).rejects.toMatchObject({ code: "RECORD_INVALID" });
    });
  });

  test("clients that commit in transactions and staged share a collection", async () => {
    await withDatabase(async (open, name) => {
      const one = await open({ commit: "transaction", mode: "upsert", key: "k" }, "one");
      const two = await open({ commit: "staged", mode: "upsert", key: "k" }, "two");
      await one.write([{ k: 1, v: 1 }], by("t1"));
      await two.write(
        [
          { k: 1, v: 2 },
          { k: 2, v: 2 },
        ],
        by("t1"),
      );
      await one.write([{ k: 3, v: 3 }], by("t2"));
      expect((await one.inspect(null)).foreign).toEqual([{ item: "t[k=1]", change: "changed" }]);
      await two.revertTo(null, by("back"), gently);
      expect((await one.inspect(null)).foreign).toEqual([]);
      expect(await client.db(name).collection("t").countDocuments()).toBe(2);
    });
  });

  test("writers of several timelines into one collection all get through", async () => {
    await withDatabase(async (open, name) => {
      const sinks = await Promise.all(["a", "b", "c", "d"].map(async (timeline) => await open({}, timeline)));
      await Promise.all(
        sinks.map(async (sink, line) => {
          for (let batch = 0; batch < 4; batch++) await sink.write([{ line, batch }], by(`t${batch}`));
        }),
      );
      expect(await client.db(name).collection("t").countDocuments()).toBe(16);
    });
  });

  test("never shows the password", async () => {
    const url = "mongodb://etl:s3cret@127.0.0.1:1/shop?serverSelectionTimeoutMS=50";
    const sink = mongodbCollection({ url, collection: "t", mode: "append" });
    const context = { timeline: "one", name: "out", clock: systemClock, signal: new AbortController().signal };
    const opening = sink.open(context);
    await expect(opening).rejects.toMatchObject({ code: "STORE_UNREACHABLE" });
    await expect(opening).rejects.not.toThrow("s3cret");
    expect(sink.describe()).toBe("mongodb collection t in shop");
  });

  test.each([undefined, "n"])(
    "a run does not go on where its collection was dropped or renamed, and nobody makes one in its place but by force: key %s",
    async (key) => {
      databases += 1;
      const name = `sink_${databases}`;
      const database = client.db(name);
      const { memento } = await bench();
      let broken = true;
      const before = (n: number): void => {
        if (broken && n === 55) throw new Error("the power is gone");
      };
      const url = server?.url(name) ?? "";
      const into = load(
        () => mongodbCollection({ url, collection: "t", mode: "append", ...(key === undefined ? {} : { key }) }),
        { before },
      );
      const count = async (): Promise<number> => await database.collection("t").countDocuments();
      await expect(memento.run(into)).rejects.toMatchObject({ code: "STAGE_FAILED" });
      broken = false;
      const written = await count();
      expect(written).toBeGreaterThan(0);
      await database.renameCollection("t", "away");
      await expect(memento.run(into)).rejects.toMatchObject({ code: "SINK_MOVED" });
      const plan = await memento.plan(into, "start");
      expect(plan.sinks).toMatchObject([{ verdict: "unchanged" }, { verdict: "elsewhere" }]);
      await database.renameCollection("away", "t");
      expect(await count()).toBe(written);
      expect(await memento.run(into)).toMatchObject({ status: "completed", resumed: true });
      expect(await count()).toBe(95);
      await database.dropCollection("t");
      const { hash } = await memento.plan(into, "start");
      await memento.rollback(into, "start", { plan: hash, force: ["table"] });
      expect(await memento.run(into)).toMatchObject({ status: "completed" });
      expect(await count()).toBe(95);
    },
  );

  test("a rollback by force into a collection that was dropped makes it, so that runs go on behind it", async () => {
    databases += 1;
    const name = `sink_${databases}`;
    const database = client.db(name);
    const { memento } = await bench();
    let fails = true;
    const before = (n: number): void => {
      if (fails && n === 55) throw new Error("the power is gone");
    };
    const url = server?.url(name) ?? "";
    const into = load(() => mongodbCollection({ url, collection: "t", mode: "append" }), { before });
    await expect(memento.run(into)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    fails = false;
    await database.dropCollection("t");
    const { hash } = await memento.plan(into, "head");
    await memento.rollback(into, "head", { plan: hash, force: ["table"] });
    expect(await database.listCollections({ name: "t" }).toArray()).toHaveLength(1);
    expect(await memento.run(into)).toMatchObject({ status: "completed" });
  });

  test("a flow writes rows that hold the driver's own types", async () => {
    databases += 1;
    const name = `sink_${databases}`;
    const url = server?.url(name) ?? "";
    const { memento } = await bench();
    const _id = new ObjectId();
    const price = Decimal128.fromString("1.10");
    const pipeline = definePipeline({
      name: "prices",
      version: "1",
      sources: { numbers: () => fromIterable(() => [1]) },
      sinks: { out: () => mongodbCollection({ url, collection: "t", mode: "append" }) },
      stages: (stage) => {
        const read = stage.read("read", { source: "numbers" });
        const rows = stage.map("rows", { after: read, run: (n) => ({ _id, n, price }) });
        return [read, rows, stage.write("write", { after: rows, sink: "out" })];
      },
    });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
    const found = await client.db(name).collection<{ _id: ObjectId }>("t").find().toArray();
    expect(found).toEqual([{ _id, n: 1, price }]);
  });
});
