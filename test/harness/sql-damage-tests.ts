/** What stores on SQL servers find, and mend, when somebody changes their tables; each driver declares these with its own server. */
import { describe, expect, test } from "vitest";

import type { MementoStore } from "../../packages/memento/src/store/store.ts";
import { allAnswers } from "../../packages/memento/src/testing/store/answers.ts";
import { fixtureAuthority } from "../../packages/memento/src/testing/store/authority.ts";
import type { StoreFixture } from "../../packages/memento/src/testing/store/fixture.ts";
import { collect } from "../../packages/memento/src/testing/store/kit.ts";
import { fillStore } from "../../packages/memento/src/testing/store/sample.ts";
import { makeStore, type SqlEngineUnderTest } from "./sql-store-tests.ts";

/** Writes a statement for the tables of one place. */
type Tampering = (table: (name: string) => string) => string;

/** A subquery on the table that is changed, as every engine takes it. */
const from = (query: string): string => `(SELECT x.v FROM (${query}) x)`;

/** What the log can say anew. */
const MENDABLE: readonly (readonly [string, Tampering])[] = [
  ["a memento's row that is gone", (t) => `DELETE FROM ${t("memento")} WHERE sequence = 2`],
  [
    "a last memento's row that is gone",
    (t) => `DELETE FROM ${t("memento")} WHERE commit_id = ${from(`SELECT max(commit_id) AS v FROM ${t("memento")}`)}`,
  ],
  ["all mementos' rows that are gone", (t) => `DELETE FROM ${t("memento")}`],
  ["a row with another nonce", (t) => `UPDATE ${t("memento")} SET nonce = 'aaaaaa' WHERE sequence = 2`],
  ["a row that points to another slot", (t) => `UPDATE ${t("memento")} SET slot = slot + 1 WHERE sequence = 2`],
  [
    "a removal that nobody announced",
    (t) => `UPDATE ${t("memento")} SET removed_by = 1 WHERE removed_by = 0 AND sequence = 2`,
  ],
  ["a removal that was undone", (t) => `UPDATE ${t("memento")} SET removed_by = 0`],
  [
    "a head that went back",
    (t) => `UPDATE ${t("timeline")} SET head_sequence = head_sequence - 1 WHERE head_sequence > 0`,
  ],
  ["a head that names another memento", (t) => `UPDATE ${t("timeline")} SET head_id = 'abcdefghjkmn-1-aaaaaa'`],
  [
    "a head that was forgotten",
    (t) => `UPDATE ${t("timeline")} SET head_sequence = 0, head_id = NULL, head_check = NULL`,
  ],
  ["a name that is gone", (t) => `DELETE FROM ${t("memento_name")} WHERE name = 'gold'`],
  ["a name that points elsewhere", (t) => `UPDATE ${t("memento_name")} SET memento = 'x'`],
  [
    "a name that nobody was given",
    (t) =>
      `INSERT INTO ${t("memento_name")} SELECT caretaker, 'new', memento FROM ${t("memento_name")} WHERE name = 'gold'`,
  ],
  ["a count of notices that is another one", (t) => `UPDATE ${t("store")} SET notices = notices - 1`],
];

/** What is lost, and has to be told. */
const LOST: readonly (readonly [string, Tampering])[] = [
  [
    "a pack that is gone",
    (t) => `DELETE FROM ${t("commit_log")} WHERE id = ${from(`SELECT max(commit_id) AS v FROM ${t("memento")}`)}`,
  ],
  ["a body that is gone", (t) => `UPDATE ${t("commit_log")} SET body = NULL WHERE notice IS NULL`],
  ["a body that was cut", (t) => `UPDATE ${t("commit_log")} SET body = substr(body, 1, 10) WHERE body IS NOT NULL`],
  ["a header that is none", (t) => `UPDATE ${t("commit_log")} SET header = substr(header, 1, 9) WHERE notice IS NULL`],
  ["a row that points to no commit", (t) => `UPDATE ${t("memento")} SET commit_id = 999 WHERE sequence = 2`],
  ["timelines that are gone", (t) => `DELETE FROM ${t("timeline")} WHERE caretaker = 'lab'`],
  ["a part of a body that belongs to nobody", (t) => `INSERT INTO ${t("body_part")} VALUES ('x', 0, 'abc')`],
];

/** Notices that are lost: another one that says so takes their place. */
const NOTICES: readonly (readonly [string, Tampering])[] = [
  [
    "a last notice that is gone",
    (t) => `DELETE FROM ${t("commit_log")} WHERE notice = ${from(`SELECT max(notice) AS v FROM ${t("commit_log")}`)}`,
  ],
  ["a notice in the middle that is gone", (t) => `DELETE FROM ${t("commit_log")} WHERE notice = 2`],
  ["all notices that are gone", (t) => `DELETE FROM ${t("commit_log")} WHERE notice IS NOT NULL`],
  [
    "a notice that cannot be read",
    (t) => `UPDATE ${t("commit_log")} SET header = substr(header, 1, 9) WHERE notice = 2`,
  ],
];

interface Tampered {
  readonly store: MementoStore;
  readonly make: StoreFixture;
  readonly before: unknown;
}

async function tampered(engine: SqlEngineUnderTest, tamper: Tampering): Promise<Tampered> {
  const { store, make, place } = await makeStore(engine);
  await fillStore(store, make);
  const before = await allAnswers(store);
  await engine.server().query(tamper((name) => engine.table(place, name)));
  return { store, make, before };
}

/** Damage of the tables that is found, mended where the log says what was there, and told where not. */
export function declareDamageTests(engine: SqlEngineUnderTest): void {
  describe("check()", () => {
    test.each([...MENDABLE, ...LOST, ...NOTICES])("finds %s", async (_, tamper) => {
      const { store } = await tampered(engine, tamper);
      await using _store = store;
      expect(await collect(store.check())).not.toEqual([]);
    });
  });

  describe("rebuildIndex()", () => {
    test.each(MENDABLE)("mends %s", async (_, tamper) => {
      const { store, make, before } = await tampered(engine, tamper);
      await using _store = store;
      const authority = fixtureAuthority(make);
      const planned = await store.rebuildIndex(authority, true);
      expect(planned.changes).not.toEqual([]);
      expect(await collect(store.check())).not.toEqual([]);
      expect(await store.rebuildIndex(authority, false)).toEqual(planned);
      expect(await store.rebuildIndex(authority, false)).toEqual({ changes: [], problems: [] });
      expect(await collect(store.check())).toEqual([]);
      expect(await allAnswers(store)).toEqual(before);
    });

    test.each(NOTICES)("puts another notice in the place of %s", async (_, tamper) => {
      const { store, make } = await tampered(engine, tamper);
      await using _store = store;
      const authority = fixtureAuthority(make);
      expect((await store.rebuildIndex(authority, false)).changes).not.toEqual([]);
      expect((await store.rebuildIndex(authority, false)).changes).toEqual([]);
      expect(await collect(store.check())).toEqual([]);
      await store.note(make.notice("restored"));
      await (await make.timeline(store)).save(store);
      expect(await collect(store.check())).toEqual([]);
    });
  });
}
