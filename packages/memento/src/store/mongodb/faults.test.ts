import process from "node:process";

import { afterAll, describe, expect, test, vi } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { memoryInUse } from "../../../../../test/harness/memory-in-use.ts";
import { mongodbIsThere, startMongodb } from "../../../../../test/harness/servers/mongodb.ts";
import { startProxy } from "../../../../../test/harness/servers/tcp-proxy.ts";
import { isMementoError } from "../../core/errors.ts";
import { systemClock } from "../../core/ports.ts";
import { expectAppended, StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import { retryStore } from "../wrap/index.ts";
import { MongodbStore } from "./store.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);
const server = isThere ? await startMongodb() : null;
afterAll(async () => await server?.[Symbol.asyncDispose]());

const ROUNDS = Number(process.env["MEMENTO_LOST_REPLIES"] ?? 300);
/** 100,000 take this server minutes; `MEMENTO_LISTED` may ask for them. */
const LISTED = Number(process.env["MEMENTO_LISTED"] ?? 20_000);
const MODES = ["transaction", "single-document"];
const running = (): NonNullable<typeof server> => {
  if (server === null) throw new Error("there is no server");
  return server;
};
const urlOf = (name: string, commit: string, port = running().port): string =>
  `mongodb://127.0.0.1:${port}/${name}?directConnection=true&commit=${commit}`;

/** The answer to a monitor's question. Without it the driver takes half a second to believe in the server again. */
const isGreeting = (bytes: Buffer): boolean => bytes.includes("maxWireVersion");

describe.skipIf(!isThere).each(MODES)("MongodbStore, committing by %s", (commit) => {
  test(`${ROUNDS} replies are lost, and nothing is doubled or missed`, { timeout: 900_000 }, async () => {
    await using proxy = await startProxy(running().port);
    const { MongoClient } = await import("mongodb");
    const address = `mongodb://127.0.0.1:${proxy.port}/?directConnection=true`;
    // Not among the documented options: how soon a server is asked again after an error.
    await using client = await new MongoClient(address, Object.assign({}, { minHeartbeatFrequencyMS: 5 })).connect();
    await using bare = await MongodbStore.open({ client, database: `lost_${commit}`, commit: commit as "transaction" });
    const store = retryStore(bare, { clock: systemClock, firstPauseMs: 1 });
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    const line = await make.timeline(store);
    const wanted: string[] = [];
    let lost = 0;
    for (let round = 0; round < ROUNDS; round++) {
      let left = make.random.integer(4);
      proxy.passage = {
        toClient: (bytes, connection) => {
          if (isGreeting(bytes) || left < 0) return true;
          left -= 1;
          if (left >= 0) return true;
          lost += 1;
          connection.cut();
          return false;
        },
      };
      wanted.push((await line.save(store)).id);
    }
    proxy.passage = {};
    expect(lost).toBeGreaterThan(ROUNDS / 4);
    const rows = await collect(store.query(mementoQuery({ order: "ascending" })));
    expect(rows.map(({ entry }) => entry.id)).toEqual(wanted);
    expect(await collect(store.check())).toEqual([]);
  });

  test("a notice whose answer was lost is logged once", { timeout: 60_000 }, async () => {
    await using proxy = await startProxy(running().port);
    await using store = await MongodbStore.openUrl(urlOf(`notice_${commit}`, commit, proxy.port));
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    for (let round = 0; round < 4; round++) {
      let left = round;
      proxy.passage = {
        toClient: (bytes, connection) => {
          if (isGreeting(bytes) || left < 0) return true;
          left -= 1;
          if (left >= 0) return true;
          connection.cut();
          return false;
        },
      };
      await store.note(make.notice("restored", { details: { round } }));
      proxy.passage = {};
      expect(await collect(store.commits(null))).toHaveLength(round + 1);
    }
  });

  test("a server that is killed and started again has all that was acknowledged", { timeout: 240_000 }, async () => {
    const make = new StoreFixture(1);
    const url = urlOf(`killed_${commit}`, commit);
    await using bare = await MongodbStore.openUrl(url);
    const store = retryStore(bare, { clock: systemClock, attemptsMax: 120, firstPauseMs: 50 });
    await store.create(make.meta(), make.key("integrity"));
    const lines = await Promise.all(Array.from({ length: 4 }, async () => await make.timeline(store)));
    const acknowledged: string[] = [];
    const done = new AbortController();
    const writers = lines.map(async (line) => {
      while (!done.signal.aborted) acknowledged.push((await line.save(store)).id);
    });
    try {
      for (let kill = 0; kill < 4; kill++) {
        const enough = acknowledged.length + 3 + make.random.integer(12);
        while (acknowledged.length < enough) await systemClock.sleep(3);
        await running().kill();
        await running().start();
      }
    } finally {
      done.abort();
    }
    await Promise.all(writers);
    await using fresh = await MongodbStore.openUrl(url);
    expect(await collect(fresh.check())).toEqual([]);
    const rows = await collect(fresh.query(mementoQuery()));
    expect(rows.map(({ entry }) => entry.id).toSorted()).toEqual(acknowledged.toSorted());
    expect(new Set(acknowledged).size).toBe(acknowledged.length);
  });

  test("chunks of a writer that died before its commit are swept, those of one at work are not", async () => {
    const make = new StoreFixture(1);
    const name = `sweep_${commit}`;
    await using store = await MongodbStore.openUrl(urlOf(name, commit));
    await store.create(make.meta(), make.key("integrity"));
    const line = await make.timeline(store);
    const { MongoClient } = await import("mongodb");
    await using client = await new MongoClient(urlOf(name, commit).replace(/&commit.*$/u, "")).connect();
    const chunks = client.db().collection<{ _id: string; bytes: Buffer; wants: object }>("memento_chunks");
    const { id, timeline, sequence } = line.record().entry;
    const wants = { places: [{ timeline, sequence, id }] };
    const bytes = Buffer.alloc(1_000);
    await chunks.insertMany([0, 1].map((index) => ({ _id: `orphan/${index}`, bytes, wants })));
    expect(await store.compact()).toBe(0);
    await line.save(store);
    const kept = line.next();
    await store.append(make.batch([kept], { body: Buffer.alloc(300_000) }));
    expect(await store.compact()).toBe(2_000);
    expect((await store.read(kept.entry.id))?.body?.byteLength).toBe(300_032);
    expect(await chunks.countDocuments()).toBe(1);
  });
});

describe.skipIf(!isThere)("MongodbStore", () => {
  test("a listing of many mementos keeps no more than a page in memory", { timeout: 400_000 }, async () => {
    const make = new StoreFixture(1);
    await using store = await MongodbStore.openUrl(urlOf("many", "auto"));
    await store.create(make.meta(), make.key("integrity"));
    const line = await make.timeline(store);
    for (let pack = 0; pack < LISTED / 1_000; pack++) {
      const records = Array.from({ length: 1_000 }, () => line.next({ labels: { text: "x".repeat(1_000) } }));
      expectAppended(await store.append(make.batch(records)));
    }
    const before = memoryInUse();
    let [count, peak] = [0, 0];
    for await (const { entry } of store.query(mementoQuery({ order: "ascending" }))) {
      count += 1;
      expect(entry.sequence).toBe(count);
      if (count % 500 === 0) peak = Math.max(peak, memoryInUse() - before);
    }
    expect(count).toBe(LISTED);
    // All of them would take more than 3 KB each.
    expect(peak).toBeLessThan(LISTED * 3_000);
  });

  test("a body of 100 MB comes back as it was, and is reclaimed", { timeout: 180_000 }, async () => {
    const make = new StoreFixture(1);
    await using store = await MongodbStore.openUrl(urlOf("large", "auto"));
    await store.create(make.meta(), make.key("integrity"));
    const line = await make.timeline(store);
    const record = line.next();
    const batch = make.batch([record], { body: Buffer.alloc(100_000_000, "memento") });
    await store.append(batch);
    const { id } = record.entry;
    expect(Buffer.compare((await store.read(id))?.body ?? new Uint8Array(), batch.body)).toBe(0);
    await store.remove([id], make.notice("removed", { mementos: [id] }));
    expect(await store.reclaim([id])).toEqual({ packs: 1, bytes: batch.body.byteLength });
    expect(await collect(store.check())).toEqual([]);
    expect(await store.compact()).toBe(0);
  });

  test("a call while the server is away ends with STORE_UNREACHABLE, and the next one after it reconnects", async () => {
    const make = new StoreFixture(1);
    const url = `${urlOf("away", "auto")}&serverSelectionTimeoutMS=3000`;
    await using store = await MongodbStore.openUrl(url);
    await store.create(make.meta(), make.key("integrity"));
    const line = await make.timeline(store);
    await running().kill();
    await expectCode("STORE_UNREACHABLE", async () => await store.timeline(line.key));
    const refused = await line.save(store).catch((error: unknown) => error);
    expect(isMementoError(refused, "STORE_UNREACHABLE") && refused.retryable).toBe(true);
    await running().start();
    await vi.waitFor(async () => expect((await store.timeline(line.key))?.head).toBe(null), { timeout: 60_000 });
  });
});
