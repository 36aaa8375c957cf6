import assert from "node:assert/strict";

import { decodeHeader } from "../../store/header.ts";
import { mementoQuery } from "../../store/query.ts";
import { expectSoundPack } from "./answers.ts";
import { collect, type StoreTestGroup } from "./kit.ts";
import { WorkerProcess } from "./worker-process.ts";

const EACH = 40;

/** Processes that use one store at once. */
export const racesTests: readonly StoreTestGroup[] = [
  {
    method: "processes at once",
    appliesTo: ({ sharedBy }) => sharedBy !== "process",
    timeoutMs: 300_000,
    tests: {
      "race for one head: each place has one winner": async (loan) => {
        const { store, make } = loan;
        const timeline = await make.timeline(store);
        const job = { kind: "append", timeline: timeline.facts, count: EACH } as const;
        await using one = await WorkerProcess.start(loan, job, 11);
        await using two = await WorkerProcess.start(loan, job, 12);
        for (const worker of [one, two]) worker.go();
        for (const worker of [one, two]) await worker.finish();
        const won = [...one.news, ...two.news].map(({ id }) => String(id));
        const rows = await collect(store.query(mementoQuery({ order: "ascending" })));
        assert.deepEqual(
          rows.map(({ entry }) => entry.sequence),
          Array.from({ length: 2 * EACH }, (_, index) => index + 1),
        );
        assert.deepEqual(new Set(rows.map(({ entry }) => entry.id)), new Set(won));
        for (const [index, { entry }] of rows.entries()) assert.equal(entry.parent, rows[index - 1]?.entry.id ?? null);
        assert.deepEqual(await collect(store.check()), []);
      },

      "race for one lease: each epoch has one winner": async (loan) => {
        const { store, make } = loan;
        const { key } = await make.timeline(store);
        const job = { kind: "acquire", timeline: key, epoch: EACH } as const;
        await using one = await WorkerProcess.start(loan, job, 11);
        await using two = await WorkerProcess.start(loan, job, 12);
        for (const worker of [one, two]) worker.go();
        for (const worker of [one, two]) await worker.finish();
        const epochs = [...one.news, ...two.news].map(({ epoch }) => Number(epoch)).toSorted((a, b) => a - b);
        assert.deepEqual(
          epochs,
          Array.from({ length: EACH - 1 }, (_, index) => index + 2),
        );
      },

      "a reader of the log meets every commit of other processes once": async (loan) => {
        const { store, make } = loan;
        const timelines = [await make.timeline(store), await make.timeline(store)];
        await using workers = new AsyncDisposableStack();
        const writers = [];
        for (const [index, { facts }] of timelines.entries()) {
          const job = { kind: "append", timeline: facts, count: EACH } as const;
          writers.push(workers.use(await WorkerProcess.start(loan, job, 11 + index)));
        }
        for (const writer of writers) writer.go();
        const seen: string[] = [];
        let cursor: string | null = null;
        const read = async (): Promise<void> => {
          for await (const commit of store.commits(cursor)) {
            const header = decodeHeader(commit.header, "a commit");
            if (header.type === "pack") seen.push(...header.entries.map(({ id }) => id));
            cursor = commit.cursor;
          }
        };
        while (!writers.every(({ hasEnded }) => hasEnded)) {
          await read();
          await new Promise((resolve) => void setImmediate(resolve));
        }
        for (const writer of writers) await writer.finish();
        await read();
        const written = writers.flatMap(({ news }) => news.map(({ id }) => String(id)));
        assert.equal(written.length, 2 * EACH);
        assert.deepEqual(seen.toSorted(), written.toSorted());
        for (const { key } of timelines) {
          const ofTimeline = seen.filter((id) => id.startsWith(key)).map((id) => Number(id.split("-")[1]));
          assert.deepEqual(
            ofTimeline,
            ofTimeline.toSorted((a, b) => a - b),
          );
        }
      },

      "a check cries no wolf while another process writes": async (loan) => {
        const { store, make } = loan;
        const timelines = [(await make.timeline(store)).facts, (await make.timeline(store)).facts];
        await using worker = await WorkerProcess.start(loan, { kind: "use", timelines }, 11);
        worker.go();
        for (let checks = 0; checks < 15 || worker.news.length < 20; checks++) {
          assert.deepEqual(await collect(store.check()), []);
          if (worker.hasEnded) await worker.finish();
          await new Promise((resolve) => void setImmediate(resolve));
        }
      },

      "reads and queries stay whole while another process removes and reclaims": async (loan) => {
        const { store, make } = loan;
        const timeline = await make.timeline(store);
        const ids = [];
        for (let index = 0; index < EACH; index++) ids.push((await timeline.save(store)).id);
        await using worker = await WorkerProcess.start(loan, { kind: "remove", ids }, 11);
        worker.go();
        for (let live = EACH; !worker.hasEnded;) {
          const gone = new Set(worker.news.flatMap(({ removed }) => removed as string[]));
          const rows = await collect(store.query(mementoQuery({ order: "ascending" })));
          assert.ok(rows.length <= live, "what was removed never comes back");
          live = rows.length;
          for (const { entry } of rows) assert.ok(!gone.has(entry.id), "an acknowledged removal is seen by all");
          for (const id of ids) {
            const stored = await store.read(id);
            if (stored?.body) expectSoundPack(stored.header, stored.body);
            else assert.equal(stored?.removed ?? true, true, "only what is removed loses its body");
          }
          await new Promise((resolve) => void setImmediate(resolve));
        }
        await worker.finish();
        assert.deepEqual(await collect(store.query(mementoQuery())), []);
        assert.deepEqual(await collect(store.check()), []);
      },
    },
  },
];
