import { describe, test } from "vitest";

import { expectSame, fixtureReplicaAuthority } from "../../../../../../test/harness/replica-content.ts";
import { replicaPair } from "../../../../../../test/harness/replica-pair.ts";
import { StoreFixture } from "../../../testing/store/fixture.ts";
import { sealedBatch } from "../../../testing/store/sealed-batch.ts";
import { MemoryStore } from "../../memory/store.ts";
import { replicateStore } from "./replicate.ts";

const authority = fixtureReplicaAuthority();

describe("the keys of a replica", () => {
  test("what was sealed anew behind its back is brought before its key is retired there, and before the key of before is destroyed", async () => {
    const { primary, inner, store, make } = await replicaPair({ mode: "streamed" });
    const timeline = await make.timeline(store);
    const [first, second] = [make.key("data"), make.key("data")];
    const record = timeline.next();
    await store.append(sealedBatch(make, [record], first));
    await store.append(sealedBatch(make, [timeline.next()], second));
    await store.catchUp();
    const pack = sealedBatch(make, [record], second);
    // One secure deletion has ended, and the next one has begun.
    await primary.retireKey(first.id);
    await primary.replacePack({ ...pack, ids: [record.entry.id], expectedHeaderDigest: null, dataKey: null });
    await primary.dropKey(first.id);
    await primary.retireKey(second.id);
    await store.catchUp();
    await expectSame(primary, inner);
  });

  test("a key that was retired before the replica had anything under it is retired there too, once it has caught up", async () => {
    const [primary, replica] = [await MemoryStore.open(), await MemoryStore.open()];
    const make = new StoreFixture(1);
    await primary.create(make.meta(true), make.key("integrity"));
    const dataKey = make.key("data");
    await primary.append(sealedBatch(make, [(await make.timeline(primary)).next()], dataKey));
    await primary.retireKey(dataKey.id);
    await replicateStore({ primary, replicas: [{ store: replica }], mode: "streamed", authority }).catchUp();
    await expectSame(primary, replica);
  });
});
