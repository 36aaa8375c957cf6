import assert from "node:assert/strict";

import { decodeHeader, type PackHeader } from "../../store/header.ts";
import { mementoQuery } from "../../store/query.ts";
import type { MementoStore } from "../../store/store.ts";
import { expectSoundPack } from "./answers.ts";
import { collect, type StoreTestGroup } from "./kit.ts";
import { WorkerProcess } from "./worker-process.ts";

/** What the store acknowledged to all workers that were killed. */
interface Acknowledged {
  readonly saved: string[];
  readonly removed: Set<string>;
  notes: number;
}

/** The most that one call of the worker saves: what was under way at a kill may be there or not. */
const SAVED_AT_ONCE = 3;

/** A writer that is killed with SIGKILL at moments that a seed chooses. */
export const killsTests: readonly StoreTestGroup[] = [
  {
    method: "kill -9",
    appliesTo: ({ sharedBy, durable }) => sharedBy !== "process" && durable,
    timeoutMs: 300_000,
    tests: {
      "leaves all that was acknowledged, and nothing half done": async (loan) => {
        const { store, make, options, second } = loan;
        const timelines = [(await make.timeline(store)).facts, (await make.timeline(store)).facts];
        // No process that is still alive may be needed for what the killed one leaves behind.
        await store.close();
        const all: Acknowledged = { saved: [], removed: new Set(), notes: 0 };
        const kills = options.kills ?? 5;
        for (let kill = 0; kill < kills; kill++) {
          await using worker = await WorkerProcess.start(loan, { kind: "use", timelines }, 100 + kill);
          const enough = 1 + make.random.integer(30);
          worker.go();
          await worker.until(() => worker.news.length >= enough);
          await new Promise((resolve) => void setTimeout(resolve, make.random.integer(4)));
          await worker.kill();
          note(all, worker.news);
          const left = await second();
          await expectAll(left, all, kill + 1);
          await left.close();
        }
      },
    },
  },
];

function note(all: Acknowledged, news: readonly Record<string, unknown>[]): void {
  for (const { saved, removed, noted } of news) {
    if (Array.isArray(saved)) all.saved.push(...(saved as string[]));
    if (Array.isArray(removed)) for (const id of removed as string[]) all.removed.add(id);
    if (typeof noted === "number") all.notes += 1;
  }
}

async function expectAll(store: MementoStore, all: Acknowledged, kills: number): Promise<void> {
  assert.deepEqual(await collect(store.check()), []);
  const rows = await collect(store.query(mementoQuery({ order: "ascending", removed: true })));
  const stored = new Map(rows.map((row) => [row.entry.id, row]));
  for (const id of all.saved) {
    const row = stored.get(id);
    assert.ok(row, `${id} was acknowledged and is gone`);
    if (all.removed.has(id)) assert.ok(row.removed, `the removal of ${id} was acknowledged and is undone`);
  }
  const extra = rows.length - all.saved.length;
  assert.ok(extra <= kills * SAVED_AT_ONCE, `${extra} mementos are there that nobody was told of`);
  let notes = 0;
  for await (const { header, body, accepted } of store.commits(null)) {
    const decoded = decodeHeader(header, "a commit");
    if (decoded.type === "notice") notes += decoded.notice.kind === "restored" ? 1 : 0;
    else if (body !== null) expectSoundPack(header, body);
    if (decoded.type === "pack") expectWholeTimelines(decoded, accepted);
  }
  assert.ok(notes >= all.notes && notes <= all.notes + kills, `${notes} notices of ${all.notes}`);
  for await (const { record, head } of store.timelines(null)) {
    const line = rows.filter(({ entry }) => entry.timeline === record.key);
    assert.deepEqual(
      line.map(({ entry }) => entry.sequence),
      line.map((_, index) => index + 1),
    );
    assert.equal(head?.id, line.at(-1)?.entry.id);
  }
  for (const { entry, removed } of rows) {
    const pack = await store.read(entry.id);
    if (pack?.body) expectSoundPack(pack.header, pack.body);
    else assert.ok(removed, `${entry.id} lives and has no body`);
  }
}

/** A batch is atomic for each of its timelines, and need not be across them. */
function expectWholeTimelines({ entries }: PackHeader, accepted: readonly number[]): void {
  const taken = new Set(accepted.map((slot) => entries[slot]?.timeline));
  const slots = [...entries.keys()].filter((slot) => taken.has(entries[slot]?.timeline));
  assert.deepEqual(accepted, slots);
}
