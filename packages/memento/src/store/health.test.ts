import { rm, stat } from "node:fs/promises";

import { describe, expect, test } from "vitest";

import { fixtureReplicaAuthority } from "../../../../test/harness/replica-content.ts";
import { embeddedDrivers } from "../../../../test/workers/embedded-places.ts";
import { MementoError } from "../core/errors.ts";
import { chaosStore } from "../testing/chaos-store.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { allAnswers } from "../testing/store/answers.ts";
import { StoreFixture } from "../testing/store/fixture.ts";
import { fillStore } from "../testing/store/sample.ts";
import { healthOf } from "./health.ts";
import { MemoryStore } from "./memory/store.ts";
import { observeStore, replicateStore, StoreMetrics } from "./wrap/index.ts";

async function made(): Promise<MemoryStore> {
  const store = await MemoryStore.open();
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
  await fillStore(store, make);
  return store;
}

describe("healthOf()", () => {
  test.each(embeddedDrivers.map((driver) => [driver.name, driver] as const))(
    "of %s: engine, version and space, and nothing is changed by asking",
    async (_, driver) => {
      const place = await driver.place();
      const store = await place.open();
      expect(await healthOf(store)).toMatchObject({ isHealthy: true, store: null, engine: null, latencies: null });
      const make = new StoreFixture(1);
      const meta = await store.create(make.meta(), make.key("integrity"));
      const empty = await healthOf(store);
      await (await make.timeline(store)).save(store);
      await store.append(make.batch([(await make.timeline(store)).next()], { body: new Uint8Array(200_000) }));
      const before = JSON.stringify(await allAnswers(store).catch(() => null));
      const health = await healthOf(store);
      expect(JSON.stringify(await allAnswers(store).catch(() => null))).toBe(before);
      expect(health).toMatchObject({ url: store.url, isHealthy: true, problem: null, store: { id: meta.id } });
      expect(health.engine?.name).toMatch(/^(?:memory|SQLite|files)$/u);
      expect(health.engine?.version).not.toBe("");
      expect((health.engine?.bytes ?? 0) - (empty.engine?.bytes ?? 0)).toBeGreaterThanOrEqual(200_000);
      expect(health.engine?.freeBytes).toBeGreaterThan(0);
      expect(Object.values(health.latencies ?? {}).every((ms) => ms >= 0)).toBe(true);
      await store.close();
      expect(await healthOf(store)).toMatchObject({ isHealthy: false, problem: { code: "STORE_CLOSED" } });
      await place.dispose();
    },
  );

  test("the bytes of a SQLite store are those of its files", async () => {
    const driver = embeddedDrivers.find(({ name }) => name === "SqliteStore");
    const place = await driver?.place();
    const store = await place?.open();
    if (place === undefined || store === undefined) throw new Error("there is no SQLite");
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    const sizes = await Promise.all(
      [place.address, `${place.address}-wal`].map(async (file) => (await stat(file)).size),
    );
    expect((await store.engine?.())?.bytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
    await store.close();
    await place.dispose();
    await rm(place.address, { force: true });
  });

  test("times calls by the median of a few", async () => {
    const clock = new ManualClock();
    const durations = [1, 2, 90, 4, 5, 6, 7, 8, 9, 10];
    const slow = chaosStore(await made(), { before: async () => await clock.tick(durations.shift() ?? 0) });
    const { latencies } = await healthOf(slow, { clock, rounds: 3 });
    expect(latencies).toEqual({ meta: 4, timeline: 6, read: 9 });
  });

  test("tells what the store throws, and how far it had come", async () => {
    const before = ({ method }: { readonly method: string }): void => {
      if (method === "read") throw new MementoError("STORE_UNREACHABLE", "no answer");
    };
    const health = await healthOf(chaosStore(await made(), { before }));
    expect(health).toMatchObject({ isHealthy: false, latencies: null, store: { format: 1 } });
    expect(health.problem).toMatchObject({ code: "STORE_UNREACHABLE", message: "no answer" });
  });

  test("shows how far replicas are behind, through other wrappers too", async () => {
    const primary = await made();
    const replica = chaosStore(await MemoryStore.open(), {
      before: ({ method }) => {
        if (method !== "close") throw new MementoError("STORE_UNREACHABLE", "no answer");
      },
    });
    const authority = fixtureReplicaAuthority();
    const store = replicateStore({ primary, replicas: [{ store: replica }], mode: "streamed", authority });
    await store.catchUp().catch(() => undefined);
    const lag = { state: "failing", commits: (await Array.fromAsync(primary.commits(null))).length };
    expect(await healthOf(store)).toMatchObject({ isHealthy: true, replicas: [lag] });
    const observed = observeStore(store, { metrics: new StoreMetrics() });
    expect((await healthOf(observed)).replicas).toBe(null);
    expect(await healthOf(observed, { replicated: store })).toMatchObject({ isHealthy: true, replicas: [lag] });
    await store.close();
  });
});
