import { setTimeout as sleep } from "node:timers/promises";

import { expect, test } from "vitest";

import { systemClock } from "../../packages/memento/src/core/ports.ts";
import type { RequestBounds } from "../../packages/memento/src/store/blobs/requests.ts";
import { mementoQuery } from "../../packages/memento/src/store/query.ts";
import type { MementoStore } from "../../packages/memento/src/store/store.ts";
import { retryStore } from "../../packages/memento/src/store/wrap/retry.ts";
import { StoreFixture, type TestTimeline } from "../../packages/memento/src/testing/store/fixture.ts";
import { collect, expectCode } from "../../packages/memento/src/testing/store/kit.ts";
import type { Server } from "./servers/server.ts";
import { startProxy } from "./servers/tcp-proxy.ts";

/** An object store on a private server, as its faults are tested. */
export interface FaultyPlace {
  /** The server; started when a test runs. */
  readonly server: () => Server;
  /** Makes an empty bucket; returns its name. */
  readonly bucket: () => Promise<string>;
  /** Opens the place in a bucket, through a port of 127.0.0.1. */
  readonly open: (bucket: string, port: number, requests?: RequestBounds) => Promise<MementoStore>;
  /** True for the bytes with which a write begins. */
  readonly isWrite: (bytes: Buffer) => boolean;
  /** Longer bodies than these are sent in several requests, or piece by piece. */
  readonly largeBytes: number;
  /** How the server ends so that what it acknowledged must stay. */
  readonly end: (server: Server) => Promise<void>;
  /** How many answers are lost, each in a round of its own. */
  readonly lostReplies: number;
}

const HASTY: RequestBounds = { attemptsMax: 2, firstPauseMs: 1 };

/** Declares the tests of a store on objects whose server or network fails. */
export function testFaults(place: FaultyPlace): void {
  test(
    "a lost answer is settled or asked for by id: nothing is doubled, and nothing that happened is lost",
    async () => await losesAnswers(place),
    600_000,
  );
  test("a request that the server never saw is sent again", async () => await losesRequests(place), 120_000);
  test(
    "a silent server is given up in time with STORE_UNREACHABLE, and answers again when it wakes",
    async () => await fallsSilent(place),
    120_000,
  );
  test(
    "what was acknowledged is there after the server ended under its writers",
    async () => await ends(place),
    300_000,
  );
  test("a body of 100 MB comes back as it was", async () => await takesLargeBody(place), 120_000);
}

async function losesAnswers(place: FaultyPlace): Promise<void> {
  const { bucket, plain, make } = await newStore(place);
  await using proxy = await startProxy(place.server().port);
  await using hasty = await place.open(bucket, proxy.port, HASTY);
  const store = retryStore(hasty, { clock: systemClock, firstPauseMs: 1 });
  const timeline = await make.timeline(plain);
  const saved: string[] = [];
  let lost = 0;
  for (let round = 0; round < place.lostReplies; round++) {
    const record = timeline.next();
    // One: the write is repeated. Two: what lies there is read. Four: the reading fails as well, and the caller asks.
    let left = [1, 2, 4][round % 3] ?? 1;
    let armed = false;
    proxy.passage = {
      toServer: (bytes) => {
        armed ||= place.isWrite(bytes);
        return true;
      },
      toClient: (_, connection) => {
        if (!armed || left === 0) return true;
        left -= 1;
        lost += 1;
        connection.cut();
        return false;
      },
    };
    const body = round % 50 === 49 ? { body: make.random.bytes(place.largeBytes + 1) } : {};
    const [result] = await store.append(make.batch([record], body));
    expect(result).toEqual({ outcome: "appended" });
    saved.push(record.entry.id);
  }
  proxy.passage = {};
  expect(lost).toBeGreaterThanOrEqual(place.lostReplies);
  expect(await idsOf(plain)).toEqual(saved);
  expect((await collect(plain.commits(null))).length).toBe(saved.length);
  expect(await collect(plain.check())).toEqual([]);
  await plain.close();
}

async function losesRequests(place: FaultyPlace): Promise<void> {
  const { bucket, plain, make } = await newStore(place);
  await using proxy = await startProxy(place.server().port);
  await using store = await place.open(bucket, proxy.port, HASTY);
  const timeline = await make.timeline(plain);
  for (let round = 0; round < 20; round++) {
    let due = true;
    proxy.passage = {
      toServer: (_, connection) => {
        if (!due) return true;
        due = false;
        connection.cut();
        return false;
      },
    };
    await timeline.save(store);
    expect(due).toBe(false);
  }
  proxy.passage = {};
  expect((await idsOf(plain)).length).toBe(20);
  await plain.close();
}

async function fallsSilent(place: FaultyPlace): Promise<void> {
  const { bucket, plain, make } = await newStore(place);
  await using store = await place.open(bucket, place.server().port, { ...HASTY, silenceMsMax: 2_000 });
  const timeline = await make.timeline(plain);
  place.server().signal("SIGSTOP");
  try {
    await expectCode("STORE_UNREACHABLE", async () => await timeline.save(store));
    await expectCode("STORE_UNREACHABLE", async () => await store.timeline("zzzzzzzzzzzz"));
  } finally {
    place.server().signal("SIGCONT");
  }
  expect((await plain.timeline(timeline.key))?.record.key).toBe(timeline.key);
  await plain.close();
}

async function ends(place: FaultyPlace): Promise<void> {
  const { bucket, plain, make } = await newStore(place);
  const store = retryStore(plain, { clock: systemClock, attemptsMax: 120 });
  const timelines = await Promise.all(Array.from({ length: 4 }, async () => await make.timeline(store)));
  const saved: string[] = [];
  for (let kill = 0; kill < 3; kill++) {
    const over = new AbortController();
    const write = async (timeline: TestTimeline): Promise<void> => {
      while (!over.signal.aborted) {
        const record = timeline.next();
        const [result] = await store.append(make.batch([record]));
        expect(result).toEqual({ outcome: "appended" });
        saved.push(record.entry.id);
      }
    };
    const writers = Promise.all(timelines.map(write));
    await sleep(100 + make.random.integer(100));
    await place.end(place.server());
    await place.server().start();
    over.abort();
    await writers;
  }
  await using fresh = await place.open(bucket, place.server().port);
  expect((await idsOf(fresh)).toSorted()).toEqual(saved.toSorted());
  expect(await collect(fresh.check())).toEqual([]);
  await plain.close();
}

async function takesLargeBody(place: FaultyPlace): Promise<void> {
  const { bucket, plain, make } = await newStore(place);
  const timeline = await make.timeline(plain);
  const record = timeline.next();
  const seed = make.random.bytes(1_000_003);
  const body = Buffer.concat(Array.from({ length: 100 }, () => seed));
  const batch = make.batch([record], { body });
  expect(await plain.append(batch)).toEqual([{ outcome: "appended" }]);
  await plain.close();
  await using fresh = await place.open(bucket, place.server().port);
  const stored = await fresh.read(record.entry.id);
  expect(stored?.body === null || stored === null ? null : Buffer.compare(stored.body, batch.body)).toBe(0);
}

async function newStore(
  place: FaultyPlace,
): Promise<{ readonly bucket: string; readonly plain: MementoStore; readonly make: StoreFixture }> {
  const bucket = await place.bucket();
  const plain = await place.open(bucket, place.server().port);
  const make = new StoreFixture(7);
  await plain.create(make.meta(), make.key("integrity"));
  return { bucket, plain, make };
}

async function idsOf(store: MementoStore): Promise<string[]> {
  const rows = await collect(store.query(mementoQuery({ order: "ascending", removed: true })));
  return rows.map(({ entry }) => entry.id);
}
