import { describe, expect, test } from "vitest";

import { expectSame, fixtureReplicaAuthority } from "../../../../../../test/harness/replica-content.ts";
import { replicaPair } from "../../../../../../test/harness/replica-pair.ts";
import { chaosStore } from "../../../testing/chaos-store.ts";
import { sealedBatch } from "../../../testing/store/sealed-batch.ts";
import { MemoryStore } from "../../memory/store.ts";
import type { MementoStore } from "../../store.ts";
import { replicateStore } from "./replicate.ts";

const authority = fixtureReplicaAuthority();

describe("packs that are replaced while they are copied", () => {
  test("a pack that is replaced once more while it is copied is copied once more", async () => {
    const inner = await MemoryStore.open();
    const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow = chaosStore(inner, {
      before: async ({ method }) => {
        if (method !== "replacePack") return;
        begun.resolve();
        await goOn.promise;
      },
    });
    const { primary, store, make } = await replicaPair({ replicas: [{ store: slow }] });
    const timeline = await make.timeline(store);
    const record = timeline.next();
    await store.append(sealedBatch(make, [record], make.key("data")));
    const replace = async (): Promise<boolean> => {
      const dataKey = make.key("data");
      const pack = sealedBatch(make, [record], dataKey);
      return await store.replacePack({ ...pack, ids: [record.entry.id], expectedHeaderDigest: null, dataKey });
    };
    const first = replace();
    await begun.promise;
    const second = replace();
    goOn.resolve();
    expect(await Promise.all([first, second])).toEqual([true, true]);
    await expectSame(primary, inner);
  });

  test("of two who copy a pack that is replaced twice, the slower one does not put the older bytes back", async () => {
    const { primary, inner, store, make } = await replicaPair();
    const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow = chaosStore(inner, {
      before: async ({ method }) => {
        if (method !== "replacePack") return;
        begun.resolve();
        await goOn.promise;
      },
    });
    const other = replicateStore({ primary, replicas: [{ store: slow }], mode: "synchronous", authority });
    const record = (await make.timeline(store)).next();
    await store.append(sealedBatch(make, [record], make.key("data")));
    const replace = async (through: MementoStore): Promise<boolean> => {
      const dataKey = make.key("data");
      const pack = sealedBatch(make, [record], dataKey);
      return await through.replacePack({ ...pack, ids: [record.entry.id], expectedHeaderDigest: null, dataKey });
    };
    const older = replace(other);
    await begun.promise;
    await replace(store);
    goOn.resolve();
    await older;
    await expectSame(primary, inner);
  });
});
