import { MemoryStore } from "../../packages/memento/src/store/memory/store.ts";
import {
  replicateStore,
  type ReplicatedStore,
  type ReplicateOptions,
} from "../../packages/memento/src/store/wrap/replicate/replicate.ts";
import { ManualClock } from "../../packages/memento/src/testing/manual-clock.ts";
import { StoreFixture } from "../../packages/memento/src/testing/store/fixture.ts";
import { moody, type MoodyStore } from "./moody-store.ts";
import { fixtureReplicaAuthority } from "./replica-content.ts";

/** Two stores in memory, and the store above them. */
export interface ReplicaPair {
  readonly primary: MemoryStore;
  /** The replica itself. */
  readonly inner: MemoryStore;
  /** What the store above reaches it through: it can be made to fail. */
  readonly replica: MoodyStore;
  readonly clock: ManualClock;
  readonly store: ReplicatedStore;
  readonly make: StoreFixture;
}

/** Makes such a pair; synchronous, and sealed where streamed, unless the options say otherwise. */
export async function replicaPair(options: Partial<ReplicateOptions> = {}): Promise<ReplicaPair> {
  const primary = await MemoryStore.open();
  const inner = await MemoryStore.open();
  const replica = moody(inner);
  const clock = new ManualClock();
  const store = replicateStore({
    primary,
    replicas: [{ store: replica.store }],
    mode: "synchronous",
    authority: fixtureReplicaAuthority(),
    clock,
    ...options,
  });
  const make = new StoreFixture(1);
  await store.create(make.meta(options.mode === "streamed"), make.key("integrity"));
  return { primary, inner, replica, clock, store, make };
}

/** Lets time pass until nothing that is expected fails any more, `ms` at most. */
export async function within(clock: ManualClock, ms: number, expectations: () => Promise<unknown>): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    try {
      await expectations();
      return;
    } catch {
      await clock.tick(100);
    }
  }
  await expectations();
}
