import { describe, expect, test } from "vitest";

import { moody } from "../../../../../../test/harness/moody-store.ts";
import { expectSame, fixtureReplicaAuthority, replicaContent } from "../../../../../../test/harness/replica-content.ts";
import { replicaPair, within } from "../../../../../../test/harness/replica-pair.ts";
import { sqlitePlace } from "../../../../../../test/workers/sqlite-place.ts";
import { systemClock } from "../../../core/ports.ts";
import { chaosStore } from "../../../testing/chaos-store.ts";
import { expectAppended, StoreFixture } from "../../../testing/store/fixture.ts";
import { collect, expectCode } from "../../../testing/store/kit.ts";
import { fillStore } from "../../../testing/store/sample.ts";
import { sealedBatch } from "../../../testing/store/sealed-batch.ts";
import { MemoryStore } from "../../memory/store.ts";
import type { MementoStore } from "../../store.ts";
import { retryStore } from "../retry.ts";
import { promoteReplica } from "./promote.ts";
import { replicateStore, type ReplicateOptions } from "./replicate.ts";

const authority = fixtureReplicaAuthority();

describe("replicateStore(), synchronous", () => {
  test("what was acknowledged is on the replica, without any waiting", async () => {
    const { primary, inner, store, make } = await replicaPair();
    await fillStore(store, make);
    await expectSame(primary, inner);
    const timeline = await make.timeline(store);
    const { id } = await timeline.save(store);
    expect((await inner.read(id))?.body).toEqual((await primary.read(id))?.body);
    expect((await inner.timeline(timeline.key))?.lease).toMatchObject({ epoch: 1, owner: null });
    expect(await store.lag()).toEqual([{ replica: "memory:", state: "following", commits: 0, ms: 0, problem: null }]);
  });

  test("fails a write that a replica does not have with STORE_UNREACHABLE, and makes up for it with the next", async () => {
    const { primary, inner, replica, store, make } = await replicaPair();
    const timeline = await make.timeline(store);
    replica.fails = "DISK_FULL";
    const record = timeline.next();
    await expectCode("STORE_UNREACHABLE", () => store.append(make.batch([record])));
    expect((await primary.read(record.entry.id))?.slot).toBe(0);
    expect((await store.lag())[0]).toMatchObject({ state: "failing", commits: 1 });
    await expectCode("STORE_UNREACHABLE", () => store.note(make.notice("restored")));
    replica.fails = null;
    await timeline.save(store);
    await expectSame(primary, inner);
    expect((await store.lag())[0]).toMatchObject({ state: "following", commits: 0 });
  });

  test("a call that was refused by its own first try is acknowledged once the replica has it, and not before", async () => {
    const { inner, replica, store, make } = await replicaPair();
    const timeline = await make.timeline(store);
    const retried = retryStore(store, { clock: systemClock, attemptsMax: 2, firstPauseMs: 1 });
    const take = async (): Promise<boolean> =>
      await retried.acquireLease({ timeline: timeline.key, lease: make.lease(2) });
    replica.fails = "STORE_UNREACHABLE";
    await expectCode("STORE_UNREACHABLE", take);
    replica.fails = null;
    await take();
    expect((await inner.timeline(timeline.key))?.lease.epoch).toBe(2);
  });

  test("keeps several replicas, each with its own luck", async () => {
    const [good, bad] = [await MemoryStore.open(), await MemoryStore.open()];
    const mood = moody(bad);
    const replicas = [{ store: mood.store }, { store: good }];
    const { primary, store, make } = await replicaPair({ replicas, onReplicaFailure: "lag" });
    mood.fails = "IO_FAILED";
    await (await make.timeline(store)).save(store);
    await expectSame(primary, good);
    expect((await store.lag()).map(({ state, commits }) => [state, commits])).toEqual([
      ["failing", 1],
      ["following", 0],
    ]);
    mood.fails = null;
    await store.catchUp();
    await expectSame(primary, bad);
  });

  test("a lease's epoch comes behind what was saved under those before, whoever saved it", async () => {
    const { primary, inner, store, make } = await replicaPair();
    const timeline = await make.timeline(store);
    const { id } = await timeline.save(primary);
    expect(await store.acquireLease({ timeline: timeline.key, lease: make.lease(2) })).toBe(true);
    expect((await inner.read(id))?.slot).toBe(0);
    expect((await inner.timeline(timeline.key))?.lease.epoch).toBe(2);
    timeline.epoch = 2;
    await timeline.save(store);
    await expectSame(primary, inner);
  });

  test("two who write through wrappers of their own leave one and the same replica", async () => {
    const place = await sqlitePlace();
    const other = await sqlitePlace();
    await using stack = new AsyncDisposableStack();
    stack.defer(async () => await place.dispose());
    stack.defer(async () => await other.dispose());
    const open = async (): Promise<MementoStore> =>
      stack.use(
        replicateStore({
          primary: await place.open(),
          replicas: [{ store: await other.open() }],
          mode: "synchronous",
          authority,
        }),
      );
    const [one, two] = [await open(), await open()];
    const make = new StoreFixture(1);
    await one.create(make.meta(), make.key("integrity"));
    const [mine, yours] = [await make.timeline(one), await make.timeline(two)];
    for (let round = 0; round < 25; round++) {
      const name = `name-${round % 3}`;
      await Promise.all([
        one.append(make.batch([mine.next({ name, replaceName: true })])).then(expectAppended),
        two.append(make.batch([yours.next({ name, replaceName: true })])).then(expectAppended),
      ]);
      await one.note(make.notice("restored", { details: { round } }));
    }
    const [primary, replica] = [stack.use(await place.open()), stack.use(await other.open())];
    await expectSame(primary, replica);
    expect(await collect(replica.check())).toEqual([]);
  });

  test("refuses to make a replica of another store's place", async () => {
    const { inner, store, make } = await replicaPair();
    const other = await MemoryStore.open();
    await other.create(make.meta(), make.key("integrity"));
    const wrong = replicateStore({ primary: other, replicas: [{ store: inner }], mode: "synchronous", authority });
    await expectCode("STORE_UNREACHABLE", () => wrong.note(make.notice("restored")));
    expect((await wrong.lag())[0]?.problem).toContain("holds another store");
    await store.close();
  });
});

describe("replicateStore() with a slow replica", () => {
  async function slowPair(mode: ReplicateOptions["mode"]) {
    const inner = await MemoryStore.open();
    const gate = { isShut: false, begun: 0, open: (): void => undefined };
    const slow = chaosStore(inner, {
      before: async ({ method }) => {
        if (!gate.isShut || method !== "append") return;
        gate.begun += 1;
        await new Promise<void>((resolve) => (gate.open = resolve));
      },
    });
    const { primary, store, make } = await replicaPair({ replicas: [{ store: slow }], mode });
    const timeline = await make.timeline(store);
    await store.catchUp();
    gate.isShut = true;
    return { primary, inner, store, make, timeline, gate };
  }
  const turns = async (count: number): Promise<void> => {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => void setImmediate(resolve));
  };

  test("synchronous: a save waits for it, and those that come meanwhile share the next round", async () => {
    const { primary, inner, store, make, timeline, gate } = await slowPair("synchronous");
    let acknowledged = 0;
    const saves = Array.from({ length: 5 }, async () => {
      expectAppended(await store.append(make.batch([timeline.next()])));
      acknowledged += 1;
    });
    await turns(50);
    expect([acknowledged, gate.begun]).toEqual([0, 1]);
    expect((await primary.timeline(timeline.key))?.head?.sequence).toBe(5);
    gate.isShut = false;
    gate.open();
    await Promise.all(saves);
    await expectSame(primary, inner);
  });

  test("streamed: saves do not wait, and it has all of them in the end", async () => {
    const { primary, inner, store, make, timeline, gate } = await slowPair("streamed");
    const dataKey = make.key("data");
    for (let saves = 0; saves < 30; saves++) await store.append(sealedBatch(make, [timeline.next()], dataKey));
    await turns(50);
    expect(gate.begun).toBe(1);
    expect((await store.lag())[0]?.commits).toBe(30);
    gate.isShut = false;
    gate.open();
    await store.catchUp();
    await expectSame(primary, inner);
  });
});

describe("replicateStore() after a takeover", () => {
  test("a replica that was promoted fences its old primary: nothing more is written there, and nothing acknowledged", async () => {
    for (const onReplicaFailure of ["fail", "lag"] as const) {
      const { primary, inner, store, make } = await replicaPair({ onReplicaFailure });
      const timeline = await make.timeline(store);
      await timeline.save(store);
      expect(await promoteReplica(inner, { authority })).toBe(1);
      const late = timeline.next();
      await expectCode("FENCED", () => store.append(make.batch([late])));
      const commits = (await collect(primary.commits(null))).length;
      await expectCode("FENCED", () => store.note(make.notice("restored")));
      await expectCode("FENCED", () => store.renewLease({ timeline: timeline.key, lease: make.lease(1) }));
      expect((await collect(primary.commits(null))).length).toBe(commits);
      expect((await store.lag())[0]?.state).toBe("taken-over");
      // The new primary goes on where the replica was.
      timeline.epoch = 3;
      timeline.sequence = 1;
      expect(await inner.acquireLease({ timeline: timeline.key, lease: make.lease(3) })).toBe(true);
      await timeline.save(inner);
    }
  });

  test("whoever opens the old pair anew is refused before the primary is touched", async () => {
    for (const mode of ["synchronous", "streamed"] as const) {
      const { primary, inner, store, make } = await replicaPair();
      const timeline = await make.timeline(store);
      await timeline.save(store);
      await promoteReplica(inner, { authority, epochs: 5 });
      expect((await inner.timeline(timeline.key))?.lease.epoch).toBe(6);
      const again = replicateStore({ primary, replicas: [{ store: inner }], mode, authority });
      await expectCode("FENCED", () => again.append(make.batch([timeline.next()])));
      expect((await primary.timeline(timeline.key))?.head?.sequence).toBe(1);
    }
  });

  test("the old primary becomes the replica of the new one, if nothing was written to it since", async () => {
    const { primary, inner, store, make } = await replicaPair();
    await fillStore(store, make);
    await promoteReplica(inner, { authority });
    const back = replicateStore({ primary: inner, replicas: [{ store: primary }], mode: "synchronous", authority });
    await (await make.timeline(back)).save(back);
    await back.compare();
    await expectSame(inner, primary);
  });

  test("a replica on which somebody saved in the same epoch is found out", async () => {
    const { inner, store, make } = await replicaPair();
    const timeline = await make.timeline(store);
    await timeline.save(store);
    expectAppended(await inner.append(make.batch([timeline.record()])));
    await expectCode("FENCED", () => store.append(make.batch([timeline.next()])));
  });

  test("promoteReplica() wants a store and a whole number", async () => {
    const { inner } = await replicaPair();
    await expectCode("INVALID_ARGUMENT", () => promoteReplica(inner, { authority, epochs: 0 }));
    await expectCode("NOT_A_STORE", async () => await promoteReplica(await MemoryStore.open(), { authority }));
  });
});

describe("replicateStore(), streamed", () => {
  test("acknowledges at once, shows the lag, and catches up, whoever wrote", async () => {
    const { primary, inner, replica, clock, store, make } = await replicaPair({
      mode: "streamed",
      pollMs: 100,
      surveyMs: 1_000,
    });
    replica.fails = "STORE_UNREACHABLE";
    const timeline = await make.timeline(store);
    const dataKey = make.key("data");
    for (let saves = 0; saves < 3; saves++) await store.append(sealedBatch(make, [timeline.next()], dataKey));
    // Another process, which knows of no replica.
    await primary.append(sealedBatch(make, [timeline.next()], dataKey));
    await make.clock.tick(0);
    clock.setNow(make.clock.now() + 5_000);
    expect((await store.lag())[0]).toMatchObject({ state: "failing", commits: 4, ms: 5_000 });
    replica.fails = null;
    await clock.tick(2_000);
    await store.catchUp();
    await expectSame(primary, inner);
    expect((await store.lag())[0]).toMatchObject({ state: "following", commits: 0, ms: 0 });
  });

  test("follows by itself: commits at each look, leases and keys at each survey", async () => {
    const { primary, inner, clock, store, make } = await replicaPair({
      mode: "streamed",
      pollMs: 100,
      surveyMs: 1_000,
    });
    const timeline = await make.timeline(primary);
    const dataKey = make.key("data");
    const [one, two] = [timeline.next(), timeline.next()];
    await primary.append(sealedBatch(make, [one, two], dataKey));
    await within(clock, 2_000, async () => {
      expect(await inner.meta()).not.toBe(null);
      expect(await inner.read(two.entry.id)).not.toBe(null);
    });
    await primary.acquireLease({ timeline: timeline.key, lease: make.lease(2) });
    const fresh = make.key("data");
    const { header, body } = sealedBatch(make, [one, two], fresh);
    await primary.rewrapKey({ ...dataKey, ring: "ring-2", wrapped: dataKey.wrapped }, "ring-1");
    await primary.retireKey(dataKey.id);
    await within(clock, 3_000, async () => {
      expect((await inner.keys()).some(({ retired }) => retired === true)).toBe(true);
    });
    expect((await inner.timeline(timeline.key))?.lease.epoch).toBe(2);
    expect((await inner.keys()).find(({ id }) => id === dataKey.id)?.ring).toBe("ring-2");
    // Sealed anew under another key, and the old key destroyed: the replica has the new bytes before it loses the key.
    await primary.replacePack({ ids: [one.entry.id], header, body, expectedHeaderDigest: null, dataKey: fresh });
    await primary.dropKey(dataKey.id);
    await within(clock, 3_000, async () => {
      expect((await inner.keys()).every(({ id }) => id !== dataKey.id)).toBe(true);
    });
    expect(Buffer.from((await inner.read(one.entry.id))?.body ?? [])).toEqual(Buffer.from(body));
    await store.catchUp();
    await expectSame(primary, inner);
  });

  test("close brings the replica what is left", async () => {
    const { primary, inner, store, make } = await replicaPair({ mode: "streamed" });
    const timeline = await make.timeline(store);
    const dataKey = make.key("data");
    for (let saves = 0; saves < 20; saves++) await store.append(sealedBatch(make, [timeline.next()], dataKey));
    const before = await replicaContent(primary);
    const atClose: unknown[] = [];
    // A memory store is gone once it is closed.
    Object.assign(inner, { close: async () => void atClose.push(await replicaContent(inner)) });
    await store.close();
    expect(atClose[0]).toEqual(before);
  });

  test("packs that lost their bodies before they were copied end as on the primary", async () => {
    const primary = await MemoryStore.open();
    const make = new StoreFixture(1);
    await primary.create(make.meta(), make.key("integrity"));
    await fillStore(primary, make);
    const timeline = await make.timeline(primary);
    const first = await timeline.save(primary, { name: "gone" });
    await timeline.save(primary, { name: "gone", replaceName: true });
    await primary.remove([first.id], make.notice("cleaned", { mementos: [first.id] }));
    await primary.reclaim([first.id]);
    const place = await sqlitePlace();
    await using replica = await place.open();
    await using store = replicateStore({ primary, replicas: [{ store: replica }], mode: "streamed", authority });
    await store.catchUp();
    expect(await store.compare()).toMatchObject([{ copied: 0, differing: [] }]);
    await expectSame(primary, replica);
    expect(await collect(replica.check())).toEqual([]);
    await replica.close();
    await place.dispose();
  });

  test("compare() copies what was replaced behind its back, and names what differs", async () => {
    const { primary, inner, store, make } = await replicaPair({ mode: "streamed" });
    const timeline = await make.timeline(store);
    const records = [timeline.next(), timeline.next()];
    await store.append(sealedBatch(make, records, make.key("data")));
    await store.catchUp();
    const fresh = make.key("data");
    const { header, body } = sealedBatch(make, records, fresh);
    const [first = ""] = records.map(({ entry }) => entry.id);
    await primary.replacePack({ ids: [first], header, body, expectedHeaderDigest: null, dataKey: fresh });
    await inner.remove([first], make.notice("removed", { mementos: [first] }));
    expect(await store.compare()).toEqual([{ mementos: 2, copied: 1, differing: [first] }]);
    expect(Buffer.from((await inner.read(first))?.body ?? [])).toEqual(Buffer.from(body));
  });
});
