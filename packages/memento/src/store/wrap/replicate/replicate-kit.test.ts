import { expect } from "vitest";

import { fixtureReplicaAuthority, replicaContent } from "../../../../../../test/harness/replica-content.ts";
import { embeddedDrivers, testWrapped } from "../../../../../../test/workers/embedded-places.ts";
import { MemoryStore } from "../../memory/store.ts";
import type { MementoStore } from "../../store.ts";
import { interceptStore } from "../intercept.ts";
import { replicateStore, type ReplicateOptions } from "./replicate.ts";

/** A replicated store that, before it is closed, is compared with its replica. */
async function replicated(primary: MementoStore, options: Pick<ReplicateOptions, "mode">): Promise<MementoStore> {
  const replica = await MemoryStore.open();
  const authority = fixtureReplicaAuthority();
  const store = replicateStore({ ...options, primary, replicas: [{ store: replica }], authority });
  let compared: Promise<void> | null = null;
  const compare = async (): Promise<void> => {
    if ((await primary.meta()) === null) return;
    await store.compare();
    expect(await replicaContent(replica)).toEqual(await replicaContent(primary));
  };
  return interceptStore(store, async (call, proceed) => {
    if (call.method === "close") await (compared ??= compare());
    return await proceed();
  });
}

testWrapped("replicateStore(), synchronous,", async (store) => await replicated(store, { mode: "synchronous" }));
testWrapped(
  "replicateStore(), streamed,",
  async (store) => await replicated(store, { mode: "streamed" }),
  embeddedDrivers.filter(({ name }) => name === "SqliteStore"),
);
