import assert from "node:assert/strict";

import { decodeHeader } from "../../packages/memento/src/store/header.ts";
import { mementoQuery } from "../../packages/memento/src/store/query.ts";
import type { MementoStore } from "../../packages/memento/src/store/store.ts";
import type { ReplicaAuthority } from "../../packages/memento/src/store/wrap/index.ts";
import { headCheck, rowCheck, StoreFixture } from "../../packages/memento/src/testing/store/fixture.ts";

/** Whoever holds the keys of a store that the kit's fixture fills. */
export function fixtureReplicaAuthority(): ReplicaAuthority {
  const make = new StoreFixture(99);
  return { headCheck, freeLease: (_, epoch) => make.lease(epoch, null), caretakerCheck: (record) => rowCheck(record) };
}

/**
 * Everything that a replica must have as its primary has it, as plain data: all but who holds a lease, what somebody asked
 * of its holder, and the order between timelines.
 */
export async function replicaContent(store: MementoStore): Promise<unknown> {
  const timelines = [];
  for await (const { record, head, lease } of store.timelines(null))
    timelines.push({ record, head, epoch: lease.epoch });
  const mementos = [];
  const names = new Map<string, string | null>();
  for await (const { entry, removed } of store.query(mementoQuery({ order: "ascending", removed: true }))) {
    const stored = await store.read(entry.id);
    const [header, body] = [textOf(stored?.header ?? null), textOf(stored?.body ?? null)];
    mementos.push({ entry, removed, slot: stored?.slot, header, body });
    if (entry.name !== undefined)
      names.set(`${entry.caretaker} ${entry.name}`, await store.findByName(entry.caretaker, entry.name));
  }
  const notices: string[] = [];
  for await (const { header } of store.commits(null))
    if (decodeHeader(header, "a commit").type === "notice") notices.push(Buffer.from(header).toString("utf8"));
  return {
    meta: await store.meta(),
    keys: [...(await store.keys())].toSorted((a, b) => compare(a.id, b.id)),
    caretakers: [...(await store.caretakers())].toSorted((a, b) => compare(a.name, b.name)),
    timelines: timelines.toSorted((a, b) => compare(a.record.key, b.record.key)),
    mementos: mementos.toSorted((a, b) => compare(a.entry.id, b.entry.id)),
    names: [...names].toSorted(([a], [b]) => compare(a, b)),
    notices: notices.toSorted(compare),
  };
}

/** Fails unless a replica has all that its primary has. */
export async function expectSame(primary: MementoStore, replica: MementoStore): Promise<void> {
  assert.deepEqual(await replicaContent(replica), await replicaContent(primary));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const textOf = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString("base64url");
