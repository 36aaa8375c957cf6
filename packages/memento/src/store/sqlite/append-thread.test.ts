import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { sqlitePlace } from "../../../../../test/workers/sqlite-place.ts";
import { sha256 } from "../../core/digest.ts";
import { StoreFixture, type TestTimeline } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { RowChecks } from "../../vault/checks.ts";
import type { PackParts } from "../../vault/pack-maker.ts";
import { layOutPack, type PackItem } from "../../vault/pack.ts";
import { manifestOf, openPack } from "../../vault/repack.ts";
import type { DataKey } from "../../vault/seal.ts";
import type { UnmadeBatch } from "../apart.ts";
import { mementoQuery } from "../query.ts";
import type { AppendBatch } from "../store.ts";
import { AppendThread } from "./append-thread.ts";
import { SqliteStore } from "./store.ts";

const LOCKER = fileURLToPath(new URL("../../../../../test/workers/sqlite-lock.ts", import.meta.url));
const START_MS_MAX = 30_000;

interface Lent {
  readonly path: string;
  readonly store: SqliteStore;
  readonly thread: AppendThread;
  readonly make: StoreFixture;
  readonly lines: readonly TestTimeline[];
  /** A batch with one more record of each timeline. */
  batch(): AppendBatch;
}

/** A thread takes larger batches after it has seen some, and once it is ready. */
async function untilTaken(thread: AppendThread, batch: AppendBatch): Promise<void> {
  for (const start = Date.now(); !thread.takes(batch); await sleep(5))
    if (Date.now() - start > START_MS_MAX) throw new Error("The thread did not start");
}

/** Lends a store, and a thread of its own beside the store's, ready to append. */
async function withThread(
  run: (lent: Lent) => Promise<void>,
  { lockTimeoutMs = 5_000, sealed = false } = {},
): Promise<void> {
  const place = await sqlitePlace();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => place.dispose());
  const store = stack.use(await SqliteStore.open({ path: place.address, lockTimeoutMs }));
  const make = new StoreFixture(7);
  await store.create(make.meta(sealed), make.key("integrity"));
  const lines: TestTimeline[] = [];
  for (let index = 0; index < 12; index++) lines.push(await make.timeline(store, { originator: `o${index}` }));
  const batch = (): AppendBatch => make.batch(lines.map((line) => line.next()));
  const thread = new AppendThread({ path: place.address, lockTimeoutMs, store: (await store.meta())?.id ?? "" }, 2);
  stack.defer(async () => await thread.close());
  await untilTaken(thread, make.batch(lines.map((line) => line.record())));
  await run({ path: place.address, store, thread, make, lines, batch });
}

describe("AppendThread", () => {
  test("takes no small batch, none before some larger ones, and none at all where there is one core", async () => {
    await withThread(async ({ path, make, lines, thread }) => {
      expect(thread.takes(make.batch(lines.slice(0, 7).map((line) => line.record())))).toBe(false);
      const larger = make.batch(lines.map((line) => line.record()));
      expect(thread.takes(larger)).toBe(true);
      expect(new AppendThread({ path, lockTimeoutMs: 1, store: "" }, 2).takes(larger)).toBe(false);
      const alone = new AppendThread({ path, lockTimeoutMs: 1, store: "" }, 1);
      for (let time = 0; time < 100; time++) expect(alone.takes(larger)).toBe(false);
    });
  });

  test("P2: answers each record as the store does: appended, fenced, conflict, exists", async () => {
    await withThread(async ({ store, thread, make, lines, batch }) => {
      const all = batch();
      expect(await thread.append(all, null)).toEqual(all.records.map(() => ({ outcome: "appended" })));
      expect((await collect(store.query(mementoQuery()))).map(({ entry }) => entry)).toEqual(
        all.records.map(({ entry }) => entry).toReversed(),
      );

      const [named, ...others] = lines;
      const holder = await named?.save(store, { name: "the name" });
      const records = others.map((line, index) => {
        if (index === 0) return line.record({ epoch: 9 });
        if (index === 1) return line.record({ expectedSequence: 7 });
        if (index === 2) return line.record({ name: "the name" });
        if (index === 3) return line.record({ name: "the name", replaceName: true });
        return line.record();
      });
      const results = await thread.append(make.batch(records), null);
      expect(results?.slice(0, 4)).toEqual([
        { outcome: "fenced", epoch: 1 },
        { outcome: "conflict", head: expect.objectContaining({ sequence: 1 }) as unknown },
        { outcome: "exists", id: holder?.id },
        { outcome: "appended" },
      ]);
      for (const result of results?.slice(4) ?? []) expect(result).toEqual({ outcome: "appended" });
      expect(await store.findByName("etl", "the name")).toBe(records[3]?.entry.id);
      expect(await collect(store.check())).toEqual([]);
    });
  });

  test("P1: refuses what would not be in the file at the path any more", async () => {
    await withThread(async ({ path, thread, batch }) => {
      await rename(path, `${path}.old`);
      await expectCode("NOT_A_STORE", () => thread.append(batch(), null));
      await rename(`${path}.old`, path);
      expect(await thread.append(batch(), null)).toContainEqual({ outcome: "conflict", head: null });
    });
  });

  test("P4: refuses a retired data key by its name", async () => {
    await withThread(async ({ store, thread, make, lines }) => {
      const key = make.key("data");
      const sealed = (): AppendBatch =>
        make.batch(
          lines.map((line) => line.next()),
          { dataKey: key, suite: "A256GCM" },
        );
      await thread.append(sealed(), key.id);
      await store.retireKey(key.id);
      await expect(thread.append(sealed(), key.id)).rejects.toMatchObject({
        name: "MementoError",
        code: "KEY_RETIRED",
        details: { dataKey: key.id },
      });
    });
  });

  test("waits for another process's lock without stopping anybody here, and ends with LOCKED", async () => {
    await withThread(
      async ({ path, store, thread, batch }) => {
        const holder = spawn(process.execPath, [LOCKER, path], { timeout: 100_000, killSignal: "SIGKILL" });
        try {
          await once(holder.stdout, "data");
          let turns = 0;
          const turning = setInterval(() => (turns += 1), 1);
          await expectCode("LOCKED", () => thread.append(batch(), null));
          clearInterval(turning);
          expect(turns).toBeGreaterThan(10);
          expect(await collect(store.query(mementoQuery()))).toEqual([]);
        } finally {
          holder.kill("SIGKILL");
          await once(holder, "close");
        }
      },
      { lockTimeoutMs: 200 },
    );
  });

  test("is done without where its file is gone, or another store is there by now", async () => {
    await withThread(async ({ path, make, lines }) => {
      const larger = make.batch(lines.map((line) => line.record()));
      const others = [
        new AppendThread({ path: join(dirname(path), "nothing"), lockTimeoutMs: 1, store: "any" }, 2),
        new AppendThread({ path, lockTimeoutMs: 1, store: "another" }, 2),
      ];
      for (let time = 0; time < 40; time++) {
        for (const thread of others) expect(thread.takes(larger)).toBe(false);
        await sleep(10);
      }
      for (const thread of others) {
        await thread.close();
        expect(await thread.append(larger, null)).toBeNull();
      }
      expect(await readdir(dirname(path))).not.toContain("nothing");
    });
  });

  test("is not started any more once it was closed", async () => {
    await withThread(async ({ path, make, lines }) => {
      const larger = make.batch(lines.map((line) => line.record()));
      const thread = new AppendThread({ path, lockTimeoutMs: 1, store: "" }, 2);
      for (let time = 0; time < 7; time++) expect(thread.takes(larger)).toBe(false);
      await thread.close();
      for (let time = 0; time < 20; time++) expect(thread.takes(larger)).toBe(false);
    });
  });

  test.each([8, 40])("keeps no process from ending: %i batches, and never closed", async (batches) => {
    const folder = await mkdtemp(join(tmpdir(), "memento-unclosed-"));
    const program = fileURLToPath(new URL("../../../../../test/workers/sqlite-unclosed.ts", import.meta.url));
    const child = spawn(process.execPath, [program, join(folder, "store.db"), String(batches)], {
      timeout: START_MS_MAX,
      killSignal: "SIGKILL",
    });
    const [code, signal] = (await once(child, "close")) as [number | null, string | null];
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    await rm(folder, { recursive: true });
  });
});

describe("packs that the thread makes", () => {
  const rows = Buffer.from(JSON.stringify({ rows: 20 }));
  const CHECK_KEY = Buffer.alloc(32, 7);

  /** What a vault lays out for one more save of each timeline. */
  function unmade(lines: readonly TestTimeline[], dataKey: DataKey | null = null): UnmadeBatch {
    const records = lines.map((line) => line.next());
    const items = records.map(({ entry }): PackItem => {
      const base = { key: "output", encoding: "json", bytes: rows, contentBytes: rows.length } as const;
      const held = [{ ...base, digest: sha256(rows), base: null, section: null }];
      return { entry, parentDigest: null, base: null, layer: { id: entry.id, depth: 1, changes: new Map() }, held };
    });
    const laid = layOutPack(items, dataKey, { codec: "zstd" });
    if (laid === null) throw new Error("What is laid out is small");
    const parts: PackParts = { ...laid, checkKey: CHECK_KEY };
    return { records, dataKey: null, maker: "vault/pack-maker", parts };
  }

  test("P2: are read as others are, and the digests of their mementos come back", async () => {
    await withThread(async ({ store, thread, lines }) => {
      const batch = unmade(lines);
      const appended = await thread.appendUnmade(batch);
      expect(appended?.results).toEqual(lines.map(() => ({ outcome: "appended" })));
      const digests = appended?.answer as readonly string[];
      expect(digests).toHaveLength(lines.length);
      for (const [slot, { entry }] of batch.records.entries()) {
        const stored = await store.read(entry.id);
        const { header = new Uint8Array(), body = null } = stored ?? {};
        const opened = openPack({ header, body: body ?? new Uint8Array() }, null, "the pack");
        expect(opened.header.entries[slot]).toEqual(entry);
        expect(manifestOf(opened, slot)?.digest).toBe(digests[slot]);
        expect(opened.header.entries).toHaveLength(lines.length);
      }
      const checks = new RowChecks(CHECK_KEY);
      for (const { record, head } of await collect(store.timelines(null)))
        expect(head?.check).toBe(checks.head(record.key, head?.id ?? "", 1));
      expect(await collect(store.check())).toEqual([]);
    });
  });

  test("may be several at once: each is answered, in their order", async () => {
    await withThread(async ({ store, thread, make, lines }) => {
      const [half, other] = [lines.slice(0, 6), lines.slice(6)];
      const order: number[] = [];
      const told = async (index: number, appended: Promise<unknown>): Promise<unknown> => {
        const answer = await appended;
        order.push(index);
        return answer;
      };
      const unfit = { ...unmade(half), parts: "nothing" };
      for (const line of half) line.sequence = 0;
      const answers = await Promise.allSettled([
        told(0, thread.appendUnmade(unmade(half))),
        thread.appendUnmade(unfit),
        told(1, thread.append(make.batch(other.map((line) => line.next())), null)),
        told(2, thread.appendUnmade(unmade(lines))),
      ]);
      expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
      expect(order).toEqual([0, 1, 2]);
      const saved = (await collect(store.query(mementoQuery()))).map(({ entry }) => entry.sequence);
      expect(saved).toEqual([...Array<number>(12).fill(2), ...Array<number>(12).fill(1)]);
    });
  });

  test("P2: each record is answered as the store does: fenced, conflict, exists", async () => {
    await withThread(async ({ store, thread, lines }) => {
      const [named, ...others] = lines;
      const holder = await named?.save(store, { name: "the name" });
      const batch = unmade(others);
      const records = batch.records.map((record, slot) => {
        const { entry } = record;
        if (slot === 0) return { ...record, entry: { ...entry, epoch: 9 } };
        if (slot === 1) return { ...record, entry: { ...entry, name: "the name" } };
        return record;
      });
      const appended = await thread.appendUnmade({ ...batch, records });
      expect(appended?.results.slice(0, 3)).toEqual([
        { outcome: "fenced", epoch: 1 },
        { outcome: "exists", id: holder?.id },
        { outcome: "appended" },
      ]);
      // The same once more: each head has moved, or stays.
      const again = await thread.appendUnmade(batch);
      expect(again?.results.slice(0, 2)).toEqual([{ outcome: "appended" }, { outcome: "appended" }]);
      for (const result of again?.results.slice(2) ?? []) expect(result.outcome).toBe("conflict");
      expect(await collect(store.check())).toEqual([]);
    });
  });

  test("P4: are refused where they are not sealed and the store is, and where their key was retired", async () => {
    await withThread(
      async ({ store, thread, make, lines }) => {
        await expectCode("PLAINTEXT_REFUSED", () => thread.appendUnmade(unmade(lines)));
        expect(await collect(store.query(mementoQuery()))).toEqual([]);
        const record = make.key("data");
        const key: DataKey = { id: record.id, key: make.random.bytes(32) };
        for (const line of lines) line.sequence = 0;
        const first = await thread.appendUnmade({ ...unmade(lines, key), dataKey: record });
        expect(first?.results.every(({ outcome }) => outcome === "appended")).toBe(true);
        await store.retireKey(record.id);
        await expectCode("KEY_RETIRED", () => thread.appendUnmade(unmade(lines, key)));
      },
      { sealed: true },
    );
  });

  test("what cannot be made ends that batch alone; a thread that has ended makes none", async () => {
    await withThread(async ({ store, thread, lines }) => {
      const batch = unmade(lines);
      await expect(thread.appendUnmade({ ...batch, parts: "nothing" })).rejects.toThrow();
      await expect(thread.appendUnmade({ ...batch, maker: "vault/no-such-maker" })).rejects.toThrow();
      expect((await thread.appendUnmade(batch))?.results[0]).toEqual({ outcome: "appended" });
      await thread.close();
      expect(thread.isOpen).toBe(false);
      expect(await thread.appendUnmade(unmade(lines))).toBeNull();
      expect(store.apart.isOpen).toBe(false);
      expect(await store.apart.append(unmade(lines))).toBeNull();
      const [record, ...others] = unmade(lines).records;
      if (record === undefined) throw new TypeError("there are 12");
      const wrong = [{ ...record, expectedSequence: 99 }, ...others];
      await expectCode("INVALID_ARGUMENT", () => store.apart.append({ ...batch, records: wrong }));
    });
  });
});

describe("a SqliteStore that many save to at once", () => {
  test("keeps all that was acknowledged, by whichever way it came, and is one file when it is closed", async () => {
    await withThread(async ({ path, store, thread, batch, lines }) => {
      await thread.close();
      const expected: string[] = [];
      // The store's own thread takes over on the way; leases and notices go on beside it.
      for (let round = 0; round < 60; round++) {
        const { records, ...rest } = batch();
        const [results, requested] = await Promise.all([
          store.append({ ...rest, records }),
          store.requestOf(lines[round % lines.length]?.key ?? "", round % 2 === 0 ? "pause" : null),
          // Both want the log for themselves.
          round % 10 === 9 ? store.compact() : undefined,
          round % 10 === 4 ? store.dropKey("nobody's") : undefined,
        ]);
        expect(requested).toBeUndefined();
        for (const [slot, { outcome }] of results.entries()) {
          expect(outcome).toBe("appended");
          expected.push(records[slot]?.entry.id ?? "");
        }
      }
      const found = await collect(store.query(mementoQuery()));
      expect(found.map(({ entry }) => entry.id)).toEqual(expected.toReversed());
      expect(await collect(store.check())).toEqual([]);
      await store.close();
      await store.close();
      expect(await readdir(dirname(path))).toEqual(["store.db"]);
    });
  });

  test("finishes what is under way before it closes", async () => {
    const place = await sqlitePlace();
    const make = new StoreFixture(5);
    const store = await SqliteStore.open({ path: place.address });
    await store.create(make.meta(), make.key("integrity"));
    const lines: TestTimeline[] = [];
    for (let index = 0; index < 12; index++) lines.push(await make.timeline(store, { originator: `o${index}` }));
    for (let round = 0; round < 100; round++) await store.append(make.batch(lines.map((line) => line.next())));
    const last = store.append(make.batch(lines.map((line) => line.next())));
    const closing = store.close();
    const outcome = await last.then(
      (results) => results.every((result) => result.outcome === "appended"),
      (error: unknown) => error,
    );
    await closing;
    await using again = await SqliteStore.open({ path: place.address });
    const found = await collect(again.query(mementoQuery()));
    expect(found).toHaveLength(outcome === true ? 101 * 12 : 100 * 12);
    if (outcome !== true) expect(outcome).toMatchObject({ code: "STORE_CLOSED" });
    await again.close();
    await place.dispose();
  });
});
