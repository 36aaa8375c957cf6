import { inspect } from "node:util";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { mongodbIsThere, startMongodb } from "../../../../../test/harness/servers/mongodb.ts";
import { freePort } from "../../../../../test/harness/servers/server.ts";
import { isMementoError, type MementoError } from "../../core/errors.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { openStore } from "../open-store.ts";
import { readAddress } from "./connection.ts";
import type { StoreDocument } from "./documents.ts";
import { failureOf } from "./failure.ts";
import { MongodbStore } from "./store.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);
const SECRET = "s3cr%40t-word";

/** What the call is refused with. */
async function refusal(call: () => Promise<unknown>): Promise<MementoError> {
  try {
    await call();
  } catch (error) {
    if (isMementoError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** Everything that a person or a log could see of an error. */
const shown = (error: unknown): string => `${inspect(error, { depth: 9, showHidden: true })} ${JSON.stringify(error)}`;

function expectNoSecret(text: string): void {
  for (const secret of [SECRET, decodeURIComponent(SECRET)]) expect(text).not.toContain(secret);
}

describe("readAddress()", () => {
  test("keeps what is ours from the driver, and the password from people", () => {
    const address = readAddress(`mongodb://ann:${SECRET}@h1:1,h2:2/etl?prefix=m_&commit=transaction&replicaSet=r`);
    expect(address.url).toBe(`mongodb://ann:${SECRET}@h1:1,h2:2/etl?replicaSet=r`);
    expect(address.where).toBe("mongodb://ann@h1:1,h2:2/etl?prefix=m_");
    expect(address).toMatchObject({ database: "etl", prefix: "m_", commit: "transaction" });
    expect(readAddress("mongodb+srv://cluster.example/etl").where).toBe("mongodb+srv://cluster.example/etl");
  });

  test.each(["mongodb://h:1", "mongodb://h:1/", "mongodb://h:1/?replicaSet=r", "http://h/etl"])(
    "refuses %s, which names no database",
    async (url) => {
      await expectCode("INVALID_ARGUMENT", async () => readAddress(url));
    },
  );

  test.each([
    ["commit=perhaps", "commit"],
    ["prefix=a%24b", "prefix"],
  ])("refuses %s", async (parameters, named) => {
    const error = await refusal(async () => await MongodbStore.openUrl(`mongodb://127.0.0.1:1/etl?${parameters}`));
    expect([error.code, error.message.includes(named)]).toEqual(["INVALID_ARGUMENT", true]);
  });
});

describe("failureOf()", () => {
  test("tells a server that is too old", async () => {
    const { MongoCompatibilityError } = await import("mongodb");
    const error = new MongoCompatibilityError(
      "Server at h:1 reports maximum wire version 6, but this driver requires 9",
    );
    expect(failureOf(error, "mongodb://h:1/etl")).toMatchObject({ code: "ENGINE_UNSUITABLE" });
  });

  test("passes what is not the driver's", () => {
    const fault = new TypeError("a fault of the program");
    expect(() => failureOf(fault, "here")).toThrow(fault);
  });
});

describe.skipIf(!isThere)("errors of MongodbStore", () => {
  let server: Awaited<ReturnType<typeof startMongodb>>;
  const open = async (account: string, database = "etl"): Promise<MongodbStore> =>
    await MongodbStore.openUrl(server.url(database, account));

  beforeAll(async () => {
    server = await startMongodb();
    const { MongoClient } = await import("mongodb");
    const client = await new MongoClient(server.url("admin")).connect();
    const pwd = decodeURIComponent(SECRET);
    await client.db("admin").command({ createUser: "ann", pwd, roles: ["root"] });
    await client.db("admin").command({ createUser: "bob", pwd, roles: [{ role: "read", db: "etl" }] });
    await client.close();
    await server.stop();
    server.requireAccounts();
    await server.start();
  }, 90_000);

  afterAll(async () => await server[Symbol.asyncDispose]());

  test("a wrong password and a missing account are ACCESS_DENIED, and show no secret", async () => {
    const wrong = `ann:${SECRET}-not`;
    const denied = await refusal(async () => await open(wrong));
    expect(denied.code).toBe("ACCESS_DENIED");
    expectNoSecret(shown(denied));
    const missing = await refusal(async () => await MongodbStore.openUrl(server.url("etl")));
    expect(missing.code).toBe("ACCESS_DENIED");
  });

  test("an account that may only read is let in, reads, and is denied each change", async () => {
    const make = new StoreFixture(1);
    await using store = await open(`ann:${SECRET}`);
    expectNoSecret(`${store.url} ${shown(store)}`);
    expect(store.url).toContain("ann@");
    await store.create(make.meta(), make.key("integrity"));
    const line = await make.timeline(store);
    const { id } = await line.save(store);
    await using reader = await open(`bob:${SECRET}`);
    expect((await reader.timeline(line.key))?.head?.id).toBe(id);
    expect(await collect(reader.commits(null))).toHaveLength(1);
    const denied = await refusal(async () => await line.save(reader));
    expect(denied.code).toBe("ACCESS_DENIED");
    expectNoSecret(shown(denied));
    expect((await store.timeline(line.key))?.head?.id).toBe(id);
  });

  test("an account that may only read cannot make a store", async () => {
    const make = new StoreFixture(1);
    await using reader = await MongodbStore.openUrl(`${server.url("etl", `bob:${SECRET}`)}&prefix=other_`);
    expect(await reader.meta()).toBe(null);
    await expectCode("ACCESS_DENIED", async () => await reader.create(make.meta(), make.key("integrity")));
  });

  test("a server that is not there is STORE_UNREACHABLE, in bounded time", async () => {
    const url = `mongodb://ann:${SECRET}@127.0.0.1:${await freePort()}/etl?serverSelectionTimeoutMS=300`;
    const error = await refusal(async () => await openStore(url));
    expect([error.code, error.retryable]).toEqual(["STORE_UNREACHABLE", true]);
    expectNoSecret(shown(error));
  });

  test("a parameter that the driver does not know is INVALID_ARGUMENT", async () => {
    const url = `${server.url("etl", `ann:${SECRET}`)}&nonsense=1`;
    const error = await refusal(async () => await MongodbStore.openUrl(url));
    expect(error.code).toBe("INVALID_ARGUMENT");
    expectNoSecret(shown(error));
  });

  test("a collection of something else is NOT_A_STORE, and a store without its facts is DAMAGED", async () => {
    const make = new StoreFixture(1);
    const { MongoClient } = await import("mongodb");
    await using client = await new MongoClient(server.url("mixed", `ann:${SECRET}`)).connect();
    const documents = client.db().collection<StoreDocument>("memento_store");
    await documents.insertOne({ _id: "invoice 7" });
    expect((await refusal(async () => await open(`ann:${SECRET}`, "mixed"))).code).toBe("NOT_A_STORE");
    await documents.deleteOne({ _id: "invoice 7" });
    await using store = await MongodbStore.open({ client, database: "mixed" });
    await store.create(make.meta(), make.key("integrity"));
    await (await make.timeline(store)).save(store);
    await documents.deleteOne({ _id: "facts" });
    expect((await refusal(async () => await open(`ann:${SECRET}`, "mixed"))).code).toBe("DAMAGED");
  });

  test("a client that was handed in stays open, and has a store by another prefix", async () => {
    const make = new StoreFixture(1);
    const { MongoClient } = await import("mongodb");
    await using client = await new MongoClient(server.url("shared", `ann:${SECRET}`)).connect();
    for (const prefix of ["one_", "two_"]) {
      const store = await MongodbStore.open({ client, database: "shared", prefix });
      const facts = make.meta();
      expect(await store.create(facts, make.key("integrity"))).toEqual(facts);
      expectNoSecret(store.url);
      await store.close();
    }
    const names = (await client.db("shared").listCollections().toArray()).map(({ name }) => name);
    expect(names.toSorted()).toEqual(["one_chunks", "one_store", "two_chunks", "two_store"]);
  });

  test("needs a url, or a client and a database", async () => {
    await expectCode("INVALID_ARGUMENT", async () => await MongodbStore.open({}));
  });
});
