import { copyFileSync, existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-repair-")));
  expect((await memento(folder, ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db"])).exitCode).toBe(0);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const store = (): string => path.join(folder, ".memento", "store.db");

/** Changes one bit of a memento's sealed body, as a bad disk would. */
function flip(sequence: number): void {
  const database = new DatabaseSync(store());
  const row = database
    .prepare("SELECT c.id, c.body FROM commit_log c JOIN memento m ON m.commit_id = c.id WHERE m.sequence = ?")
    .get(sequence);
  const body = Uint8Array.from(row?.["body"] as Uint8Array);
  body[body.length - 1] = (body.at(-1) ?? 0) ^ 1;
  database.prepare("UPDATE commit_log SET body = ? WHERE id = ?").run(body, row?.["id"] as number);
  database.close();
}

interface Plan {
  readonly hash: string;
  readonly sound: boolean;
  readonly items: readonly { readonly name: string; readonly action: string; readonly mementos: readonly string[] }[];
}

async function planOf(...args: string[]): Promise<Plan> {
  return JSON.parse((await memento(folder, ["repair", ...args, "--json"])).stdout) as Plan;
}

describe("memento repair", () => {
  test("finds nothing to do in a sound store", async () => {
    const { stdout, exitCode } = await memento(folder, ["repair"]);
    expect(stdout).toMatch(/^Sound: .* there is nothing to repair\.\n$/u);
    expect(exitCode).toBe(0);
  });

  test("shows a plan, changes nothing, and takes the pack from a copy once it is applied", async () => {
    copyFileSync(store(), path.join(folder, "copy.db"));
    copyFileSync(`${store()}.key`, path.join(folder, "copy.db.key"));
    flip(5);
    const shown = await memento(folder, ["repair", "--from", "sqlite:copy.db"]);
    expect(shown.exitCode).toBe(3);
    expect(shown.stdout).toMatch(/take the pack from sqlite:.*copy\.db/u);
    const [, command = ""] = /To repair it: memento (repair .*)\n/u.exec(shown.stdout) ?? [];
    expect((await memento(folder, ["verify"])).exitCode).toBe(3);
    const applied = await memento(folder, [...command.split(" "), "--why", "bad disk"]);
    expect(applied.stdout).toMatch(/^Sound: .* was repaired and verified/u);
    expect(applied.exitCode).toBe(0);
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
  });

  test("without a copy sets aside what is lost", async () => {
    flip(8);
    const { hash, items } = await planOf();
    const lost = items.flatMap(({ mementos }) => mementos);
    expect(new Set(lost).size).toBe(1);
    const { stdout, exitCode } = await memento(folder, ["repair", "--apply", "--plan", hash]);
    expect(stdout).toContain(`given up: ${lost[0]}`);
    expect(exitCode).toBe(0);
    expect(readdirSync(`${store()}.quarantine`)).toEqual([lost[0]]);
    expect((await planOf()).sound).toBe(true);
    // The run goes on from the nearest good memento, and each record counts once.
    expect((await memento(folder, ["resume"])).exitCode).toBe(0);
    const table = new DatabaseSync(path.join(folder, "numbers.db"));
    expect(table.prepare("SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM numbers").get()).toEqual({
      rows: 60,
      ids: 60,
    });
    table.close();
  });

  test("takes it from a portable file", async () => {
    expect((await memento(folder, ["export", "--out", "all.memento"])).exitCode).toBe(0);
    flip(5);
    const { hash, items } = await planOf("--from", "all.memento");
    expect(items).toMatchObject([{ action: "restore" }]);
    const { exitCode } = await memento(folder, ["repair", "--from", "all.memento", "--apply", "--plan", hash]);
    expect(exitCode).toBe(0);
  });

  test("a place that holds no store is named as such, and nothing is made there", async () => {
    for (const place of ["sqlite:nope.db", `sqlite://${folder}/nope.db`]) {
      const { stderr, exitCode } = await memento(folder, ["repair", "--from", place]);
      expect(stderr).toContain(`There is no store at ${folder}/nope.db, which --from names`);
      expect(exitCode).toBe(1);
    }
    expect(readdirSync(folder).filter((name) => name.startsWith("nope"))).toEqual([]);
  });

  test("refuses a plan that moved, and --apply without one", async () => {
    flip(8);
    expect((await memento(folder, ["repair", "--apply"])).exitCode).toBe(2);
    const moved = await memento(folder, ["repair", "--apply", "--plan", "0000000000000000"]);
    expect(moved.stderr).toContain("Look at the new plan with `memento repair`");
    expect(moved.exitCode).toBe(4);
    expect(existsSync(`${store()}.quarantine`)).toBe(false);
  });
});
