import type { Collection, Filter } from "mongodb";
import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { mongodbIsThere, startMongodb } from "../../../../../test/harness/servers/mongodb.ts";
import type { Json } from "../../core/json.ts";
import { allAnswers } from "../../testing/store/answers.ts";
import { fixtureAuthority } from "../../testing/store/authority.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
import { mementoQuery } from "../query.ts";
import type { StoreDocument } from "./documents.ts";
import { MongodbStore } from "./store.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);
const server = isThere ? await startMongodb() : null;
afterAll(async () => await server?.[Symbol.asyncDispose]());

let places = 0;

interface Filled {
  readonly store: MongodbStore;
  readonly make: StoreFixture;
  readonly documents: Collection<StoreDocument>;
  readonly before: Json;
}

/** Lends a store that holds a document of every kind, with all that it answers. */
async function withFilled(run: (filled: Filled) => Promise<void>): Promise<void> {
  places += 1;
  const { MongoClient } = await import("mongodb");
  await using client = await new MongoClient(server?.url(`rebuild_${places}`) ?? "").connect();
  await using store = await MongodbStore.open({ client, database: `rebuild_${places}` });
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
  await fillStore(store, make);
  const documents = client.db().collection<StoreDocument>("memento_store");
  await run({ store, make, documents, before: await allAnswers(store) });
}

type Tamper = (documents: Collection<StoreDocument>) => Promise<unknown>;
const second: Filter<StoreDocument> = { sequence: 2 };
const change =
  (filter: Filter<StoreDocument>, $set: Record<string, unknown>): Tamper =>
  async (documents) =>
    await documents.updateMany(filter, { $set });

describe.skipIf(!isThere)("rebuildIndex()", () => {
  const mendable: readonly (readonly [string, Tamper])[] = [
    ["a memento's document is gone", async (documents) => await documents.deleteMany(second)],
    ["all mementos' documents are gone", async (documents) => await documents.deleteMany({ order: { $gte: 0 } })],
    ["a document names another memento", change(second, { memento: "aaaaaaaaaaaa-2-aaaaaa" })],
    ["a document points to another place", change({ _id: /^m\/.*\/3$/u }, { order: 7 })],
    ["a document has another stage than its entry", change(second, { stage: "made up" })],
    ["a removal was undone", change({ removedBy: { $gt: 0 } }, { removedBy: 0 })],
    ["a removal is by a commit that does not say so", change({ removedBy: 0, sequence: 2 }, { removedBy: 3 })],
    ["a head names another memento", change({ made: { $gt: 0 } }, { head: "aaaaaaaaaaaa-1-aaaaaa" })],
    ["a head was forgotten", change({ made: { $gt: 0 } }, { head: null, headSequence: 0, headCheck: null })],
    ["names are gone", async (documents) => await documents.deleteMany({ holder: { $exists: true } })],
    ["a name points elsewhere", change({ holder: { $type: "string" } }, { holder: "aaaaaaaaaaaa-1-aaaaaa" })],
  ];

  test.each(mendable)("puts everything back when %s", { timeout: 60_000 }, async (_, tamper) => {
    await withFilled(async ({ store, make, documents, before }) => {
      await tamper(documents);
      const authority = fixtureAuthority(make);
      const dry = await store.rebuildIndex(authority, true);
      expect(dry.changes.length).toBeGreaterThan(0);
      expect(dry.problems).toEqual([]);
      expect((await collect(store.check())).length).toBeGreaterThan(0);
      expect(await store.rebuildIndex(authority, false)).toEqual(dry);
      expect(await collect(store.check())).toEqual([]);
      expect(await allAnswers(store)).toEqual(before);
      expect(await store.rebuildIndex(authority, false)).toEqual({ changes: [], problems: [] });
    });
  });

  const noticeOf: Filter<StoreDocument> = { kind: "notice", removed: null };
  test.each<readonly [string, Tamper]>([
    ["a notice is gone", async (documents) => await documents.deleteOne(noticeOf)],
    ["a notice does not read", change(noticeOf, { header: { bytes: Buffer.from("{") } })],
  ])("says so in the log when %s", { timeout: 60_000 }, async (_, tamper) => {
    await withFilled(async ({ store, make, documents }) => {
      await tamper(documents);
      expect((await collect(store.check())).length).toBeGreaterThan(0);
      const { changes, problems } = await store.rebuildIndex(fixtureAuthority(make), false);
      expect(problems).toEqual([]);
      expect(changes.map(({ problem }) => problem).join()).toMatch(/takes its place/u);
      expect(await collect(store.check())).toEqual([]);
      const headers = (await collect(store.commits(null))).map(({ header }) => Buffer.from(header).toString());
      expect(headers.some((header) => header.includes('"kind":"repaired"'))).toBe(true);
    });
  });
});

describe.skipIf(!isThere)("a store of which bytes are lost", () => {
  test(
    "a changed header, a missing pack and missing chunks are DAMAGED, and named by a check",
    { timeout: 60_000 },
    async () => {
      await withFilled(async ({ store, make, documents }) => {
        const line = await make.timeline(store);
        const { id } = await line.save(store);
        const large = line.next();
        await store.append(make.batch([large], { body: Buffer.alloc(300_000) }));
        await documents.db?.collection("memento_chunks").deleteMany({});
        await expectCode("DAMAGED", async () => await store.read(large.entry.id));
        const pack = { kind: "pack", headerBytes: { $gt: 0 } } as const;
        const { _id } = (await documents.findOne(pack, { sort: { _id: -1 }, skip: 1 })) ?? { _id: 0 };
        await documents.updateOne({ _id }, { $set: { header: { bytes: Buffer.from("{") } } });
        await expectCode("DAMAGED", async () => await store.read(id));
        const problems = (await collect(store.check())).map(({ problem }) => problem).join("\n");
        expect(problems).toContain(`commit ${_id} was changed`);
        expect(problems).toMatch(/has not the 300032 bytes/u);
      });
    },
  );

  test("a memento's document that is gone is DAMAGED, not a memento that is not there", async () => {
    await withFilled(async ({ store, documents }) => {
      const [row] = await collect(store.query(mementoQuery({ limit: 1 })));
      await documents.deleteOne({ memento: row?.entry.id ?? "" });
      await expectCode("DAMAGED", async () => await store.read(row?.entry.id ?? ""));
    });
  });
});
