import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { moody } from "../../../../../../test/harness/moody-store.ts";
import { expectSame, fixtureReplicaAuthority, replicaContent } from "../../../../../../test/harness/replica-content.ts";
import { embeddedDrivers, filePlace } from "../../../../../../test/workers/embedded-places.ts";
import { StoreFixture } from "../../../testing/store/fixture.ts";
import { collect, expectCode } from "../../../testing/store/kit.ts";
import { fillStore } from "../../../testing/store/sample.ts";
import { sealedBatch } from "../../../testing/store/sealed-batch.ts";
import { MemoryStore } from "../../memory/store.ts";
import type { MementoStore } from "../../store.ts";
import { promoteReplica } from "./promote.ts";
import { fileReplicaState, memoryReplicaState } from "./replica-state.ts";
import { replicateStore } from "./replicate.ts";

const authority = fixtureReplicaAuthority();

describe("the progress of a replica", () => {
  test.each(embeddedDrivers.map((driver) => [driver.name, driver] as const))(
    "lost, over %s: packs under keys that were retired or destroyed since are passed over, and nothing is doubled",
    async (_, driver) => {
      const place = await driver.place();
      const replica = await place.open();
      const primary = await MemoryStore.open();
      const make = new StoreFixture(1);
      await primary.create(make.meta(true), make.key("integrity"));
      const timeline = await make.timeline(primary);
      const [kept, dropped] = [make.key("data"), make.key("data")];
      const doomed = timeline.next();
      await primary.append(sealedBatch(make, [doomed], dropped));
      await primary.append(sealedBatch(make, [timeline.next()], kept));
      const follow = async (): Promise<void> => {
        const store = replicateStore({ primary, replicas: [{ store: replica }], mode: "streamed", authority });
        await store.catchUp();
        await expectSame(primary, replica);
      };
      await follow();
      await primary.retireKey(kept.id);
      const { id } = doomed.entry;
      await primary.remove([id], make.notice("erased", { mementos: [id] }));
      await primary.reclaim([id]);
      await primary.dropKey(dropped.id);
      for (let times = 0; times < 3; times++) await follow();
      await replica.close();
      await place.dispose();
    },
  );

  test("several who follow at the same time give no notice twice that they can see", async () => {
    const [primary, replica] = [await MemoryStore.open(), await MemoryStore.open()];
    const make = new StoreFixture(1);
    await primary.create(make.meta(), make.key("integrity"));
    for (let round = 0; round < 8; round++) await fillStore(primary, make).catch(() => undefined);
    const stores = Array.from({ length: 4 }, () =>
      replicateStore({ primary, replicas: [{ store: replica }], mode: "streamed", authority, pollMs: 3_600_000 }),
    );
    await Promise.all(stores.map(async (store) => await store.catchUp()));
    const notices = async (store: MementoStore): Promise<Set<string>> =>
      new Set((await collect(store.commits(null))).map(({ header }) => Buffer.from(header).toString("utf8")));
    expect(await notices(replica)).toEqual(await notices(primary));
    const [{ notices: there, ...content }, { notices: here, ...wanted }] = [
      (await replicaContent(replica)) as { readonly notices: readonly string[] },
      (await replicaContent(primary)) as { readonly notices: readonly string[] },
    ];
    expect(content).toEqual(wanted);
    expect(there.length).toBeGreaterThanOrEqual(here.length);
  });

  test("is kept in a file: who comes next goes on from there, and gives no notice twice", async () => {
    const folder = await mkdtemp(join(tmpdir(), "memento-replica-"));
    await using stack = new AsyncDisposableStack();
    stack.defer(async () => await rm(folder, { recursive: true }));
    const path = join(folder, "progress.json");
    const [primary, inner] = [await MemoryStore.open(), await MemoryStore.open()];
    const make = new StoreFixture(1);
    await primary.create(make.meta(), make.key("integrity"));
    await fillStore(primary, make);
    const open = (state = fileReplicaState(path)) => {
      const replica = moody(inner);
      const replicas = [{ store: replica.store, state }];
      return { replica, store: replicateStore({ primary, replicas, mode: "streamed", authority }) };
    };
    const first = open();
    await first.store.catchUp();
    const kept = await readFile(path, "utf8");
    await primary.note(make.notice("restored"));
    const second = open();
    await second.store.catchUp();
    expect(second.replica.calls).toBeLessThan(first.replica.calls / 2);
    await expectSame(primary, inner);
    // As after a crash before the progress was written; as without any; and as with one of another store.
    for (const text of [kept, "", JSON.stringify({ ...(JSON.parse(kept) as object), store: "other" }), "{"]) {
      await writeFile(path, text);
      await open().store.catchUp();
      await expectSame(primary, inner);
    }
    await open(memoryReplicaState()).store.catchUp();
    await expectSame(primary, inner);
    await expectCode("IO_FAILED", () => open(fileReplicaState(join(folder, "none", "x"))).store.catchUp());
  });

  test("is not believed of a replica that was emptied since, or put back to an earlier state", async () => {
    const [primary, replica] = [await MemoryStore.open(), await MemoryStore.open()];
    const [emptied, early] = [await MemoryStore.open(), await MemoryStore.open()];
    const make = new StoreFixture(1);
    await primary.create(make.meta(), make.key("integrity"));
    await fillStore(primary, make);
    const follow = async (store: MementoStore, state = memoryReplicaState()): Promise<void> => {
      const replicas = [{ store, state }];
      await replicateStore({ primary, replicas, mode: "streamed", authority }).catchUp();
      await expectSame(primary, store);
    };
    await follow(early);
    await (await make.timeline(primary)).save(primary);
    await primary.note(make.notice("restored"));
    const state = memoryReplicaState();
    await follow(replica, state);
    const kept = await state.load();
    for (const store of [emptied, early]) {
      await state.save(kept ?? "");
      await follow(store, state);
    }
  });

  test("is not believed once primary and replica have changed places", async () => {
    const place = await filePlace();
    const [one, other] = [await MemoryStore.open(), await place.open()];
    const make = new StoreFixture(1);
    await one.create(make.meta(), make.key("integrity"));
    await fillStore(one, make);
    const state = memoryReplicaState();
    const follow = async (primary: MementoStore, replica: MementoStore): Promise<void> => {
      const replicas = [{ store: replica, state }];
      const store = replicateStore({ primary, replicas, mode: "streamed", authority });
      await store.catchUp();
      expect((await store.lag())[0]).toMatchObject({ state: "following", commits: 0 });
      await expectSame(primary, replica);
    };
    await follow(one, other);
    await promoteReplica(other, { authority });
    await (await make.timeline(other)).save(other);
    await follow(other, one);
    await other.close();
    await place.dispose();
  });
});
