import { expect, test } from "vitest";

import { sqlitePlace } from "../../../../../test/workers/sqlite-place.ts";
import { expectAppended, StoreFixture } from "../../testing/store/fixture.ts";
import type { AppendBatch } from "../store.ts";
import { SqliteStore } from "./store.ts";

/** A batch that brings rows enough to be sorted in, and a close so many microtasks behind it: what was said of it, and what is so. */
async function appendBesideClose(turns: number): Promise<{ readonly said: string; readonly isStored: boolean }> {
  const place = await sqlitePlace();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => place.dispose());
  const store = await SqliteStore.open({ path: place.address });
  const make = new StoreFixture(turns);
  await store.create(make.meta(), make.key("integrity"));
  const line = await make.timeline(store);
  const batch = (records: number): AppendBatch => make.batch(Array.from({ length: records }, () => line.next()));
  for (let save = 0; save < 5; save++) expectAppended(await store.append(batch(200)));
  const last = batch(32);
  const appending = store.append(last).then(
    () => "stored",
    () => "refused",
  );
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
  await store.close();
  const next = stack.use(await SqliteStore.open({ path: place.address }));
  const isStored = (await next.read(last.records[0]?.entry.id ?? "")) !== null;
  return { said: await appending, isStored };
}

test("P1: a save that a close meets, also where rows are sorted in behind it, is refused only where it is not stored", async () => {
  const said = new Set<string>();
  for (let turns = 0; turns < 40; turns++) {
    const outcome = await appendBesideClose(turns);
    expect(outcome).toEqual({ said: outcome.isStored ? "stored" : "refused", isStored: outcome.isStored });
    said.add(outcome.said);
  }
  expect(said).toEqual(new Set(["stored", "refused"]));
});
