import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { mongodbIsThere, startMongodb } from "../../../../../test/harness/servers/mongodb.ts";
import { systemClock } from "../../core/ports.ts";
import { expectAppended, StoreFixture } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import type { StoredCommit } from "../store.ts";
import type { StoreDocument } from "./documents.ts";
import { MongodbStore } from "./store.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);
const server = isThere ? await startMongodb() : null;
afterAll(async () => await server?.[Symbol.asyncDispose]());

const urlOf = (name: string, commit: string): string => `${server?.url(name)}&commit=${commit}`;

const WRITERS = 8;
const EACH = 12;

describe.skipIf(!isThere)("MongodbStore", () => {
  test.each([
    ["transaction", "transaction"],
    ["single-document", "single-document"],
    ["transaction", "single-document"],
  ])(
    "a reader at the tail meets every event once, in one order, while writers by %s and %s race",
    { timeout: 120_000 },
    async (one, other) => {
      const name = `order_${one}_${other}`;
      const make = new StoreFixture(1);
      await using first = await MongodbStore.openUrl(urlOf(name, one));
      await using second = await MongodbStore.openUrl(urlOf(name, other));
      await using reader = await MongodbStore.openUrl(urlOf(name, other));
      await first.create(make.meta(), make.key("integrity"));
      const lines = [];
      for (let index = 0; index < WRITERS; index++) lines.push(await make.timeline(first));
      let writing = WRITERS;
      const written: string[] = [];
      const write = lines.map(async (line, index) => {
        for (let count = 0; count < EACH; count++) {
          const record = line.next();
          expectAppended(await (index % 2 === 0 ? first : second).append(make.batch([record])));
          written.push(record.entry.id);
        }
        writing -= 1;
      });
      const seen: string[] = [];
      const read = async (): Promise<void> => {
        for (let cursor: string | null = null, last = false; ; last = writing === 0) {
          for await (const commit of reader.commits(cursor)) {
            seen.push(/"([a-z0-9]{12}-[0-9]+-[a-z0-9]{6})"/u.exec(Buffer.from(commit.header).toString())?.[1] ?? "");
            cursor = commit.cursor;
          }
          if (last) return;
        }
      };
      await Promise.all([...write, read()]);
      expect(seen.toSorted()).toEqual(written.toSorted());
      const rows = await collect(reader.query(mementoQuery({ order: "ascending" })));
      expect(rows.map(({ entry }) => entry.id)).toEqual(seen);
      expect(await collect(second.check())).toEqual([]);
    },
  );

  test.each(["transaction", "single-document"])(
    "whoever has looked at the log before sees what was acknowledged since, committed by %s",
    { timeout: 60_000 },
    async (commit) => {
      const make = new StoreFixture(1);
      await using writer = await MongodbStore.openUrl(urlOf(`since_${commit}`, commit));
      await using reader = await MongodbStore.openUrl(urlOf(`since_${commit}`, commit));
      await using finder = await MongodbStore.openUrl(urlOf(`since_${commit}`, commit));
      await writer.create(make.meta(), make.key("integrity"));
      const line = await make.timeline(writer);
      let cursor: string | null = null;
      for (let save = 0; save < 6; save++) {
        await line.save(writer);
        const news: StoredCommit[] = await collect(reader.commits(cursor));
        expect(news).toHaveLength(1);
        cursor = news[0]?.cursor ?? null;
        const order = save % 2 === 0 ? "ascending" : "descending";
        expect(await collect(finder.query(mementoQuery({ order })))).toHaveLength(save + 1);
      }
    },
  );

  test("a client that dies inside its transaction holds nobody up for long", { timeout: 60_000 }, async () => {
    const { MongoClient } = await import("mongodb");
    const make = new StoreFixture(1);
    await using store = await MongodbStore.openUrl(urlOf("held", "transaction"));
    await store.create(make.meta(), make.key("integrity"));
    const line = await make.timeline(store);
    await line.save(store);
    await using dead = await new MongoClient(server?.url("held") ?? "").connect();
    const documents = dead.db().collection<StoreDocument>("memento_store");
    const session = dead.startSession();
    await documents.insertOne({ _id: "s/dead", is: "session", session: session.id?.id });
    const { _id: last } = (await documents.findOne({ _id: { $gt: 0 } }, { sort: { _id: -1 } })) ?? { _id: 0 };
    session.startTransaction();
    await documents.insertOne({ _id: Number(last) + 1, held: true }, { session });
    // The server would wait a minute for it.
    await line.save(store);
    await expect(session.commitTransaction()).rejects.toThrow();
    expect(await collect(store.check())).toEqual([]);
    await session.endSession();
  });

  test("what a writer left half done is completed by whoever reads next", { timeout: 60_000 }, async () => {
    const { MongoClient } = await import("mongodb");
    const make = new StoreFixture(1);
    await using store = await MongodbStore.openUrl(urlOf("half", "single-document"));
    await store.create(make.meta(), make.key("integrity"));
    const line = await make.timeline(store);
    await line.save(store, { name: "gold" });
    await using client = await new MongoClient(server?.url("half") ?? "").connect();
    const documents = client.db().collection<StoreDocument>("memento_store");
    // As a writer leaves it that dies right behind its commit: the number is taken, and nothing else is there.
    const clock = { ...systemClock, sleep: async () => await new Promise<void>(() => undefined) };
    await using writer = await MongodbStore.open({ url: urlOf("half", "single-document"), clock });
    const entry = await line.save(writer, { name: "gold", replaceName: true });
    const open = await documents.findOne({ applied: false });
    expect(open?.["kind"]).toBe("pack");
    await using reader = await MongodbStore.openUrl(urlOf("half", "transaction"));
    expect((await reader.timeline(line.key))?.head?.id).toBe(entry.id);
    expect(await reader.findByName("etl", "gold")).toBe(entry.id);
    expect(await documents.findOne({ applied: false })).toBe(null);
    expect(await collect(reader.check())).toEqual([]);
  });
});
