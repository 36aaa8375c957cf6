import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { redisIsThere, startRedisCluster, type RedisCluster } from "../../../../../test/harness/servers/redis.ts";
import { systemClock } from "../../core/ports.ts";
import { allAnswers } from "../../testing/store/answers.ts";
import { fixtureAuthority } from "../../testing/store/authority.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
import { mementoQuery } from "../query.ts";
import { retryStore } from "../wrap/retry.ts";
import { PART_BYTES } from "./bodies.ts";
import { RedisStore } from "./store.ts";

describe.skipIf(!(await requireEngine("Redis", redisIsThere)))("a store on a cluster", () => {
  let cluster: RedisCluster;
  const clients: Redis[] = [];
  beforeAll(async () => {
    cluster = await startRedisCluster();
    clients.push(...cluster.servers.map(({ port }) => new Redis(port, "127.0.0.1")));
  });
  afterAll(async () => {
    for (const client of clients) client.disconnect();
    await cluster[Symbol.asyncDispose]();
  });

  /** The server that has a store, and another one. */
  async function ownerOf(
    prefix: string,
  ): Promise<{ readonly slot: number; readonly from: number; readonly to: number }> {
    const slot = Number(await clients[0]?.cluster("KEYSLOT", `{${prefix}}:store`));
    const counts = await Promise.all(clients.map(async (client) => await client.cluster("COUNTKEYSINSLOT", slot)));
    const from = counts.findIndex((count) => count > 0);
    return { slot, from, to: (from + 1) % clients.length };
  }

  test("answers as on one server, with every key in one slot", { timeout: 60_000 }, async () => {
    await using store = await RedisStore.openUrl(cluster.url("all"));
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    await fillStore(store, make);
    const timeline = await make.timeline(store);
    const body = Buffer.alloc(2 * PART_BYTES + 1, 7);
    const record = timeline.next();
    await store.append(make.batch([record], { body }));
    expect((await store.read(record.entry.id))?.body?.byteLength).toBe(body.byteLength + 32);
    const dataKey = make.key("data");
    await store.append(make.batch([timeline.next()], { dataKey, suite: "A256GCM" }));
    expect(await store.retireKey(dataKey.id)).toBe(true);
    expect(await store.dropKey(dataKey.id)).toBe(true);
    expect(await store.compact()).toBeGreaterThanOrEqual(0);
    expect(await store.rebuildIndex(fixtureAuthority(make), false)).toEqual({ changes: [], problems: [] });
    expect(await collect(store.check())).toEqual([]);
    await store.saveCaretaker(make.caretaker("gone", 1), make.notice("caretaker-saved"));
    expect(await store.removeCaretaker("gone", make.notice("caretaker-removed"))).toBe(true);
    const { slot, from } = await ownerOf("all");
    const inSlot = (await clients[from]?.cluster("COUNTKEYSINSLOT", slot)) ?? 0;
    const sizes = await Promise.all(clients.map(async (client) => await client.dbsize()));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(inSlot);
    await using second = await RedisStore.openUrl(cluster.url("all"));
    expect(await allAnswers(second)).toEqual(await allAnswers(store));
  });

  test("stores of other prefixes lie on other servers", async () => {
    const owners = new Set<number>();
    for (let index = 0; index < 12; index++) {
      await using store = await RedisStore.openUrl(cluster.url(`spread-${index}`));
      const make = new StoreFixture(index);
      await store.create(make.meta(), make.key("integrity"));
      await (await make.timeline(store)).save(store);
      owners.add((await ownerOf(`spread-${index}`)).from);
    }
    expect(owners.size).toBe(3);
  });

  test("nothing is lost or taken for damage while its slot moves to another server", { timeout: 120_000 }, async () => {
    await using plain = await RedisStore.openUrl(cluster.url("moved"));
    await using other = await RedisStore.openUrl(cluster.url("moved"));
    const make = new StoreFixture(2);
    await plain.create(make.meta(), make.key("integrity"));
    const options = { clock: systemClock, attemptsMax: 120 };
    const [store, reader] = [retryStore(plain, options), retryStore(other, options)];
    const [timeline, notes] = [await make.timeline(store), await make.timeline(store)];
    const saved: string[] = [];
    for (let index = 0; index < 300; index++) saved.push((await timeline.save(store)).id);
    const over = new AbortController();
    const save = async (): Promise<void> => {
      while (!over.signal.aborted) saved.push((await timeline.save(store)).id);
    };
    const note = async (): Promise<number> => {
      for (let noted = 0; ; noted++) {
        if (over.signal.aborted) return noted;
        // A notice is never repeated blindly; here a refusal is certain, for nothing cuts an answer.
        await untilTaken(async () => await plain.note(make.notice("restored", { timeline: notes.key })));
      }
    };
    const read = async (): Promise<number> => {
      for (let reads = 0; ; reads++) {
        if (over.signal.aborted) return reads;
        const id = saved[make.random.integer(saved.length)] ?? "";
        expect((await reader.read(id))?.slot).toBe(0);
      }
    };
    const work = Promise.all([save(), note(), read()]);
    await moveSlot("moved");
    await new Promise((resolve) => void setTimeout(resolve, 200));
    over.abort();
    const [, noted] = await work;
    expect(await collect(store.check())).toEqual([]);
    const rows = await collect(store.query(mementoQuery({ order: "ascending" })));
    expect(rows.map(({ entry }) => entry.id)).toEqual(saved);
    expect((await collect(store.commits(null))).length).toBe(saved.length + noted);
  });

  test("a slot that is being moved is STORE_UNREACHABLE, and neither damage nor missing", async () => {
    await using store = await RedisStore.openUrl(cluster.url("half"));
    const make = new StoreFixture(3);
    await store.create(make.meta(), make.key("integrity"));
    const timeline = await make.timeline(store);
    const { id } = await timeline.save(store);
    const { slot, from, to } = await ownerOf("half");
    const finish = await beginMove(slot, from, to);
    const { options: { port = 0 } = {} } = clients[to] ?? {};
    // Everything but what a place leads to.
    for (const name of ["store", `t:${timeline.key}`, `m:${timeline.key}:0`])
      await clients[from]?.migrate("127.0.0.1", port, `{half}:${name}`, 0, 30_000);
    for (const call of [
      async () => await store.read(id),
      async () => await collect(store.commits(null)),
      async () => await collect(store.check()),
      async () => await store.note(make.notice("restored")),
      async () => await store.append(make.batch([timeline.record()])),
      async () => await store.rebuildIndex(fixtureAuthority(make), true),
    ])
      await expectCode("STORE_UNREACHABLE", call);
    await moveKeys(slot, from, port);
    await finish();
    expect((await store.read(id))?.slot).toBe(0);
    await timeline.save(store);
    expect(await collect(store.check())).toEqual([]);
  }, 60_000);

  test("a client of the cluster that is handed in is used, and refused when it sends again", async () => {
    const nodes = cluster.servers.map(({ port }) => ({ host: "127.0.0.1", port }));
    const eager = new Cluster(nodes);
    await expectCode("INVALID_ARGUMENT", async () => await RedisStore.open({ client: eager }));
    eager.disconnect();
    const client = new Cluster(nodes, { retryDelayOnFailover: 0 });
    const store = await RedisStore.open({ client, prefix: "lent" });
    const make = new StoreFixture(4);
    await store.create(make.meta(), make.key("integrity"));
    await (await make.timeline(store)).save(store);
    await store.close();
    expect(await client.exists("{lent}:store")).toBe(1);
    client.disconnect();
  });

  async function untilTaken(call: () => Promise<void>): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        await call();
        return;
      } catch (error) {
        if (tries === 3_000) throw error;
        await new Promise((resolve) => void setTimeout(resolve, 20));
      }
    }
  }

  async function beginMove(slot: number, from: number, to: number): Promise<() => Promise<void>> {
    const ids = await Promise.all(clients.map(async (client) => await client.cluster("MYID")));
    await clients[to]?.cluster("SETSLOT", slot, "IMPORTING", ids[from] ?? "");
    await clients[from]?.cluster("SETSLOT", slot, "MIGRATING", ids[to] ?? "");
    return async () => {
      for (const node of [to, from]) await clients[node]?.cluster("SETSLOT", slot, "NODE", ids[to] ?? "");
    };
  }

  async function moveKeys(slot: number, from: number, port: number): Promise<void> {
    for (;;) {
      const keys = (await clients[from]?.cluster("GETKEYSINSLOT", slot, 1)) ?? [];
      if (keys.length === 0) return;
      for (const key of keys) await clients[from]?.migrate("127.0.0.1", port, key, 0, 30_000);
    }
  }

  async function moveSlot(prefix: string): Promise<void> {
    const { slot, from, to } = await ownerOf(prefix);
    const finish = await beginMove(slot, from, to);
    await moveKeys(slot, from, cluster.servers[to]?.port ?? 0);
    await finish();
  }
});
