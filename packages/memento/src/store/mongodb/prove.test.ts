import { setImmediate as turn } from "node:timers/promises";

import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { mongodbIsThere, startMongodb } from "../../../../../test/harness/servers/mongodb.ts";
import { systemRandom } from "../../core/ports.ts";
import { expectCode } from "../../testing/store/kit.ts";
import { chooseMode } from "./connection.ts";
import type { StoreDocument } from "./documents.ts";
import { proveExclusion, type ProvedCollection } from "./prove.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);
const server = isThere ? await startMongodb() : null;
afterAll(async () => await server?.[Symbol.asyncDispose]());

/** A server that reads, thinks, and writes: each step for itself is right, and all racers win. */
function lossy(loses: "insert" | "swap" | "update" | "nothing"): ProvedCollection {
  const documents = new Map<unknown, Record<string, unknown>>();
  const stand = {
    async insertOne(document: StoreDocument) {
      const taken = documents.has(document._id);
      if (loses === "insert") await turn();
      if (taken) throw Object.assign(new Error("E11000 duplicate key"), { name: "MongoServerError", code: 11_000 });
      documents.set(document._id, { ...document });
    },
    async findOneAndUpdate({ _id, at }: StoreDocument, { $set }: { readonly $set: object }) {
      const found = documents.get(_id);
      const fits = found?.["at"] === at;
      if (loses === "swap") await turn();
      if (!fits) return null;
      documents.set(_id, { ...found, ...$set });
      return found;
    },
    async updateOne({ _id }: StoreDocument) {
      const sum = Number(documents.get(_id)?.["sum"]);
      if (loses === "update") await turn();
      documents.set(_id, { ...documents.get(_id), sum: sum + 1 });
      return { matchedCount: 1 };
    },
    findOne: async ({ _id }: StoreDocument) => documents.get(_id) ?? null,
    deleteOne: async ({ _id }: StoreDocument) => documents.delete(_id),
  };
  return stand as unknown as ProvedCollection;
}

describe("proveExclusion()", () => {
  test.each([
    ["insert", "create-if-absent"],
    ["swap", "compare-and-swap"],
    ["update", "atomic update"],
  ] as const)("refuses a server that loses an %s, and names %s", async (loses, named) => {
    const prove = async (): Promise<void> => await proveExclusion(lossy(loses), "mongodb://h/d", systemRandom, 1_000);
    await expectCode("ENGINE_UNSUITABLE", prove);
    await expect(prove()).rejects.toThrow(named);
  });

  test("takes one that loses nothing, and leaves nothing there", async () => {
    const proof = proveExclusion(lossy("nothing"), "mongodb://h/d", systemRandom, 1_000);
    await expect(proof).resolves.toBeUndefined();
  });

  test.skipIf(!isThere)("takes the real engine", async () => {
    const { MongoClient } = await import("mongodb");
    await using client = await new MongoClient(server?.url("proof") ?? "").connect();
    const documents = client.db().collection<StoreDocument>("scratch");
    await proveExclusion(documents, "mongodb://h/proof", systemRandom, 10_000);
    expect(await documents.countDocuments()).toBe(0);
  });
});

describe("chooseMode()", () => {
  const set = { replicated: true, sessions: true };
  const single = { replicated: false, sessions: true };

  test("takes transactions where the server has them, and single documents elsewhere", () => {
    expect(chooseMode("auto", set, "h")).toBe("transaction");
    expect(chooseMode("auto", single, "h")).toBe("single-document");
    expect(chooseMode("auto", { replicated: true, sessions: false }, "h")).toBe("single-document");
  });

  test("does what is asked for, and refuses transactions where there are none", async () => {
    expect(chooseMode("single-document", set, "h")).toBe("single-document");
    expect(chooseMode("transaction", set, "h")).toBe("transaction");
    await expectCode("ENGINE_UNSUITABLE", async () => chooseMode("transaction", single, "h"));
  });
});
