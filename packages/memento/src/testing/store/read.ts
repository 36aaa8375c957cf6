import assert from "node:assert/strict";

import type { StoreTestGroup } from "./kit.ts";

/** `read`. */
export const readTests: readonly StoreTestGroup[] = [
  {
    method: "read()",
    tests: {
      "gives null for what is not there": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const { id } = await timeline.save(store);
        const nonce = id.slice(-6);
        const absent = [
          `${timeline.key}-1-${nonce === "aaaaaa" ? "bbbbbb" : "aaaaaa"}`,
          `${timeline.key}-2-${nonce}`,
          `000000000000-1-${nonce}`,
          "no id at all",
          "",
          `${id}'; --`,
        ];
        for (const other of absent) assert.equal(await store.read(other), null, JSON.stringify(other));
        assert.equal((await store.read(id))?.slot, 0);
      },

      "gives each of many mementos its own pack": async ({ store, make }) => {
        const timelines = [await make.timeline(store), await make.timeline(store)];
        const written = new Map<string, Uint8Array>();
        for (let index = 0; index < 40; index++) {
          const record = timelines[index % 2]?.next();
          if (record === undefined) continue;
          const batch = make.batch([record]);
          await store.append(batch);
          written.set(record.entry.id, Buffer.from(batch.body));
        }
        for (const [id, body] of written) assert.deepEqual(Buffer.from((await store.read(id))?.body ?? []), body);
      },
    },
  },
];
