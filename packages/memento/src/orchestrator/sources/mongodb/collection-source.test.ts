import { Binary, Decimal128, Double, Long, MongoClient, ObjectId } from "mongodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { bench } from "../../../../../../test/harness/number-runs.ts";
import { mongodbIsThere, type MongodbServer, startMongodb } from "../../../../../../test/harness/servers/mongodb.ts";
import { readAll } from "../../../../../../test/harness/source-reading.ts";
import { definePipeline } from "../../pipeline/pipeline.ts";
import { memorySink, MemoryTable } from "../../sinks/index.ts";
import { mongodbCollection } from "./collection-source.ts";

describe.skipIf(!(await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere)))("mongodbCollection()", () => {
  let server: MongodbServer;
  let client: MongoClient;
  beforeAll(async () => {
    server = await startMongodb();
    client = await new MongoClient(server.url("source")).connect();
  });
  afterAll(async () => {
    await client.close();
    await server[Symbol.asyncDispose]();
  });

  const documents = Array.from({ length: 2500 }, (_, id) => ({
    _id: id,
    at: new Date(1e12 + Math.floor(id / 7)),
    n: id,
  }));

  test.each([{}, { watermark: "at" }])("reads every document once by %j, from every offset on", async (order) => {
    const collection = `events-${Object.keys(order).length}`;
    await client.db("source").collection<{ _id: number }>(collection).insertMany(documents);
    const source = mongodbCollection({ url: server.url("source"), collection, ...order });
    const whole = await readAll(source, { batchRecords: 400 });
    expect(whole).toMatchObject({ error: null, records: documents });
    for (const { offset } of whole.batches) {
      const { records } = offset as { records: number };
      expect((await readAll(source, { from: offset, batchRecords: 999 })).records).toEqual(documents.slice(records));
      const between = { available: true, problem: "", recordsBetween: 2500 - records };
      expect(await source.inspect({ "0": offset }, { "0": whole.offset })).toEqual(between);
    }
    const tied = await readAll(source, { batchRecords: 1 });
    for (const { offset } of tied.batches.slice(0, 20)) {
      const { records } = offset as { records: number };
      expect((await readAll(source, { from: offset })).records[0]).toEqual(documents[records]);
    }
    await source.close();
  });

  test("goes through a flow with the ids that the server gives by itself", async () => {
    const made = [{ n: 1 }, { n: 2 }];
    await client.db("source").collection("own-ids").insertMany(made);
    const { memento } = await bench();
    const data = new MemoryTable<{ id: string; n: number }>();
    const pipeline = definePipeline({
      name: "documents",
      version: "1",
      sources: { documents: () => mongodbCollection({ url: server.url("source"), collection: "own-ids" }) },
      sinks: { table: () => memorySink({ table: data }) },
      stages: (stage) => {
        const read = stage.read("read", { source: "documents" });
        const rows = stage.map("rows", { after: read, run: ({ _id, n }) => ({ id: String(_id), n: Number(n) }) });
        return [read, rows, stage.write("write", { after: rows, sink: "table" })];
      },
    });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
    expect([...data.rows]).toEqual(
      made.map((document) => ({ id: String(Reflect.get(document, "_id")), n: document.n })),
    );
  });

  test("goes on through ids of every type", async () => {
    const ids = [
      new Double(-1.5),
      7,
      Long.fromString("9007199254740993"),
      "a",
      "b",
      { x: 1 },
      new Binary(Buffer.of(1)),
      new ObjectId(),
      true,
      new Date(1e12),
    ];
    const collection = client.db("source").collection<{ _id: unknown }>("mixed");
    await collection.insertMany(ids.map((_id) => ({ _id })));
    const source = mongodbCollection({ client, database: "source", collection: "mixed" });
    const { records, batches, error } = await readAll(source, { batchRecords: 1 });
    expect({ count: records.length, error }).toEqual({ count: ids.length, error: null });
    for (const [index, { offset }] of batches.entries()) {
      const from = JSON.parse(JSON.stringify(offset)) as typeof offset;
      expect((await readAll(source, { from })).records).toEqual(records.slice(index + 1));
    }
    await source.close();
    expect(Decimal128.fromString("1").toString()).toBe("1");
  });

  test.each([{}, { watermark: "w" }])("goes on behind NaN with every number, by %j", async (order) => {
    const numbers = [
      Number.NaN,
      Decimal128.fromString("NaN"),
      Number.NEGATIVE_INFINITY,
      new Double(-1.5),
      Long.fromString("9007199254740993"),
      Number.POSITIVE_INFINITY,
      "text",
    ];
    const name = `nan-${Object.keys(order).length}`;
    // One id can be NaN, whatever its type.
    const values = "watermark" in order ? numbers : numbers.filter((_value, index) => index !== 1);
    const made = values.map((w, index) => ("watermark" in order ? { _id: index, w } : { _id: w }));
    await client.db("source").collection<{ _id: unknown }>(name).insertMany(made);
    const source = mongodbCollection({ client, database: "source", collection: name, ...order });
    const { records, batches, error } = await readAll(source, { batchRecords: 1 });
    expect({ count: records.length, error }).toEqual({ count: values.length, error: null });
    const end = batches.at(-1)?.offset ?? null;
    for (const [index, { offset }] of batches.entries()) {
      const from = JSON.parse(JSON.stringify(offset)) as typeof offset;
      expect((await readAll(source, { from })).records).toEqual(records.slice(index + 1));
      const between = { available: true, problem: "", recordsBetween: index + 1 };
      expect(await source.inspect({}, { "0": from })).toEqual(between);
      expect(await source.inspect({ "0": from }, { "0": end })).toMatchObject({ available: true });
    }
    const growing = mongodbCollection({ client, database: "source", collection: name, ...order, onlyGrows: true });
    for (const { offset } of batches) expect((await readAll(growing, { from: offset })).error).toBeNull();
  });

  test("refuses a watermark that is an array, or lies in one, by name, and an offset of another order", async () => {
    const collection = client.db("source").collection<{ _id: number; a: unknown; w: unknown }>("arrays");
    await collection.insertMany([
      { _id: 1, a: { b: 2 }, w: 1 },
      { _id: 2, a: [{ b: 0 }, { b: 9 }], w: [1, 9] },
    ]);
    for (const watermark of ["a.b", "w"]) {
      const source = mongodbCollection({ client, database: "source", collection: "arrays", watermark });
      const { error } = await readAll(source, { batchRecords: 1 });
      expect(error).toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining(`order of ${watermark}`) as string,
      });
      for (const after of [
        [null, { $numberInt: "1" }],
        [[1], { $numberInt: "1" }],
      ])
        expect((await readAll(source, { from: { after, records: 1 } })).error).toMatchObject({ code: "SOURCE_MOVED" });
    }
  });

  test("reads by filter, reads changed documents again, and says which are gone and which came late", async () => {
    const collection = client.db("source").collection<{ _id: number; at?: number; kind: string }>("changes");
    await collection.insertMany(Array.from({ length: 20 }, (_, index) => ({ _id: index + 1, at: 1, kind: "a" })));
    await collection.insertMany([
      { _id: 50, at: 1, kind: "b" },
      { _id: 51, kind: "a" },
    ]);
    const options = { client, database: "source", collection: "changes", filter: { kind: "a" } };
    const source = mongodbCollection<{ _id: number }>({ ...options, watermark: "at" });
    const first = await readAll(source);
    expect(first.records.map(({ _id }) => _id)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
    await collection.updateOne({ _id: 3 }, { $set: { at: 2 } });
    expect((await readAll(source, { from: first.offset })).records).toMatchObject([{ _id: 3 }]);
    const growing = mongodbCollection({ ...options, onlyGrows: true });
    const grown = await readAll(growing);
    await collection.insertOne({ _id: 0, at: 1, kind: "a" });
    expect((await readAll(growing, { from: grown.offset })).error).toMatchObject({ code: "SOURCE_MOVED" });
    await collection.deleteMany({ _id: { $lt: 5 } });
    const gone = await source.inspect({}, { "0": first.offset });
    expect(gone).toMatchObject({ available: false, recordsBetween: 20 });
    expect(gone.problem).toContain("4 of the 20 rows");
  });

  test("refuses other offsets and options, and shows no secret", async () => {
    const source = mongodbCollection({ client, database: "source", collection: "events-0" });
    const keys = [
      null,
      [1],
      { $date: "soon" },
      { $oid: "zz" },
      { $numberInt: "x" },
      { $numberLong: "1.5" },
      { $binary: 1 },
      { $ne: 1 },
    ];
    for (const from of [7, ...keys.map((key) => ({ after: [key], records: 1 }))]) {
      expect({ from, ...(await readAll(source, { from })) }).toMatchObject({
        from,
        error: { code: "SOURCE_MOVED" },
        records: [],
      });
      expect(await source.inspect({ "0": from }, {})).toMatchObject({ available: false });
    }
    expect((await readAll(source, { from: { after: [2497], records: 2498 } })).records).toHaveLength(2);
    expect(() => mongodbCollection({ collection: "x" })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    const away = mongodbCollection({ url: "mongodb://me:hunter2@127.0.0.1:1/x", collection: "y" });
    expect(away.describe()).not.toContain("hunter2");
    const { error } = await readAll(away);
    expect(error).toMatchObject({ code: "STORE_UNREACHABLE" });
    expect(error?.message).not.toContain("hunter2");
  });
});
