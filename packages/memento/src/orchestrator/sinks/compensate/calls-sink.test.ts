import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { describe, expect, test } from "vitest";

import { MementoError } from "../../../core/errors.ts";
import { systemClock } from "../../../core/ports.ts";
import type { Sink } from "../sink.ts";
import { compensatingCalls } from "./calls-sink.ts";
import type { CallsOptions } from "./options.ts";

type Options = Partial<CallsOptions<unknown>>;

const by = (token: string, epoch = 1): { epoch: number; token: string } => ({ epoch, token });
const gently = { force: false };

/** Lends sinks with one journal, and a list of what was called. */
async function withCalls(
  run: (open: (options?: Options) => Promise<Sink>, calls: string[], journal: string) => Promise<void>,
): Promise<void> {
  await using lent = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "memento-calls-"));
  lent.defer(() => rmSync(folder, { recursive: true }));
  const calls: string[] = [];
  await run(
    async (options = {}) => {
      const write = async ({ rows, key, repeated }: { rows: readonly unknown[]; key: string; repeated: boolean }) => {
        calls.push(`${repeated ? "again " : ""}${JSON.stringify(rows)} ${key.slice(0, 6)}`);
        return { made: calls.length };
      };
      const sink = compensatingCalls<unknown>({ name: "far", journal: join(folder, "calls.db"), write, ...options });
      lent.defer(async () => await sink.close());
      await sink.open({ timeline: "one", name: "out", clock: systemClock, signal: new AbortController().signal });
      return sink;
    },
    calls,
    join(folder, "calls.db"),
  );
}

const lost = async (): Promise<never> => {
  throw new Error("the answer was lost");
};

describe("compensatingCalls()", () => {
  test("cannot revert without compensate, and names what stays in ranges", async () => {
    await withCalls(async (open) => {
      const sink = await open();
      expect(sink.supports.revert).toBe("none");
      const first = await sink.write([1], by("one:0:load:1"));
      await sink.write([2, 3], by("one:0:load:2"));
      await sink.write([4], by("one:0:load:3"));
      await sink.write([5], by("one:1:load:4"));
      const stays = { total: 4, items: ["one:0:load:2..3 (3 rows)", "one:1:load:4 (1 row)"] };
      expect(await sink.inspect(first.mark)).toMatchObject({ remove: 0, stays });
      expect(await sink.revertTo(first.mark, by("back"), gently)).toMatchObject({ removed: 0, stays });
      expect(await sink.write([2, 3], by("one:0:load:2"))).toMatchObject({ duplicate: true });
    });
  });

  test("repeats a call whose answer was lost, with its key and the rows that it had", async () => {
    await withCalls(async (open, calls) => {
      const broken = await open({ write: lost });
      await expect(broken.write([{ a: 1 }], by("t1"))).rejects.toThrow("the answer was lost");
      await broken.close();
      const sink = await open();
      expect(await sink.mark()).not.toBeNull();
      await sink.write([{ a: 1 }], by("t1"));
      expect(calls).toHaveLength(1);
      expect(calls[0]).toMatch(/^again \[\{"a":1\}\]/u);
    });
  });

  test.each<[string, CallsOptions<unknown>["unanswered"] & {}, number]>([
    ["skip", "skip", 0],
    ["a function that found it made", async () => ({ made: true }), 0],
    ["a function that found nothing", async () => ({ made: false }), 1],
  ])("does about it what `unanswered` says: %s", async (_name, unanswered, count) => {
    await withCalls(async (open, calls) => {
      const broken = await open({ write: lost });
      await expect(broken.write([1], by("t1"))).rejects.toThrow();
      const sink = await open({ unanswered });
      await sink.write([1], by("t1"));
      expect(await sink.write([1], by("t1"))).toMatchObject({ duplicate: true });
      expect(calls).toHaveLength(count);
    });
  });

  test("refuses it with CALL_UNANSWERED, naming the key, where a person is to look", async () => {
    await withCalls(async (open, calls) => {
      const compensate = async (): Promise<void> => undefined;
      const broken = await open({ write: lost, compensate });
      await expect(broken.write([1], by("t1"))).rejects.toThrow();
      const sink = await open({ unanswered: "refuse", compensate });
      const refused = { code: "CALL_UNANSWERED", details: { token: "t1" } };
      await expect(sink.write([1], by("t1"))).rejects.toMatchObject(refused);
      await expect(sink.revertTo(null, by("back"), gently)).rejects.toMatchObject(refused);
      expect(calls).toEqual([]);
    });
  });

  test("learns what became of a lost call before it is taken back", async () => {
    await withCalls(async (open, calls) => {
      const broken = await open({ write: lost });
      await expect(broken.write([1], by("t1"))).rejects.toThrow();
      const answers: unknown[] = [];
      const sink = await open({ compensate: async ({ answer }) => void answers.push(answer) });
      expect(await sink.revertTo(null, by("back"), gently)).toMatchObject({ removed: 1 });
      expect([calls.length, answers]).toEqual([1, [{ made: 1 }]]);
    });
  });

  test("P10: what became of a lost call is not known to who is denied access: it is not given up for that", async () => {
    await withCalls(async (open, calls) => {
      const compensate = async (): Promise<void> => void calls.push("taken back");
      const denied = async (): Promise<never> => await Promise.reject(new MementoError("ACCESS_DENIED", "401"));
      const broken = await open({ write: lost });
      await expect(broken.write([1], by("t1"))).rejects.toThrow("the answer was lost");
      const outside = await open({ write: denied, compensate });
      await expect(outside.write([1], by("t1"))).rejects.toMatchObject({ code: "ACCESS_DENIED" });
      await expect(outside.revertTo(null, by("back"), gently)).rejects.toMatchObject({ code: "ACCESS_DENIED" });
      const sink = await open({ compensate });
      expect(await sink.revertTo(null, by("back"), gently)).toMatchObject({ removed: 1 });
      expect(calls).toEqual([expect.stringMatching(/^again \[1\]/u), "taken back"]);
    });
  });

  test("gives a revert that an earlier release did the mark that it has now", async () => {
    await withCalls(async (open, _calls, journal) => {
      const sink = await open({ compensate: async () => undefined });
      await sink.write([1], by("t1"));
      await sink.revertTo(null, by("back"), gently);
      await sink.close();
      const database = new DatabaseSync(journal);
      const sql = "UPDATE memento_calls_entries SET result = json_remove(result, '$.mark.token') WHERE kind = 'revert'";
      expect(database.prepare(sql).run().changes).toBe(1);
      database.close();
      const again = await open({ compensate: async () => undefined });
      expect((await again.revertTo(null, by("back"), gently)).mark).toEqual(await again.mark());
    });
  });

  test("names what the far end will not take back any more", async () => {
    await withCalls(async (open) => {
      const sink = await open({ compensate: async ({ rows }) => (rows.includes(2) ? "stays" : undefined) });
      await sink.write([1], by("one:0:load:1"));
      await sink.write([2], by("one:0:load:2"));
      const stays = { total: 1, items: ["one:0:load:2 (1 row)"] };
      expect(await sink.revertTo(null, by("back"), gently)).toMatchObject({ removed: 1, stays });
    });
  });

  test("goes on with a revert where it stopped, whoever began it, and under the same keys", async () => {
    await withCalls(async (open) => {
      const keys: string[] = [];
      let failing = true;
      const compensate = async ({ key, rows }: { key: string; rows: readonly unknown[] }): Promise<void> => {
        keys.push(`${JSON.stringify(rows)} ${key}`);
        if (failing && rows.includes(1)) throw new MementoError("STORE_UNREACHABLE", "gone");
      };
      const sink = await open({ compensate });
      await sink.write([1], by("t1"));
      await sink.write([2], by("t2"));
      await expect(sink.revertTo(null, by("back"), gently)).rejects.toMatchObject({ code: "STORE_UNREACHABLE" });
      expect(await sink.inspect(null)).toMatchObject({ remove: 0 });
      await sink.close();
      failing = false;
      const next = await open({ compensate });
      expect(await next.revertTo(null, by("back"), gently)).toMatchObject({ removed: 2 });
      expect(keys).toHaveLength(3);
      expect(keys[1]).toBe(keys[2]);
      expect(keys[0]).toContain("[2]");
    });
  });

  test("P10: calls what was taken back with another key, however late it comes again and whatever was trimmed meanwhile", async () => {
    await withCalls(async (open) => {
      const keys: string[] = [];
      const write = async ({ key }: { readonly key: string }): Promise<void> => void keys.push(key);
      const sink = await open({ write, compensate: async () => undefined });
      await sink.write([1], by("t1"));
      await sink.revertTo(null, by("back"), gently);
      for (let n = 0; n < 100; n++) await sink.write([n], by(`u${n}`));
      await sink.trim(await sink.mark());
      await sink.write([1], by("t1"));
      expect(new Set(keys).size).toBe(102);
    });
  });

  test("refuses rows that JSON would change, naming the path, before any call", async () => {
    await withCalls(async (open, calls) => {
      const sink = await open();
      const bad = sink.write([{ a: 1 }, { b: { c: [new Date(0)] } }], by("t1"));
      await expect(bad).rejects.toMatchObject({ code: "UNSUPPORTED_VALUE", details: { item: "rows[1].b.c[0]" } });
      await expect(sink.write([1n], by("t1"))).rejects.toMatchObject({ code: "UNSUPPORTED_VALUE" });
      expect([calls, await sink.mark()]).toEqual([[], null]);
    });
  });

  test("makes the rest of a batch whose last call was refused, and nothing twice", async () => {
    await withCalls(async (open, calls) => {
      let refuses = true;
      const write = async ({ rows }: { rows: readonly unknown[] }): Promise<void> => {
        if (refuses && rows.includes(3)) throw new MementoError("RECORD_INVALID", "no 3");
        calls.push(JSON.stringify(rows));
      };
      const sink = await open({ write, rowsPerCall: 1 });
      await expect(sink.write([1, 2, 3], by("t1"))).rejects.toMatchObject({ code: "RECORD_INVALID" });
      refuses = false;
      await sink.write([1, 2, 3], by("t1"));
      expect(calls).toEqual(["[1]", "[2]", "[3]"]);
    });
  });
});
