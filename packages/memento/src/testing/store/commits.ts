import assert from "node:assert/strict";

import type { StoredCommit } from "../../store/store.ts";
import { collect, type StoreTestGroup } from "./kit.ts";

const headers = (commits: readonly StoredCommit[]): Buffer[] => commits.map(({ header }) => Buffer.from(header));

/** `note` and `commits`. */
export const commitsTests: readonly StoreTestGroup[] = [
  {
    method: "commits()",
    tests: {
      "gives saves and notices in their order, from the start and behind any cursor": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const written: Uint8Array[] = [];
        for (let index = 0; index < 5; index++) {
          const batch = make.batch([timeline.next()]);
          await store.append(batch);
          const notice = make.notice("restored", { details: { index } });
          await store.note(notice);
          written.push(batch.header, notice);
        }
        const commits = await collect(store.commits(null));
        assert.deepEqual(
          headers(commits),
          written.map((header) => Buffer.from(header)),
        );
        assert.equal(new Set(commits.map(({ cursor }) => cursor)).size, 10);
        for (const [index, { cursor }] of commits.entries()) {
          assert.deepEqual(headers(await collect(store.commits(cursor))), headers(commits.slice(index + 1)));
        }
      },

      "gives the bodies, and which slots were taken": async ({ store, make }) => {
        const [one, two] = [await make.timeline(store), await make.timeline(store)];
        const batch = make.batch([
          two.record({ epoch: 9 }),
          one.next(),
          two.record({ epoch: 9, expectedSequence: 1 }),
          one.next(),
        ]);
        await store.append(batch);
        const [commit] = await collect(store.commits(null));
        assert.deepEqual(commit?.accepted, [1, 3]);
        assert.deepEqual(Buffer.from(commit?.body ?? []), Buffer.from(batch.body));
      },

      "a cursor at the end gives what comes later, and only that": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        await timeline.save(store);
        const cursor = (await collect(store.commits(null))).at(-1)?.cursor ?? null;
        assert.deepEqual(await collect(store.commits(cursor)), []);
        const { id } = await timeline.save(store);
        const later = await collect(store.commits(cursor));
        assert.equal(later.length, 1);
        assert.ok(Buffer.from(later[0]?.header ?? []).includes(id));
      },

      "a reader meets every event once, however the writers interleave": async ({ store, make, second }) => {
        const stores = [store, await second()];
        const reader = stores[1] ?? store;
        const timelines = [];
        for (let index = 0; index < 4; index++) timelines.push(await make.timeline(store));
        const seen: string[] = [];
        let cursor: string | null = null;
        const read = async (): Promise<void> => {
          for await (const commit of reader.commits(cursor)) {
            seen.push(Buffer.from(commit.header).toString("utf8"));
            cursor = commit.cursor;
          }
        };
        const written = new Set<string>();
        for (let round = 0; round < 12; round++) {
          const writes = timelines.map(async (timeline, index) => {
            const batch = make.batch([timeline.next()]);
            written.add(Buffer.from(batch.header).toString("utf8"));
            await stores[index % 2]?.append(batch);
          });
          await Promise.all([...writes, read()]);
        }
        await read();
        assert.equal(seen.length, written.size);
        assert.deepEqual(new Set(seen), written);
      },
    },
  },
];
