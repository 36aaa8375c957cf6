import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";

import { isMementoError } from "../core/errors.ts";
import { Memento } from "../memento.ts";
import { isPart, mementoQuery } from "../store/query.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import type { Caretaker } from "./caretaker.ts";
import { collectGarbage } from "./collect.ts";

const folder = mkdtempSync(path.join(tmpdir(), "memento-stream-sequences-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const KEYS = { raw: [new Uint8Array(32).fill(7)] };
const SOURCE = noise(6_000_000);

function noise(length: number): Buffer {
  const random = new SeededRandom(11);
  return Buffer.concat(Array.from({ length: Math.ceil(length / 65_536) }, () => random.bytes(65_536))).subarray(
    0,
    length,
  );
}

/** Stretches of the source: streams of them share much, at other places. */
const content = fc
  .array(fc.tuple(fc.nat(SOURCE.length), fc.nat(1_500_000)), { maxLength: 4 })
  .map((stretches) => Buffer.concat(stretches.map(([from, length]) => SOURCE.subarray(from, from + length))));

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("save" as const), content, full: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("state" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("delete" as const), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("collect" as const) }) },
);

const readAll = async (caretaker: Caretaker, id: string): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(await caretaker.openStream(id)));

describe("streams", () => {
  test(
    "any sequence of saves, removals and garbage collections: every kept one is exact",
    { timeout: 120_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 9 }), async (steps) => {
          await using memento = await Memento.open("memory:");
          const files = memento.caretaker("files");
          const kept = new Map<string, Buffer>();
          for (const [n, each] of steps.entries()) {
            if (each.do === "save")
              kept.set((await files.saveStream([each.content], { full: each.full })).id, each.content);
            else if (each.do === "state") await files.save({ n });
            else if (each.do === "collect") await collectGarbage(memento.vault);
            else {
              const id = [...kept.keys()][each.which % Math.max(1, kept.size)];
              if (id === undefined) continue;
              await files.delete(id);
              kept.delete(id);
            }
          }
          await collectGarbage(memento.vault);
          for (const [id, bytes] of kept) expect(Buffer.compare(await readAll(files, id), bytes)).toBe(0);
          expect((await memento.verify()).damages).toEqual([]);
        }),
        { numRuns: 40 },
      );
    },
  );

  test(
    "beside garbage collection, other saves and removals: nothing kept is lost, and space is freed",
    { timeout: 120_000 },
    async () => {
      const place = `sqlite:${path.join(folder, "store.db")}`;
      await using first = await Memento.open(place, { keys: KEYS });
      await using second = await Memento.open(place, { keys: KEYS });
      const kept = new Map<string, Buffer>();
      const done = new AbortController();
      let freed = 0;
      const collecting = (async () => {
        while (!done.signal.aborted) {
          freed += (await collectGarbage(second.vault)).bytes;
          // A lock of SQLite's is given to whoever happens to ask when it is free; one who asks all the time starves the others.
          await second.vault.clock.sleep(50);
        }
      })();
      const saving = async (memento: Memento, worker: number): Promise<void> => {
        const files = memento.caretaker("files");
        const random = new SeededRandom(worker);
        for (let n = 0; n < 4; n++) {
          const from = random.integer(2_000_000);
          const bytes = SOURCE.subarray(from, from + 3_500_000);
          const { id } = await conflictFree(async () => await files.saveStream(slowly(bytes)));
          kept.set(id, bytes);
          // Only its own: another one's head may be what that one shares at this moment, and that must do no harm either.
          if (n % 2 === 1) {
            await files.delete(id);
            kept.delete(id);
          }
        }
      };
      try {
        await Promise.all([saving(first, 1), saving(first, 2), saving(second, 3)]);
      } finally {
        done.abort();
        await collecting;
      }
      freed += (await collectGarbage(first.vault)).bytes;
      expect(freed).toBeGreaterThan(0);
      expect(kept.size).toBe(6);
      const files = second.caretaker("files");
      for (const [id, bytes] of kept) expect(Buffer.compare(await readAll(files, id), bytes)).toBe(0);
      expect((await first.verify()).damages).toEqual([]);
      const rows = await Array.fromAsync(first.vault.store.query(mementoQuery()));
      expect(rows.filter(({ entry }) => isPart(entry))).toEqual([]);
    },
  );
});

/** In pieces, with a turn for the others before each. */
async function* slowly(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 400_000) {
    await new Promise((resolve) => setImmediate(resolve));
    yield bytes.subarray(at, at + 400_000);
  }
}

/** What is shared with a head that has gone meanwhile may be gone as well: then the caller is told to save once more. */
async function conflictFree<T>(save: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await save();
    } catch (error) {
      if (!isMementoError(error, "CONFLICT") || attempt === 10) throw error;
    }
  }
}
