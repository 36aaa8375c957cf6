import assert from "node:assert/strict";

import { allAnswers } from "./answers.ts";
import { fixtureAuthority } from "./authority.ts";
import { collect, type StoreTestGroup } from "./kit.ts";
import { fillStore } from "./sample.ts";

/** `rebuildIndex` and `salvage`. What they do to a damaged store depends on how a driver keeps it, and is the driver's to test. */
export const rebuildTests: readonly StoreTestGroup[] = [
  {
    method: "rebuildIndex()",
    tests: {
      "finds nothing to do in a sound store, and does nothing": async ({ store, make }) => {
        await fillStore(store, make);
        const before = JSON.stringify(await allAnswers(store));
        const authority = fixtureAuthority(make);
        for (const dryRun of [true, false, false])
          assert.deepEqual(await store.rebuildIndex(authority, dryRun), { changes: [], problems: [] });
        assert.equal(JSON.stringify(await allAnswers(store)), before);
        assert.deepEqual(await collect(store.check()), []);
      },
    },
  },
  {
    method: "salvage()",
    tests: {
      "gives what lies there of a pack, and null for what is not there": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const record = timeline.next();
        const batch = make.batch([record]);
        await store.append(batch);
        const salvaged = await store.salvage(record.entry.id);
        const bytes = Buffer.from(salvaged?.bytes ?? []);
        assert.ok(bytes.includes(batch.header) && bytes.includes(batch.body));
        assert.deepEqual(salvaged?.mementos, [{ id: record.entry.id, slot: 0, removed: false }]);
        assert.equal(await store.salvage(`${timeline.key}-9-aaaaaa`), null);
      },
    },
  },
];
