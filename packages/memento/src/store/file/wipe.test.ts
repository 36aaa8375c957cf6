import { describe, expect, test } from "vitest";

import { Killed, SimulatedDisk } from "../../../../../test/disk/simulated-disk.ts";
import { sha256 } from "../../core/digest.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import type { AppendBatch, KeyRecord, PackReplacement } from "../store.ts";
import type { FilePort } from "./file-port.ts";
import { FileStore } from "./store.ts";

async function open(files: FilePort, seed = 3): Promise<FileStore> {
  const { clock } = new StoreFixture(1);
  return await FileStore.open({ path: "/data/store", files, clock, random: new SeededRandom(seed) });
}

/** A disk with a store of two packs, each under a key of its own, of which the first was wrapped twice. */
async function storeOnDisk(): Promise<{
  disk: SimulatedDisk;
  keys: readonly [KeyRecord, KeyRecord];
  batch: AppendBatch;
  other: PackReplacement;
}> {
  const disk = new SimulatedDisk();
  disk.makeFolder("/data");
  disk.syncFolder("/");
  const store = await open(disk.process());
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
  const timeline = await make.timeline(store);
  const keys = [make.key("data"), make.key("data")] as const;
  await store.append(make.batch([timeline.next()], { dataKey: keys[0], suite: "A256GCM" }));
  const records = [timeline.next(), timeline.next()];
  const batch = make.batch(records, { dataKey: keys[1], suite: "A256GCM" });
  await store.append(batch);
  await store.rewrapKey({ ...keys[0], ring: "ring-2", wrapped: "anew" }, "ring-1");
  await store.close();
  const { header, body, dataKey } = make.batch(records, { dataKey: make.key("data"), suite: "A256GCM" });
  const ids = records.map(({ entry }) => entry.id);
  return { disk, keys, batch, other: { ids, header, body, dataKey, expectedHeaderDigest: sha256(batch.header) } };
}

const holds = (disk: SimulatedDisk, text: string): boolean =>
  disk.files().some((file) => disk.content(file).includes(text));

/** Runs the work in processes of which each is killed one call later than the one before, until one is done. */
async function killedEverywhere(
  sound: SimulatedDisk,
  work: (store: FileStore) => Promise<unknown>,
  afterwards: (disk: SimulatedDisk) => Promise<void>,
): Promise<void> {
  const random = new SeededRandom(9);
  for (let killAt = 1; ; killAt++) {
    const disk = sound.copy();
    const process = disk.process({ killAt });
    try {
      await work(await open(process, killAt));
      expect(killAt).toBeGreaterThan(5);
      return;
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
    }
    await afterwards(disk);
    await afterwards(disk.afterPowerLoss(random));
  }
}

describe("dropKey()", () => {
  test("leaves no byte of the key in any file, wherever it was killed before it was called again", async () => {
    const { disk, keys } = await storeOnDisk();
    const [gone, kept] = keys;
    expect(holds(disk, "anew")).toBe(true);
    await killedEverywhere(
      disk,
      async (store) => await store.dropKey(gone.id),
      async (after) => {
        const store = await open(after.process());
        await store.dropKey(gone.id);
        expect((await store.keys()).map(({ id, purpose }) => purpose === "data" && id)).toEqual(
          expect.arrayContaining([kept.id]),
        );
        expect(await store.keys()).toHaveLength(2);
        expect(holds(after, gone.wrapped)).toBe(false);
        expect(holds(after, "anew")).toBe(false);
      },
    );
  });
});

describe("replacePack()", () => {
  test("leaves the old pack or the new one, whole, wherever it was killed, and can be done again", async () => {
    const { disk, batch, other } = await storeOnDisk();
    const bodies = [batch.body, other.body ?? new Uint8Array()].map((body) => Buffer.from(body));
    let olds = 0;
    await killedEverywhere(
      disk,
      async (store) => await store.replacePack(other),
      async (after) => {
        const store = await open(after.process());
        expect(await collect(store.check())).toEqual([]);
        for (const id of other.ids) {
          const body = Buffer.from((await store.read(id))?.body ?? []);
          const at = bodies.findIndex((each) => each.equals(body));
          expect(at).not.toBe(-1);
          if (at === 0) olds += 1;
        }
        await store.replacePack({ ...other, expectedHeaderDigest: null });
        expect(Buffer.from((await store.read(other.ids[0] ?? ""))?.body ?? [])).toEqual(bodies[1]);
        expect(await collect(store.check())).toEqual([]);
      },
    );
    expect(olds).toBeGreaterThan(0);
  });

  test("heals a pack that was damaged, missing, or emptied under a live memento", async () => {
    const { disk, other } = await storeOnDisk();
    const packs = disk.files().filter((file) => file.includes("/packs/"));
    for (const harm of ["flip", "delete"]) {
      const damaged = disk.copy();
      for (const file of packs) {
        if (harm === "delete") damaged.delete(file);
        else
          damaged.setContent(file, Buffer.from(damaged.content(file).map((byte, at) => (at === 99 ? byte ^ 1 : byte))));
      }
      const store = await open(damaged.process());
      expect(await store.replacePack(other)).toBe(false);
      expect(await store.replacePack({ ...other, expectedHeaderDigest: null })).toBe(true);
      expect(Buffer.from((await store.read(other.ids[1] ?? ""))?.body ?? [])).toEqual(Buffer.from(other.body ?? []));
    }
  });
});
