import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-verify-")));
  expect((await memento(folder, ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db"])).exitCode).toBe(0);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("memento verify", () => {
  test("says what was read of a sound store", async () => {
    const { stdout, exitCode } = await memento(folder, ["verify"]);
    expect(stdout).toMatch(
      /^Sound: every byte of sqlite:\S+ was read and checked \(8 mementos, [\d.]+ kB, in .*\)\.\n$/u,
    );
    expect(exitCode).toBe(0);
    expect(JSON.parse((await memento(folder, ["verify", "--json"])).stdout)).toMatchObject({
      sound: true,
      mementos: 8,
      damages: [],
    });
  });

  test("ends 3 for one changed byte, and names the memento and the nearest good one", async () => {
    flipLastByte(path.join(folder, ".memento", "store.db"));
    const { stdout, exitCode } = await memento(folder, ["verify"]);
    expect(stdout).toMatch(/^Damaged: 1 damage found in sqlite:/u);
    expect(stdout).toMatch(/^ {2}\w+-8-\w+ {2}nearest good: \w+-7-\w+$/mu);
    expect(exitCode).toBe(3);
    expect(stdout).toMatch(/^ {4}lost: all that its own record holds$/mu);
    const json = await memento(folder, ["verify", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ sound: false });
    expect(json.exitCode).toBe(3);
  });

  test("says what it did not read when it reads less", async () => {
    const quick = await memento(folder, ["verify", "--quick"]);
    expect(quick.stdout).toMatch(/^Sound: the index, .*\nNot read: no body was opened/u);
    const sample = await memento(folder, ["verify", "--sample", "25%", "--seed", "seven"]);
    expect(sample.stdout).toMatch(/\(2 mementos.*\nNot read: 6 of 8 live mementos were not opened.*\nSeed: seven/u);
    expect(JSON.parse((await memento(folder, ["verify", "--sample", "3", "--json"])).stdout)).toMatchObject({
      depth: "sample",
      mementos: 3,
      total: 8,
      notRead: expect.stringContaining("5 of 8") as string,
    });
  });

  test("judges one memento by itself, and refuses two ways at once", async () => {
    flipLastByte(path.join(folder, ".memento", "store.db"));
    const ids = JSON.parse((await memento(folder, ["ls", "--json"])).stdout) as { mementos: { id: string }[] };
    const [newest, before] = ids.mementos.map(({ id }) => id);
    expect((await memento(folder, ["verify", newest ?? ""])).exitCode).toBe(3);
    expect((await memento(folder, ["verify", before ?? ""])).exitCode).toBe(0);
    expect((await memento(folder, ["verify", before ?? "", "--quick"])).exitCode).toBe(2);
    expect((await memento(folder, ["verify", "--sample", "0%"])).exitCode).toBe(2);
  });

  test("takes the same targets as other commands", async () => {
    const newest = await memento(folder, ["verify", "head~1", "--json"]);
    expect(JSON.parse(newest.stdout)).toMatchObject({ sound: true, depth: "memento" });
    flipLastByte(path.join(folder, ".memento", "store.db"));
    expect((await memento(folder, ["verify", "head", "--timeline", "numbers"])).exitCode).toBe(3);
    expect((await memento(folder, ["verify", "nope"])).stderr).toContain("code: NOT_FOUND");
    expect((await memento(folder, ["verify", "--timeline", "numbers"])).exitCode).toBe(2);
  });

  test("takes its state from a file and removes it when it is done", async () => {
    expect((await memento(folder, ["verify", "--state", "where.json"])).exitCode).toBe(0);
    expect(existsSync(path.join(folder, "where.json"))).toBe(false);
    writeFileSync(path.join(folder, "where.json"), "no state");
    const { stderr, exitCode } = await memento(folder, ["verify", "--state", "where.json"]);
    expect(stderr).toContain("does not say how far a verification is");
    expect(exitCode).toBe(2);
  });

  test("refuses a state file that is none, of another store, or in no folder, before it says anything else", async () => {
    const foreign = { version: 1, store: "another", cursor: "1", mementos: 3, bytes: 9, judged: {}, findings: [] };
    for (const [state, why] of [
      ["{}", "does not say how far a verification is"],
      ["null", "does not say how far a verification is"],
      [JSON.stringify(foreign), "is of the verification of another store"],
    ] as const) {
      writeFileSync(path.join(folder, "where.json"), state);
      const { stderr, exitCode } = await memento(folder, ["verify", "--state", "where.json"]);
      expect(stderr).toContain(why);
      expect(stderr).not.toContain("Goes on");
      expect(exitCode).toBe(2);
      expect(existsSync(path.join(folder, "where.json"))).toBe(true);
    }
    const nowhere = await memento(folder, ["verify", "--state", "nodir/v.json", "--json"]);
    expect(nowhere.exitCode).toBe(1);
    const details = { path: path.join(folder, "nodir", "v.json") };
    expect(JSON.parse(nowhere.stdout)).toMatchObject({ error: { code: "IO_FAILED", details } });
  });
});

/** Changes one bit of the newest memento's sealed body, as a bad disk would. */
function flipLastByte(file: string): void {
  const database = new DatabaseSync(file);
  const row = database.prepare("SELECT id, body FROM commit_log WHERE body IS NOT NULL ORDER BY id DESC LIMIT 1").get();
  const body = Uint8Array.from(row?.["body"] as Uint8Array);
  body[body.length - 1] = (body.at(-1) ?? 0) ^ 1;
  database.prepare("UPDATE commit_log SET body = ? WHERE id = ?").run(body, row?.["id"] as number);
  database.close();
}
