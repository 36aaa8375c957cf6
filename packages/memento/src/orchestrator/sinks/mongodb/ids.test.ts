import { type Collection, MongoClient } from "mongodb";
import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { mongodbIsThere, startMongodb } from "../../../../../../test/harness/servers/mongodb.ts";
import { systemClock } from "../../../core/ports.ts";
import type { Sink } from "../sink.ts";
import { mongodbCollection } from "./collection-sink.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);
const server = isThere ? await startMongodb() : null;
const client = new MongoClient(server?.url("none") ?? "mongodb://127.0.0.1:1/none");

afterAll(async () => {
  await client.close();
  await server?.[Symbol.asyncDispose]();
});

interface Customer {
  readonly _id?: unknown;
  readonly customer: number;
  readonly name: string;
}

let databases = 0;

/** Lends a sink that upserts customers, and the collection as others see it. */
async function withCustomers(
  commit: "transaction" | "staged",
  run: (sink: Sink<Customer>, others: Collection<{ _id: unknown } & Customer>) => Promise<void>,
): Promise<void> {
  databases += 1;
  const name = `ids_${databases}`;
  const url = server?.url(name) ?? "";
  const sink = mongodbCollection<Customer>({ url, collection: "t", mode: "upsert", key: "customer", commit });
  await sink.open({ timeline: "one", name: "out", clock: systemClock, signal: new AbortController().signal });
  try {
    await run(sink, client.db(name).collection("t"));
  } finally {
    await sink.close();
  }
}

const by = (token: string): { epoch: number; token: string } => ({ epoch: 1, token });
const rowsOf = async (others: Collection<{ _id: unknown } & Customer>): Promise<[number, string][]> =>
  (await others.find().sort({ customer: 1 }).toArray()).map(({ customer, name }) => [customer, name]);

describe.skipIf(!isThere).each(["transaction", "staged"] as const)("the _id of a document: %s", (commit) => {
  test("a document whose key somebody changed keeps its _id, and the old key is written again beside it", async () => {
    await withCustomers(commit, async (sink, others) => {
      const { mark } = await sink.write([{ customer: 17, name: "ours" }], by("t1"));
      await others.updateOne({ customer: 17 }, { $set: { customer: 18, name: "theirs" } });
      await sink.write([{ customer: 17, name: "again" }], by("t2"));
      expect(await rowsOf(others)).toEqual([
        [17, "again"],
        [18, "theirs"],
      ]);
      await sink.write([{ customer: 17, name: "and again" }], by("t3"));
      await sink.revertTo(mark, by("back"), { force: false });
      expect(await rowsOf(others)).toEqual([[18, "theirs"]]);
    });
  });

  test("a forced way back puts such a document beside the one that has its _id, and can be gone back on", async () => {
    await withCustomers(commit, async (sink, others) => {
      const first = await sink.write([{ customer: 17, name: "ours" }], by("t1"));
      const { mark } = await sink.write([{ customer: 17, name: "bad" }], by("t2"));
      await others.updateOne({ customer: 17 }, { $set: { customer: 18, name: "theirs" } });
      await sink.revertTo(first.mark, by("b1"), { force: true });
      expect(await rowsOf(others)).toEqual([
        [17, "ours"],
        [18, "theirs"],
      ]);
      expect((await sink.inspect(first.mark)).foreign).toEqual([]);
      await sink.revertTo(mark, by("b2"), { force: false });
      expect(await rowsOf(others)).toEqual([[18, "theirs"]]);
    });
  });

  test("a row with the _id of another document is refused, and so are two rows with one _id", async () => {
    await withCustomers(commit, async (sink, others) => {
      await others.insertOne({ _id: "x", customer: 50, name: "theirs" });
      const rows = [
        { customer: 51, name: "ours" },
        { _id: "x", customer: 52, name: "ours" },
      ];
      const refused = sink.write(rows, by("t1"));
      await expect(refused).rejects.toMatchObject({ code: "RECORD_INVALID" });
      await expect(refused).rejects.toThrow("rows[1] has the _id of another document: t[customer=50]");
      const twice = [
        { _id: "y", customer: 53, name: "ours" },
        { _id: "y", customer: 54, name: "ours" },
      ];
      await expect(sink.write(twice, by("t2"))).rejects.toThrow("rows[1] has the _id of another document");
      expect(await rowsOf(others)).toEqual([[50, "theirs"]]);
    });
  });

  test("a document with an _id of its own does not come back over another one that has it by then", async () => {
    await withCustomers(commit, async (sink, others) => {
      const { mark } = await sink.write([{ _id: "x", customer: 1, name: "ours" }], by("t1"));
      await sink.revertTo(null, by("b1"), { force: false });
      await others.insertOne({ _id: "x", customer: 2, name: "theirs" });
      const back = sink.revertTo(mark, by("b2"), { force: false });
      await expect(back).rejects.toMatchObject({ code: "NOT_REVERTIBLE" });
      await expect(back).rejects.toThrow(
        "t[customer=1] cannot come back: its _id is that of another document, t[customer=2]",
      );
      expect(await rowsOf(others)).toEqual([[2, "theirs"]]);
    });
  });
});
