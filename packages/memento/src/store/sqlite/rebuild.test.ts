import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import type { Json } from "../../core/json.ts";
import { allAnswers } from "../../testing/store/answers.ts";
import { fixtureAuthority } from "../../testing/store/authority.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
import { mementoQuery } from "../query.ts";
import { SqliteStore } from "./store.ts";

interface Closed {
  readonly open: () => Promise<SqliteStore>;
  readonly make: StoreFixture;
  readonly tamper: (sql: string) => void;
  readonly before: Json;
}

/** Lends a closed store that holds a row of every kind, with all that it answers. */
async function withClosed(run: (closed: Closed) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "memento-rebuild-"));
  const path = join(folder, "store.db");
  const tamper = (sql: string): void => {
    const sqlite = process.getBuiltinModule("node:sqlite");
    const database = new sqlite.DatabaseSync(path);
    database.exec(sql);
    database.close();
  };
  try {
    const open = async (): Promise<SqliteStore> => await SqliteStore.open({ path });
    const make = new StoreFixture(1);
    const store = await open();
    await store.create(make.meta(), make.key("integrity"));
    await fillStore(store, make);
    const before = await allAnswers(store);
    await store.close();
    await run({ open, make, tamper, before });
  } finally {
    await rm(folder, { recursive: true });
  }
}

const LAST = "(SELECT max(commit_id) FROM memento)";

describe("rebuildIndex()", () => {
  const mendable: readonly (readonly [string, string])[] = [
    ["a memento's row is gone", "DELETE FROM memento WHERE sequence = 2"],
    ["a last memento's row is gone", `DELETE FROM memento WHERE commit_id = ${LAST}`],
    ["all rows are gone", "DELETE FROM memento"],
    ["a row has another nonce", "UPDATE memento SET nonce = 'aaaaaa' WHERE sequence = 2"],
    ["a row points to another slot", "UPDATE memento SET slot = slot + 1 WHERE sequence = 2"],
    ["a row points to another commit", "UPDATE memento SET commit_id = 1 WHERE sequence = 2"],
    ["a removal was undone", "UPDATE memento SET removal = 0"],
    [
      "a removal is by a commit that does not say so",
      "UPDATE memento SET removal = 2 WHERE removal = 0 AND sequence = 2",
    ],
    ["a head is gone", "DELETE FROM head WHERE timeline = 1"],
    ["the heads are gone", "DELETE FROM head"],
    ["a head went back", "UPDATE head SET sequence = sequence - 1 WHERE timeline = 1"],
    ["a head names another memento", "UPDATE head SET memento = 'aaaaaaaaaaaa-1-aaaaaa'"],
    ["a head was forgotten", "UPDATE head SET sequence = 0, memento = NULL, head_check = NULL WHERE timeline = 1"],
    ["names are gone", "DELETE FROM memento_name"],
    ["the last notice is said to be where no log goes", "UPDATE store SET last_notice = 1000000000000"],
    ["a name points elsewhere", "UPDATE memento_name SET memento = 'aaaaaaaaaaaa-1-aaaaaa'"],
    [
      "a name is nobody's",
      "INSERT INTO memento_name (caretaker, name, memento) VALUES ('etl', 'new', 'aaaaaaaaaaaa-1-aaaaaa')",
    ],
  ];

  test.each(mendable)("puts everything back when %s", async (_, sql) => {
    await withClosed(async ({ open, make, tamper, before }) => {
      tamper(sql);
      await using store = await open();
      const authority = fixtureAuthority(make);
      const dry = await store.rebuildIndex(authority, true);
      expect(dry.changes.length).toBeGreaterThan(0);
      expect(dry.problems).toEqual([]);
      expect((await collect(store.check())).length).toBeGreaterThan(0);
      expect(await store.rebuildIndex(authority, false)).toEqual(dry);
      expect(await collect(store.check())).toEqual([]);
      expect(await allAnswers(store)).toEqual(before);
      expect(await store.rebuildIndex(authority, false)).toEqual({ changes: [], problems: [] });
    });
  });

  test.each([
    ["a notice is gone", "DELETE FROM commit_log WHERE id = 1"],
    ["the last notice is gone", "DELETE FROM commit_log WHERE id >= (SELECT last_notice FROM store)"],
    ["a notice does not read", "UPDATE commit_log SET header = x'00' WHERE id = 1"],
  ])("says so in the log when %s", async (_, sql) => {
    await withClosed(async ({ open, make, tamper }) => {
      tamper(sql);
      // What stood behind the notice went with it; its rows do too.
      tamper("DELETE FROM memento WHERE commit_id NOT IN (SELECT id FROM commit_log)");
      await using store = await open();
      const { changes, problems } = await store.rebuildIndex(fixtureAuthority(make), false);
      expect(problems).toEqual([]);
      expect(changes.map(({ problem }) => problem).join()).toMatch(/takes its place/u);
      expect(await collect(store.check())).toEqual([]);
      const headers = (await collect(store.commits(null))).map(({ header }) => Buffer.from(header).toString());
      expect(headers.some((header) => header.includes('"kind":"repaired"'))).toBe(true);
    });
  });

  test("does not bring back what a lost notice has removed, wherever the log goes on (P7)", async () => {
    await withClosed(async ({ open, make, tamper }) => {
      const removing = "(SELECT max(removal) FROM memento)";
      tamper(`UPDATE commit_log SET id = id + 1000000000000 WHERE id > ${removing};
        DELETE FROM commit_log WHERE id = ${removing}`);
      await using store = await open();
      const removed = async (): Promise<number> => (await collect(store.query(mementoQuery({ removed: true })))).length;
      const before = await removed();
      await store.rebuildIndex(fixtureAuthority(make), false);
      expect(await removed()).toBe(before);
    });
  });

  test("finds a commit whose number was changed, and does not fill what lies between with notices", async () => {
    await withClosed(async ({ open, make, tamper }) => {
      tamper(`UPDATE commit_log SET id = 1000000000000 WHERE id = ${LAST}`);
      await using store = await open();
      const { changes, problems } = await store.rebuildIndex(fixtureAuthority(make), false);
      expect(problems.map(({ problem }) => problem).join()).toMatch(/number of commit 1000000000000 was changed/u);
      expect(changes).toEqual([]);
      expect((await collect(store.check())).map(({ problem }) => problem).join()).toMatch(/are missing from the log/u);
    });
  });

  test("leaves a row whose commit cannot be read, and says which of two a place belongs to cannot be told", async () => {
    await withClosed(async ({ open, make, tamper }) => {
      tamper("UPDATE commit_log SET header = x'7b' WHERE id = 2");
      await using store = await open();
      const { changes } = await store.rebuildIndex(fixtureAuthority(make), true);
      expect(changes.filter(({ problem }) => problem.startsWith("The row"))).toEqual([]);
    });
  });
});
