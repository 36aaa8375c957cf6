import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { extent } from "../../../../../test/harness/extent.ts";
import { cutEveryByte, flipEveryByte } from "../../testing/store/damage.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
import { SqliteStore } from "./store.ts";

interface ClosedStore {
  readonly folder: string;
  readonly path: string;
  readonly open: () => Promise<SqliteStore>;
  /** Runs SQL on the file behind the store's back. */
  readonly tamper: (sql: string) => void;
}

/** Lends a closed store that holds a row of every kind. */
async function withClosed(run: (closed: ClosedStore) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "memento-damage-"));
  const path = join(folder, "store.db");
  const tamper = (sql: string): void => {
    const sqlite = process.getBuiltinModule("node:sqlite");
    const database = new sqlite.DatabaseSync(path);
    database.exec(sql);
    database.close();
  };
  try {
    const open = async (): Promise<SqliteStore> => await SqliteStore.open({ path });
    const store = await open();
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    await fillStore(store, make);
    await store.close();
    await run({ folder, path, open, tamper });
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("a damaged database", () => {
  test("a closed store is one file", async () => {
    await withClosed(async ({ folder }) => {
      expect(await readdir(folder)).toEqual(["store.db"]);
    });
  });

  test("every flipped byte is found, or changes no answer", { timeout: 900_000 }, async () => {
    await withClosed(async ({ folder, path, open, tamper }) => {
      // Small pages leave little unused space, so that the file is short and nearly all of it counts.
      tamper("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM; PRAGMA journal_mode = WAL");
      const every = extent({ plain: 13, all: 1 });
      const { tried, found } = await flipEveryByte({ folder, open, every });
      expect(tried).toBe(Math.ceil((await stat(path)).size / every));
      expect(found / tried).toBeGreaterThan(0.5);
    });
  });

  test("flipped bytes of a file as it was written are found, or change no answer", { timeout: 900_000 }, async () => {
    await withClosed(async ({ folder, open }) => {
      for (const mask of [0xff, 0x01]) {
        const { found } = await flipEveryByte({ folder, open, every: 61, mask });
        expect(found).toBeGreaterThan(0);
      }
    });
  });

  test("every cut is found", { timeout: 900_000 }, async () => {
    await withClosed(async ({ folder, open }) => {
      // A file of no bytes at all is a place without a store, and refused as such.
      const { tried, found } = await cutEveryByte({ folder, open, every: 113, found: ["NOT_A_STORE"] });
      expect(found).toBe(tried);
    });
  });
});

describe("check()", () => {
  const changes: readonly (readonly [string, string])[] = [
    ["a commit that is gone", "DELETE FROM commit_log WHERE id = 3"],
    ["a last commit that is gone", "DELETE FROM commit_log WHERE id = (SELECT max(id) FROM commit_log)"],
    ["a last notice that is gone", "DELETE FROM commit_log WHERE id >= (SELECT last_notice FROM store)"],
    ["a memento's row that is gone", "DELETE FROM memento WHERE sequence = 2"],
    ["a last memento's row that is gone", "DELETE FROM memento WHERE commit_id = (SELECT max(commit_id) FROM memento)"],
    ["a row with another nonce", "UPDATE memento SET nonce = 'aaaaaa' WHERE sequence = 2"],
    ["a row that points to another slot", "UPDATE memento SET slot = slot + 1 WHERE sequence = 2"],
    ["a row that points to no commit", "UPDATE memento SET commit_id = 999 WHERE sequence = 2"],
    ["a removal that nobody announced", "UPDATE memento SET removal = 1 WHERE removal = 0 AND sequence = 2"],
    [
      "a removal by a notice of others",
      "UPDATE memento SET removal = (SELECT max(removal) FROM memento) WHERE removal = 0",
    ],
    ["a removal that was undone", "UPDATE memento SET removal = 0"],
    ["a timeline that is gone", "DELETE FROM timeline WHERE ordinal = 1"],
    ["a head that is gone", "DELETE FROM head WHERE timeline = 1"],
    ["a head that went back", "UPDATE head SET sequence = sequence - 1 WHERE timeline = 1"],
    ["a head that names another memento", "UPDATE head SET memento = 'aaaaaaaaaaaa-1-aaaaaa'"],
    ["a head that was forgotten", "UPDATE head SET sequence = 0, memento = NULL, head_check = NULL WHERE timeline = 1"],
    ["a name that is gone", "DELETE FROM memento_name WHERE name = 'gold'"],
    ["a name that points elsewhere", "UPDATE memento_name SET memento = 'x'"],
    ["a name that nobody was given", "INSERT INTO memento_name SELECT caretaker, 'new', memento FROM memento_name"],
    ["a body that is gone", "UPDATE commit_log SET body = NULL WHERE id = 3"],
    ["a body that was cut", "UPDATE commit_log SET body = substr(body, 1, 10) WHERE id = 3"],
    ["a notice that became a pack's body", "UPDATE commit_log SET body = x'00' WHERE removals IS NOT NULL"],
    ["a header that is no JSON", "UPDATE commit_log SET header = x'00' WHERE id = 2"],
    ["a request that cannot be", "PRAGMA ignore_check_constraints = 1; UPDATE timeline SET request = 'run'"],
  ];

  test.each(changes)("finds %s", async (_, sql) => {
    await withClosed(async ({ open, tamper }) => {
      tamper(sql);
      await using store = await open();
      expect(await collect(store.check())).not.toEqual([]);
    });
  });

  test("names the mementos and the timeline that it found something of", async () => {
    await withClosed(async ({ open, tamper }) => {
      tamper("UPDATE commit_log SET body = NULL WHERE id = (SELECT max(commit_id) FROM memento)");
      await using store = await open();
      const [first] = await collect(store.check());
      const [timeline] = await collect(store.timelines("etl"));
      expect(first?.mementos).toEqual([timeline?.head?.id]);
      tamper("UPDATE head SET memento = NULL WHERE timeline IN (SELECT ordinal FROM timeline WHERE caretaker = 'lab')");
    });
  });
});

describe.skipIf(process.platform !== "linux")("check() of a database that cannot be read", () => {
  test("leaves no file open", async () => {
    await withClosed(async ({ path, open }) => {
      await using store = await open();
      expect(await store.meta()).not.toBeNull();
      const openFiles = async (): Promise<number> => (await readdir("/proc/self/fd")).length;
      const [page, pageBytes] = placeOf(path, "store");
      const file = await readFile(path);
      file.fill(0xff, (page - 1) * pageBytes, page * pageBytes);
      await writeFile(path, file);
      const look = async (): Promise<void> => await expectCode("DAMAGED", async () => await collect(store.check()));
      await look();
      const before = await openFiles();
      for (let again = 0; again < 5; again++) await look();
      expect(await openFiles()).toBe(before);
    });
  });
});

/** The first page of a table, and how large pages are. */
function placeOf(path: string, table: string): readonly [page: number, pageBytes: number] {
  const sqlite = process.getBuiltinModule("node:sqlite");
  const database = new sqlite.DatabaseSync(path, { readOnly: true });
  const page = database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = ?").get(table)?.["rootpage"];
  const size = database.prepare("PRAGMA page_size").get()?.["page_size"];
  database.close();
  return [Number(page), Number(size)];
}

describe("open()", () => {
  test("refuses a file that is no database, and another program's, with NOT_A_STORE", async () => {
    await withClosed(async ({ path, open, tamper }) => {
      await writeFile(path, "name,age\nada,36\n".repeat(20));
      await expectCode("NOT_A_STORE", open);
      await writeFile(path, "short");
      await expectCode("NOT_A_STORE", open);
      await rm(path);
      tamper("CREATE TABLE flights (id INTEGER PRIMARY KEY)");
      const before = await readFile(path);
      await expectCode("NOT_A_STORE", open);
      expect(await readFile(path)).toEqual(before);
    });
  });

  test("refuses a newer schema with FORMAT_UNKNOWN", async () => {
    await withClosed(async ({ open, tamper }) => {
      tamper("PRAGMA user_version = 3");
      await expectCode("FORMAT_UNKNOWN", open);
    });
  });

  test("tells a store whose mark, version or tables were changed from a stranger", async () => {
    for (const sql of [
      "PRAGMA application_id = 7",
      "PRAGMA user_version = 0",
      "PRAGMA user_version = 1",
      "DROP VIEW place; DROP TABLE recent_memento",
      "DROP TABLE memento",
      "DROP INDEX IF EXISTS x; DROP TABLE caretaker",
    ]) {
      await withClosed(async ({ open, tamper }) => {
        tamper(sql);
        await expectCode("DAMAGED", open);
      });
    }
  });

  test("refuses a folder that is not there with IO_FAILED, and makes no file by itself", async () => {
    await withClosed(async ({ folder }) => {
      await expectCode("IO_FAILED", () => SqliteStore.open({ path: join(folder, "none", "store.db") }));
      await expectCode("IO_FAILED", () => SqliteStore.open({ path: folder }));
      await expectCode("IO_FAILED", () => SqliteStore.open({ path: join(folder, "store.db", "below") }));
      await using store = await SqliteStore.open({ path: join(folder, "new.db") });
      expect(await store.meta()).toBeNull();
      expect(await readdir(folder)).toEqual(["store.db"]);
    });
  });
});
