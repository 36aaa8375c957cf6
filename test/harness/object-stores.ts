import process from "node:process";

import { expect } from "vitest";

import { systemClock } from "../../packages/memento/src/core/ports.ts";
import { mementoQuery } from "../../packages/memento/src/store/query.ts";
import type { MementoStore } from "../../packages/memento/src/store/store.ts";
import { retryStore } from "../../packages/memento/src/store/wrap/retry.ts";
import { expectAppended, StoreFixture } from "../../packages/memento/src/testing/store/fixture.ts";
import { collect } from "../../packages/memento/src/testing/store/kit.ts";
import type { Server } from "./servers/server.ts";
import { startProxy } from "./servers/tcp-proxy.ts";

/** What the fault tests of an object store's driver need. */
export interface ObjectFaultOptions {
  readonly test: (name: string, run: () => Promise<void>, timeoutMs?: number) => unknown;
  readonly describe: (name: string, declare: () => void) => unknown;
  readonly server: () => Server;
  /** A fresh, empty place's URL; through another port than the server's where one is given. */
  readonly place: () => Promise<(port?: number) => string>;
  readonly open: (url: string) => Promise<MementoStore>;
}

const ROUNDS = Number(process.env["MEMENTO_LOST_REPLIES"] ?? 300);

/** Declares the tests of what a driver on an object store does when its server dies, and when answers are lost on the way. */
export function testObjectFaults(options: ObjectFaultOptions): void {
  const { test, describe } = options;
  describe("a server that is killed", () => {
    test(
      "has all that was acknowledged, and is written to again without a new opening",
      async () => await killServer(options),
      300_000,
    );
  });
  describe("an answer that is lost", () => {
    test(
      `is asked for: ${ROUNDS} saves, none doubled, none reported failed`,
      async () => await loseAnswers(options),
      60_000 + ROUNDS * 500,
    );
  });
  describe("a body of 100 MB", () => {
    test("is written and read as it was", async () => await carryLargeBody(options), 180_000);
  });
}

async function killServer(options: ObjectFaultOptions): Promise<void> {
  const { server, open } = options;
  const { store, make, url } = await made(options);
  const timeline = await make.timeline(store);
  const patient = retryStore(store, { clock: systemClock, attemptsMax: 120, firstPauseMs: 50 });
  const saved: string[] = [];
  const save = async (): Promise<void> => void saved.push((await timeline.save(patient)).id);
  for (let round = 0; round < 4; round++) {
    for (let index = 0; index < 5; index++) await save();
    const underWay = save();
    if (round % 2 === 1) await new Promise((resolve) => void setTimeout(resolve, round));
    await server().kill();
    await server().start();
    await underWay;
  }
  await store.close();
  await expectLine(await open(url), saved);
}

async function loseAnswers({ server, place, open }: ObjectFaultOptions): Promise<void> {
  await using proxy = await startProxy(server().port);
  const url = await place();
  const store = await open(url(proxy.port));
  const make = new StoreFixture(7);
  await store.create(make.meta(), make.key("integrity"));
  const timeline = await make.timeline(store);
  const patient = retryStore(store, { clock: systemClock });
  const saved: string[] = [];
  let lost = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let isArmed = true;
    proxy.passage = {
      toClient: (_, connection) => {
        if (!isArmed) return true;
        isArmed = false;
        lost += 1;
        connection.cut();
        return false;
      },
    };
    saved.push((await timeline.save(patient)).id);
  }
  proxy.passage = {};
  expect(lost).toBe(ROUNDS);
  await store.close();
  await expectLine(await open(url()), saved);
}

async function carryLargeBody(options: ObjectFaultOptions): Promise<void> {
  const { store, make } = await made(options);
  const timeline = await make.timeline(store);
  const body = Buffer.alloc(100 * 2 ** 20);
  for (let at = 0; at + 4 <= body.length; at += 65_521) body.writeUInt32LE(at, at);
  const record = timeline.next();
  const batch = make.batch([record], { body });
  expectAppended(await store.append(batch));
  const stored = await store.read(record.entry.id);
  expect(Buffer.compare(stored?.body ?? new Uint8Array(), batch.body)).toBe(0);
  await store.close();
}

interface Made {
  readonly store: MementoStore;
  readonly make: StoreFixture;
  readonly url: string;
}

async function made({ place, open }: ObjectFaultOptions): Promise<Made> {
  const url = (await place())();
  const store = await open(url);
  const make = new StoreFixture(5);
  await store.create(make.meta(), make.key("integrity"));
  return { store, make, url };
}

/** Fails unless the store is sound and has exactly these mementos, in this order. */
async function expectLine(store: MementoStore, ids: readonly string[]): Promise<void> {
  await using opened = store;
  const rows = await collect(opened.query(mementoQuery({ order: "ascending", removed: true })));
  expect(rows.map(({ entry }) => entry.id)).toEqual(ids);
  expect(await collect(opened.check())).toEqual([]);
}
