/** Tests that every store on an SQL server passes beside the conformance kit; each driver declares them with its own server. */
import { createHash } from "node:crypto";

import { describe, expect, test } from "vitest";

import { systemClock } from "../../packages/memento/src/core/ports.ts";
import { decodeHeader } from "../../packages/memento/src/store/header.ts";
import { mementoQuery } from "../../packages/memento/src/store/query.ts";
import type { MementoStore } from "../../packages/memento/src/store/store.ts";
import { retryStore } from "../../packages/memento/src/store/wrap/index.ts";
import { expectAppended, StoreFixture } from "../../packages/memento/src/testing/store/fixture.ts";
import { collect } from "../../packages/memento/src/testing/store/kit.ts";
import { memoryInUse } from "./memory-in-use.ts";
import type { SqlConnection } from "./servers/postgres.ts";
import type { Server } from "./servers/server.ts";
import { startProxy } from "./servers/tcp-proxy.ts";

/** A server of the tests. */
export interface SqlServer extends Server {
  url(place: string, port?: number): string;
  query(sql: string): Promise<readonly Record<string, unknown>[]>;
  connect(): Promise<SqlConnection>;
}

/** What the tests need to know of an engine. */
export interface SqlEngineUnderTest {
  readonly server: () => SqlServer;
  readonly open: (url: string) => Promise<MementoStore>;
  readonly table: (place: string, name: string) => string;
  /** Statements of a transaction that passes the gate and numbers a commit with this header (hexadecimal). */
  readonly numberCommit: (place: string, header: string) => readonly string[];
  /** How many connections wait for a lock of another one. */
  readonly waiting: string;
}

let places = 0;

/** A new place on the server. */
export const newPlace = (): string => `t${(places += 1)}_`;

/** A made store in a place of its own. */
export async function makeStore(
  { server, open }: SqlEngineUnderTest,
  port?: number,
): Promise<{
  readonly store: MementoStore;
  readonly make: StoreFixture;
  readonly place: string;
  readonly url: string;
}> {
  const place = newPlace();
  const url = server().url(place, port);
  const store = await open(url);
  const make = new StoreFixture(places);
  await store.create(make.meta(), make.key("integrity"));
  return { store, make, place, url };
}

const idsOf = (header: Uint8Array): readonly string[] => {
  const decoded = decodeHeader(header, "a commit");
  return decoded.type === "pack" ? decoded.entries.map(({ id }) => id) : [decoded.notice.kind];
};

/** The order of the log, under writers whose transactions end in another order than they are numbered. */
export function declareOrderTests(engine: SqlEngineUnderTest): void {
  describe("commits()", () => {
    test("waits for a commit that was numbered before others and is still on the way", async () => {
      await expectWaitsForSlowCommit(engine);
    });

    test("goes on behind numbers that were rolled back", async () => {
      await expectPassesGaps(engine);
    });

    test("gives a tailing reader each event once, in one order for all, under many writers", async () => {
      await expectEachEventOnce(engine);
    });
  });

  describe("retireKey()", () => {
    test("returns only when whoever looked at the key before is done", async () => {
      await expectRetirementWaits(engine);
    });
  });
}

/** Replies that are lost, a server that is killed, bodies that are large. */
export function declareFaultTests(engine: SqlEngineUnderTest): void {
  const rounds = Number(process.env["MEMENTO_LOST_REPLIES"] ?? 300);

  test(`${rounds} requests and replies are lost, and nothing is doubled or missed`, { timeout: 240_000 }, async () => {
    await expectNothingLostOrDoubled(engine, rounds);
  });

  test("a server that is killed and started again has all that was acknowledged", { timeout: 300_000 }, async () => {
    await expectSurvivesKills(engine);
  });

  test(
    "a body of 100 MB comes back as it was, by id and from the log, and is reclaimed",
    { timeout: 240_000 },
    async () => {
      await expectLargeBody(engine);
    },
  );

  test("a listing of 100,000 mementos keeps no more than a page in memory", { timeout: 240_000 }, async () => {
    await expectFlatListing(engine);
  });
}

async function expectWaitsForSlowCommit(engine: SqlEngineUnderTest): Promise<void> {
  const { store, make, place } = await makeStore(engine);
  await using _ = store;
  const timeline = await make.timeline(store);
  const first = await timeline.save(store);
  await using slow = await engine.server().connect();
  const header = Buffer.from(make.notice("restored")).toString("hex");
  for (const sql of engine.numberCommit(place, header)) await slow.query(sql);
  const later = [await timeline.save(store), await timeline.save(store)];
  const read = (async () => (await collect(store.commits(null))).flatMap((commit) => idsOf(commit.header)))();
  await until(async () => Number((await engine.server().query(engine.waiting))[0]?.["waiting"]) > 0);
  await slow.query("COMMIT");
  expect(await read).toEqual([first.id, "restored", ...later.map(({ id }) => id)]);
}

async function expectPassesGaps(engine: SqlEngineUnderTest): Promise<void> {
  const { store, make, place } = await makeStore(engine);
  await using _ = store;
  const timeline = await make.timeline(store);
  const saved = [await timeline.save(store)];
  for (let round = 0; round < 3; round++) {
    await using lost = await engine.server().connect();
    for (const sql of engine.numberCommit(place, "00")) await lost.query(sql);
    await lost.query("ROLLBACK");
    saved.push(await timeline.save(store));
  }
  const commits = await collect(store.commits(null));
  expect(commits.flatMap(({ header }) => idsOf(header))).toEqual(saved.map(({ id }) => id));
  for (const [index, { cursor }] of commits.entries())
    expect(await collect(store.commits(cursor))).toHaveLength(saved.length - index - 1);
  expect(await collect(store.check())).toEqual([]);
}

async function expectEachEventOnce(engine: SqlEngineUnderTest): Promise<void> {
  const { store, make, url } = await makeStore(engine);
  await using _ = store;
  await using other = await engine.open(url);
  const lines = await Promise.all(Array.from({ length: 12 }, async () => await make.timeline(store)));
  const seen: string[] = [];
  let cursor: string | null = null;
  const tail = async (): Promise<void> => {
    for await (const commit of other.commits(cursor)) {
      seen.push(...idsOf(commit.header));
      cursor = commit.cursor;
    }
  };
  const done = new AbortController();
  const reader = (async () => {
    while (!done.signal.aborted) await tail();
  })();
  const written: string[] = [];
  await Promise.all(
    lines.map(async (line, index) => {
      for (let count = 0; count < 40; count++) {
        const { id } = await line.save(index % 2 === 0 ? store : other);
        written.push(id);
      }
    }),
  );
  done.abort();
  await reader;
  await tail();
  expect(seen.toSorted()).toEqual(written.toSorted());
  expect((await collect(store.commits(null))).flatMap(({ header }) => idsOf(header))).toEqual(seen);
}

async function expectRetirementWaits(engine: SqlEngineUnderTest): Promise<void> {
  const { store, make, place } = await makeStore(engine);
  await using _ = store;
  const timeline = await make.timeline(store);
  const dataKey = make.key("data");
  expectAppended(await store.append(make.batch([timeline.next()], { dataKey, suite: "A256GCM" })));
  await using slow = await engine.server().connect();
  for (const sql of engine.numberCommit(place, "00")) await slow.query(sql);
  let retired = false;
  const retiring = (async () => {
    const answer = await store.retireKey(dataKey.id);
    retired = true;
    return answer;
  })();
  await until(async () => Number((await engine.server().query(engine.waiting))[0]?.["waiting"]) > 0);
  expect(retired).toBe(false);
  await slow.query("ROLLBACK");
  expect(await retiring).toBe(true);
}

async function expectNothingLostOrDoubled(engine: SqlEngineUnderTest, rounds: number): Promise<void> {
  await using proxy = await startProxy(engine.server().port);
  const { store: bare, make } = await makeStore(engine, proxy.port);
  await using store = retryStore(bare, { clock: systemClock, firstPauseMs: 1 });
  const timeline = await make.timeline(store);
  let mark: string | null = null;
  let struck: unknown = null;
  let cuts = 0;
  let loseRequest = false;
  proxy.passage = {
    toServer: (bytes, connection) => {
      if (mark === null || !bytes.includes(mark)) return true;
      mark = null;
      cuts += 1;
      struck = connection;
      if (loseRequest) connection.cut();
      return !loseRequest;
    },
    toClient: (_, connection) => {
      if (struck !== connection) return true;
      connection.cut();
      return false;
    },
  };
  const ids: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const named = round % 10 === 0 ? { name: `name-${round}` } : {};
    const record = timeline.next(named);
    ids.push(record.entry.id);
    loseRequest = round % 4 === 3;
    mark = record.entry.id;
    expect(await store.append(make.batch([record]))).toEqual([{ outcome: "appended" }]);
  }
  proxy.passage = {};
  expect(cuts).toBe(rounds);
  const rows = await collect(store.query(mementoQuery({ order: "ascending" })));
  expect(rows.map(({ entry }) => entry.id)).toEqual(ids);
  expect(await collect(store.check())).toEqual([]);
}

async function expectSurvivesKills(engine: SqlEngineUnderTest): Promise<void> {
  const { store: bare, make } = await makeStore(engine);
  await using store = retryStore(bare, { clock: systemClock, attemptsMax: 120 });
  const lines = await Promise.all(Array.from({ length: 6 }, async () => await make.timeline(store)));
  const acknowledged: string[] = [];
  for (let round = 0; round < 5; round++) {
    const killed = new AbortController();
    const wanted = acknowledged.length + 20 + make.random.integer(40);
    const writers = lines.map(async (line) => {
      while (!killed.signal.aborted) acknowledged.push((await line.save(store)).id);
    });
    await until(async () => acknowledged.length >= wanted);
    await (round % 2 === 0 ? engine.server().kill() : engine.server().stop());
    await engine.server().start();
    killed.abort();
    await Promise.all(writers);
  }
  expect(await collect(store.check())).toEqual([]);
  const rows = await collect(store.query(mementoQuery({ order: "ascending" })));
  expect(new Set(rows.map(({ entry }) => entry.id))).toEqual(new Set(acknowledged));
}

async function expectLargeBody(engine: SqlEngineUnderTest): Promise<void> {
  const { store, make } = await makeStore(engine);
  await using _ = store;
  const timeline = await make.timeline(store);
  const record = timeline.next();
  const batch = make.batch([record], { body: Buffer.alloc(100_000_000, "memento") });
  const digest = (bytes: Uint8Array | null | undefined): string =>
    createHash("sha256")
      .update(bytes ?? "")
      .digest("hex");
  expectAppended(await store.append(batch));
  const wanted = digest(batch.body);
  expect(digest((await store.read(record.entry.id))?.body)).toBe(wanted);
  for await (const { body } of store.commits(null)) expect(digest(body)).toBe(wanted);
  // The same batch again is refused, and leaves nothing behind.
  expect((await store.append(batch))[0]?.outcome).toBe("conflict");
  expect(await collect(store.check())).toEqual([]);
  const ids = [record.entry.id];
  await store.remove(ids, make.notice("removed", { mementos: ids }));
  expect(await store.reclaim(ids)).toEqual({ packs: 1, bytes: batch.body.byteLength });
  expect(await collect(store.check())).toEqual([]);
  expect(await store.compact()).toBeGreaterThanOrEqual(0);
}

async function expectFlatListing(engine: SqlEngineUnderTest): Promise<void> {
  const { store, make } = await makeStore(engine);
  await using _ = store;
  const line = await make.timeline(store);
  for (let pack = 0; pack < 100; pack++) {
    const records = Array.from({ length: 1_000 }, () => line.next());
    expectAppended(await store.append(make.batch(records)));
  }
  const before = memoryInUse();
  let [count, peak] = [0, 0];
  for await (const { entry } of store.query(mementoQuery({ order: "ascending" }))) {
    count += 1;
    expect(entry.sequence).toBe(count);
    if (count % 10_000 === 0) peak = Math.max(peak, memoryInUse() - before);
  }
  expect(count).toBe(100_000);
  expect(peak).toBeLessThan(100_000_000);
  const newest = await collect(store.query(mementoQuery({ timeline: line.key, limit: 3 })));
  expect(newest.map(({ entry }) => entry.sequence)).toEqual([100_000, 99_999, 99_998]);
}

/** InnoDB tells of its transactions out of a cache that is renewed only when nobody has asked for 100 ms. */
const ASK_AGAIN_MS = 150;

async function until(done: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 60_000; !(await done());) {
    if (performance.now() > deadline) throw new Error("what was waited for did not come");
    await new Promise((resolve) => void setTimeout(resolve, ASK_AGAIN_MS));
  }
}
