import { copyFile, readFile, writeFile } from "node:fs/promises";
import type { DatabaseSync } from "node:sqlite";

import { describe, expect, test } from "vitest";

import { sqlitePlace } from "../../../../../test/workers/sqlite-place.ts";
import { allAnswers } from "../../testing/store/answers.ts";
import { fixtureAuthority } from "../../testing/store/authority.ts";
import { expectAppended, StoreFixture, type TestTimeline } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
import { mementoQuery } from "../query.ts";
import { atOneMoment, transact } from "./database.ts";
import { migrate, schemaVersion } from "./schema.ts";
import { MANY_RECORDS } from "./sort-in.ts";
import { prepareStatements } from "./statements.ts";
import { SqliteStore } from "./store.ts";

const LINES = 12;

interface Lent {
  readonly path: string;
  readonly store: SqliteStore;
  readonly make: StoreFixture;
  readonly lines: readonly TestTimeline[];
  /** Appends one more memento of each timeline, all in one commit; gives their ids. */
  readonly saveAll: () => Promise<readonly string[]>;
}

/** Lends an open store with some timelines. */
async function withStore(run: (lent: Lent) => Promise<void>): Promise<void> {
  const place = await sqlitePlace();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => place.dispose());
  const store = stack.use(await SqliteStore.open({ path: place.address }));
  const make = new StoreFixture(23);
  await store.create(make.meta(), make.key("integrity"));
  const lines: TestTimeline[] = [];
  for (let index = 0; index < LINES; index++) lines.push(await make.timeline(store, { originator: `o${index}` }));
  const saveAll = async (): Promise<readonly string[]> => {
    const records = lines.map((line) => line.next());
    expectAppended(await store.append(make.batch(records)));
    return records.map(({ entry }) => entry.id);
  };
  await run({ path: place.address, store, make, lines, saveAll });
}

function withDatabase<T>(path: string, work: (database: DatabaseSync) => T): T {
  const sqlite = process.getBuiltinModule("node:sqlite");
  const database = new sqlite.DatabaseSync(path);
  try {
    return work(database);
  } finally {
    database.close();
  }
}

const rows = (path: string, table: "memento" | "recent_memento"): number =>
  withDatabase(path, (database) => Number(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]));

const tamper = (path: string, sql: string): void => withDatabase(path, (database) => database.exec(sql));

/** What another process finds after this one was killed: the files as they are while the store is open. */
async function leftBehind(path: string): Promise<string> {
  const copy = `${path}.left`;
  for (const end of ["", "-wal"]) await copyFile(`${path}${end}`, `${copy}${end}`);
  return copy;
}

describe("rows that are not sorted in yet", () => {
  test("answer as they do afterwards, for whoever asks, and are sorted in by a close", async () => {
    await withStore(async ({ path, store, lines, saveAll }) => {
      for (let save = 0; save < 3; save++) await saveAll();
      for (const line of lines.slice(0, 3)) await line.save(store, { name: `name of ${line.key}` });
      await saveAll();
      expect([rows(path, "memento"), rows(path, "recent_memento")]).toEqual([3, 4 * LINES]);
      const answers = await allAnswers(store);
      {
        await using other = await SqliteStore.open({ path });
        expect(await allAnswers(other)).toEqual(answers);
        expect(await collect(other.check())).toEqual([]);
      }
      // Who only read has nothing to sort in.
      expect(rows(path, "recent_memento")).toBe(4 * LINES);
      await store.close();
      expect([rows(path, "memento"), rows(path, "recent_memento")]).toEqual([3 + 4 * LINES, 0]);
      await using again = await SqliteStore.open({ path });
      expect(await allAnswers(again)).toEqual(answers);
      expect(await collect(again.check())).toEqual([]);
    });
  });

  test("are never many, however long a store stays open", async () => {
    await withStore(async ({ path, store, saveAll }) => {
      const counts: number[] = [];
      for (let save = 0; save < 180; save++) {
        await saveAll();
        counts.push(rows(path, "recent_memento"));
      }
      expect(Math.max(...counts)).toBeGreaterThan(500);
      // They are sorted in behind the answer.
      expect(Math.max(...counts)).toBeLessThan(1_024 + 2 * LINES);
      expect(rows(path, "memento")).toBeGreaterThan(1_024);
      expect((await collect(store.query(mementoQuery({ limit: 5_000 })))).length).toBe(180 * LINES);
      expect(await collect(store.check())).toEqual([]);
    });
  });

  test("P1: of a killed process are all there, and the next one goes on behind them", async () => {
    await withStore(async ({ path, store, make, lines, saveAll }) => {
      await saveAll();
      const answers = await allAnswers(store);
      const left = await leftBehind(path);
      await using next = await SqliteStore.open({ path: left });
      expect(await allAnswers(next)).toEqual(answers);
      expect(await collect(next.check())).toEqual([]);
      expect(await next.rebuildIndex(fixtureAuthority(make), false)).toEqual({ changes: [], problems: [] });
      for (const line of lines) await line.save(next);
      expectAppended(await next.append(make.batch(lines.map((line) => line.next()))));
      expect(await collect(next.check())).toEqual([]);
      expect((await collect(next.query(mementoQuery({ timeline: lines[0]?.key ?? "" })))).length).toBe(3);
    });
  });

  test("P7: can be removed, and stay removed", async () => {
    await withStore(async ({ path, store, make, saveAll }) => {
      const [first = "", ...others] = await saveAll();
      expect(await store.remove([first], make.notice("removed", { mementos: [first] }))).toEqual([first]);
      expect((await store.read(first))?.removed).toBe(true);
      expect(await store.reclaim([first])).toMatchObject({ packs: 0 });
      expect(await store.remove(others, make.notice("removed", { mementos: others }))).toEqual(others);
      expect(await store.reclaim(others)).toMatchObject({ packs: 1 });
      expect(rows(path, "recent_memento")).toBe(0);
      expect(await collect(store.check())).toEqual([]);
    });
  });

  test.each([
    ["are gone", "DELETE FROM recent_memento"],
    ["lack one", "DELETE FROM recent_memento WHERE ordinal = 5"],
    ["have another nonce", "UPDATE recent_memento SET nonce = 'aaaaaa' WHERE ordinal = 5"],
    ["point to another slot", "UPDATE recent_memento SET slot = slot + 1 WHERE ordinal = 5"],
    ["point to another commit", "UPDATE recent_memento SET commit_id = 999 WHERE ordinal = 5"],
    ["have another number", "UPDATE recent_memento SET sequence = 7 WHERE ordinal = 5"],
  ])("P3: that %s are found", async (what, sql) => {
    await withStore(async ({ path, make, store, saveAll }) => {
      for (let save = 0; save < 2; save++) await saveAll();
      const answers = await allAnswers(store);
      const left = await leftBehind(path);
      tamper(left, sql);
      await using next = await SqliteStore.open({ path: left });
      expect(await collect(next.check())).not.toEqual([]);
      const { problems } = await next.rebuildIndex(fixtureAuthority(make), false);
      // A row that no commit claims is left where it is, and said.
      expect(problems.length).toBe(what === "have another number" ? 1 : 0);
      if (problems.length > 0) return;
      expect(await collect(next.check())).toEqual([]);
      expect(await allAnswers(next)).toEqual(answers);
    });
  });

  test("of which one has the place of another memento keep nobody from saving", async () => {
    await withStore(async ({ path, store, make, lines, saveAll }) => {
      const [line] = lines;
      await line?.save(store);
      await saveAll();
      tamper(path, `UPDATE recent_memento SET sequence = 1 WHERE timeline = '${line?.key}'`);
      for (let save = 0; save < 100; save++) await saveAll();
      expect(rows(path, "memento")).toBeGreaterThan(1_000);
      expect((await collect(store.check())).map(({ problem }) => problem)).toEqual([
        "1213 mementos have rows, and 1212 of them stand in the log",
      ]);
      const { changes, problems } = await store.rebuildIndex(fixtureAuthority(make), false);
      expect([changes.length, problems]).toEqual([2, []]);
      expect(await collect(store.check())).toEqual([]);
    });
  });
});

describe("a place that is taken, for a head that went back", () => {
  const BACK = "UPDATE head SET sequence = 1, memento = NULL, head_check = NULL";

  test.each([
    ["sorted in", "by many saves at once", true, true],
    ["sorted in", "by one save", true, false],
    ["not sorted in yet", "by one save", false, false],
  ])("P1: whose row is %s is given to nobody else %s", async (_where, _how, isSorted, many) => {
    await withStore(async ({ path, store, make, lines, saveAll }) => {
      await saveAll();
      const acknowledged = await saveAll();
      await store.close();
      const next = await SqliteStore.open({ path });
      await using stack = new AsyncDisposableStack();
      stack.defer(async () => await next.close());
      // A close has sorted all in; what is put back stands as it was before that.
      if (!isSorted)
        tamper(
          path,
          `INSERT INTO recent_memento (timeline, sequence, nonce, commit_id, slot)
            SELECT timeline, sequence, nonce, commit_id, slot FROM memento WHERE sequence = 2;
            DELETE FROM memento WHERE sequence = 2`,
        );
      tamper(path, BACK);
      const again = lines.map((line) => line.record({ expectedSequence: 1 }));
      const records = many ? again : again.slice(0, 1);
      await expectCode("DAMAGED", async () => await next.append(make.batch(records)));
      for (const id of acknowledged) expect((await next.read(id))?.removed).toBe(false);
    });
  });

  test("P3: where the log says that two have it, both stay and are named", async () => {
    await withStore(async ({ path, store, make, lines, saveAll }) => {
      const first = await saveAll();
      tamper(path, "UPDATE head SET sequence = 0, memento = NULL, head_check = NULL");
      const records = lines.map((line) => line.record({ expectedSequence: 0 }));
      expectAppended(await store.append(make.batch(records)));
      expect(await collect(store.check())).not.toEqual([]);
      const { problems } = await store.rebuildIndex(fixtureAuthority(make), false);
      for (const [slot, { entry }] of records.entries())
        expect(problems.filter(({ mementos }) => mementos.includes(entry.id))).toMatchObject([
          { mementos: [first[slot], entry.id] },
        ]);
      expect(rows(path, "recent_memento")).toBe(LINES);
    });
  });

  test("P3: two rows of one place are mended at once where the log says which is right", async () => {
    await withStore(async ({ path, store, make, lines, saveAll }) => {
      const [line] = lines;
      await line?.save(store);
      await saveAll();
      const answers = await allAnswers(store);
      const left = await leftBehind(path);
      // The row of the first one takes the place of the second, which is not sorted in yet.
      tamper(left, `UPDATE memento SET sequence = 2 WHERE timeline = '${line?.key}'`);
      await using next = await SqliteStore.open({ path: left });
      const dry = await next.rebuildIndex(fixtureAuthority(make), true);
      expect(await next.rebuildIndex(fixtureAuthority(make), false)).toEqual(dry);
      expect(dry.problems).toEqual([]);
      expect(await collect(next.check())).toEqual([]);
      expect(await allAnswers(next)).toEqual(answers);
    });
  });
});

describe("a page of the sorted rows that cannot be read", () => {
  test("P3: keeps nobody from saving or removing whose rows are elsewhere", async () => {
    await withStore(async ({ path, store, make }) => {
      const lines: TestTimeline[] = [];
      for (let index = 0; index < 96; index++) lines.push(await make.timeline(store, { originator: `p${index}` }));
      lines.sort((a, b) => (a.key < b.key ? -1 : 1));
      const saveBy = async (into: SqliteStore, those: readonly TestTimeline[]): Promise<void> =>
        expectAppended(await into.append(make.batch(those.map((line) => line.next()))));
      for (let save = 0; save < 6; save++) await saveBy(store, lines);
      await store.close();
      await using again = await SqliteStore.open({ path });
      await saveBy(again, lines);
      const left = await leftBehind(path);
      await breakPageOf(left, lines[0]?.key ?? "");
      const next = await SqliteStore.open({ path: left });
      const others = lines.slice(48);
      for (let save = 0; save < 40; save++) await saveBy(next, others);
      const removed = others[5]?.parent ?? "";
      expect(await next.remove([removed], make.notice("removed", { mementos: [removed] }))).toEqual([removed]);
      expect((await next.read(removed))?.removed).toBe(true);
      await expectCode("DAMAGED", async () => await saveBy(next, lines.slice(0, 8)));
      await next.close();
    });
  });
});

/** Overwrites the page that has the first rows of a timeline in the index. */
async function breakPageOf(path: string, timeline: string): Promise<void> {
  const bytes = await readFile(path);
  const pageBytes = bytes.readUInt16BE(16);
  const counts = new Map<number, number>();
  for (let at = bytes.indexOf(timeline); at >= 0; at = bytes.indexOf(timeline, at + 1)) {
    const page = Math.floor(at / pageBytes);
    // A leaf of a table that is its own index.
    if (bytes[page * pageBytes] === 0x0a) counts.set(page, (counts.get(page) ?? 0) + 1);
  }
  const [page] = [...counts].toSorted(([, a], [, b]) => b - a)[0] ?? [];
  if (page === undefined) throw new Error("The timeline is on no page of the index");
  await writeFile(path, bytes.fill(0x55, page * pageBytes, (page + 1) * pageBytes));
}

describe("statements", () => {
  test("that answer for one memento, or page by page, read no table of the store whole", async () => {
    await withStore(async ({ path }) => {
      withDatabase(path, (database) => {
        const sql: string[] = [];
        prepareStatements({ prepare: (text: string) => sql.push(text) } as unknown as DatabaseSync);
        const whole = sql.filter((text) => {
          if (!/^(?:SELECT|UPDATE|DELETE|INSERT)/u.test(text)) return false;
          const plan = database.prepare(`EXPLAIN QUERY PLAN ${text}`).all();
          return plan.some(({ detail }) =>
            /^SCAN (?:memento|timeline|commit_log|head)\b(?!.* USING)/u.test(String(detail)),
          );
        });
        // Of one commit's mementos, and of all timelines at once: both for checks and repairs.
        expect(whole.map((text) => /FROM place WHERE commit_id|FULL JOIN/u.exec(text)?.[0] ?? text)).toEqual([
          "FROM place WHERE commit_id",
          "FULL JOIN",
        ]);
      });
    });
  });
});

describe("a store of the first schema", () => {
  /** Takes back what the second schema changed. */
  const FIRST_SCHEMA = `DROP VIEW place; DROP TABLE recent_memento; ALTER TABLE memento RENAME COLUMN removal TO removed_by;
    ALTER TABLE timeline ADD COLUMN head_sequence INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE timeline ADD COLUMN head_id TEXT;
    ALTER TABLE timeline ADD COLUMN head_check TEXT;
    UPDATE timeline SET (head_sequence, head_id, head_check) =
      (SELECT sequence, memento, head_check FROM head WHERE head.timeline = timeline.ordinal);
    DROP TABLE head; PRAGMA user_version = 1`;

  test("is brought to the second by whoever opens it first, and answers as before", async () => {
    await withStore(async ({ path, store, make, lines, saveAll }) => {
      await fillStore(store, make);
      await saveAll();
      const answers = await allAnswers(store);
      await store.close();
      tamper(path, FIRST_SCHEMA);
      const opened = await Promise.all(
        Array.from({ length: MANY_RECORDS }, async () => await SqliteStore.open({ path })),
      );
      const [next] = opened;
      expect(next && (await allAnswers(next))).toEqual(answers);
      expect(next && (await collect(next.check()))).toEqual([]);
      for (const [at, line] of lines.entries()) await line.save(opened[at % opened.length] ?? store);
      for (const each of opened) await each.close();
      expect(withDatabase(path, (database) => database.prepare("PRAGMA user_version").get())).toEqual({
        user_version: 2,
      });
      await using again = await SqliteStore.open({ path });
      expect(await collect(again.check())).toEqual([]);
    });
  });

  test("is looked at as it is at one moment, whatever another process makes of it meanwhile", async () => {
    await withStore(async ({ path, store }) => {
      await store.close();
      tamper(path, FIRST_SCHEMA);
      withDatabase(path, (database) => {
        const meanwhile = (sql: string) => {
          if (sql.startsWith("SELECT name FROM sqlite_schema"))
            withDatabase(path, (other) => transact(other, () => migrate(other, path)));
          return database.prepare(sql);
        };
        const looked = { prepare: meanwhile } as unknown as DatabaseSync;
        expect(atOneMoment(database, () => schemaVersion(looked, path))).toBe(1);
        expect(schemaVersion(database, path)).toBe(2);
      });
    });
  });

  test("answers nothing wrong to who had it open before, but an error", async () => {
    await withStore(async ({ path, store, saveAll }) => {
      await saveAll();
      await store.close();
      tamper(path, FIRST_SCHEMA);
      const sqlite = process.getBuiltinModule("node:sqlite");
      using before = new sqlite.DatabaseSync(path);
      const slot = before.prepare("SELECT nonce, removed_by FROM memento WHERE sequence = ?");
      expect(slot.all(1).length).toBe(LINES);
      await (await SqliteStore.open({ path })).close();
      expect(() => slot.all(1)).toThrow(/no such column/u);
    });
  });

  test("that cannot be brought to the second is left as it was, and the way out is named", async () => {
    await withStore(async ({ path, store, saveAll }) => {
      await saveAll();
      await store.close();
      tamper(path, FIRST_SCHEMA);
      tamper(path, "CREATE VIEW place AS SELECT 1");
      await expect(SqliteStore.open({ path })).rejects.toMatchObject({
        code: "DAMAGED",
        message: expect.stringContaining("is as it was") as unknown,
        hint: expect.stringContaining("The release that it was used with still opens it") as unknown,
      });
      expect(withDatabase(path, (database) => schemaVersion(database, path))).toBe(1);
    });
  });
});
