import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { mementoQuery } from "../../packages/memento/src/store/query.ts";
import { extent } from "../harness/extent.ts";
import { openForRepair, repairIn } from "./repair-worker.ts";

const WORKER = path.join(import.meta.dirname, "repair-worker.ts");
/** What changes a store; everything before the first of them only reads. */
const CHANGES = /replacePack|remove$|note|acquireLease|createTimeline/u;
const POINTS = extent({ plain: 4, all: 8 });

let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), "memento-repair-kill-"));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

/** A damaged store and its replica, which is damaged at one of the two places too; gives the ids. */
async function damagedStore(driver: string, folder: string): Promise<readonly string[]> {
  mkdirSync(folder);
  const memento = await openForRepair(driver, path.join(folder, "store"), null);
  const ids: string[] = [];
  for (let n = 1; n <= 6; n++) {
    const table = n === 3 || n === 4 ? "shared".repeat(90) : `own ${n}`;
    ids.push((await memento.caretaker("etl").save({ n, table })).id);
  }
  await memento.close();
  cpSync(path.join(folder, "store"), path.join(folder, "replica"), { recursive: true });
  damage(driver, path.join(folder, "store"), ids[2] ?? "");
  damage(driver, path.join(folder, "store"), ids[5] ?? "");
  damage(driver, path.join(folder, "replica"), ids[5] ?? "");
  return ids;
}

/** Changes a bit of the pack that holds a memento. */
function damage(driver: string, place: string, id: string): void {
  if (driver === "file") {
    const packs = path.join(place, "packs");
    const name = readdirSync(packs).find((each) => readFileSync(path.join(packs, each)).includes(`[["${id}"`));
    const content = readFileSync(path.join(packs, name ?? ""));
    content[content.length - 3] = (content.at(-3) ?? 0) ^ 1;
    return writeFileSync(path.join(packs, name ?? ""), content);
  }
  const [timeline = "", sequence = ""] = id.split("-");
  const sqlite = process.getBuiltinModule("node:sqlite");
  const database = new sqlite.DatabaseSync(place);
  const row = database
    .prepare("SELECT commit_id AS id FROM memento WHERE timeline = ? AND sequence = ?")
    .get(timeline, Number(sequence));
  const found = database.prepare("SELECT body FROM commit_log WHERE id = ?").get(row?.["id"] ?? 0);
  const body = Uint8Array.from(found?.["body"] as Uint8Array);
  body[3] = (body[3] ?? 0) ^ 1;
  database.prepare("UPDATE commit_log SET body = ? WHERE id = ?").run(body, row?.["id"] ?? 0);
  database.close();
}

function run(driver: string, folder: string, call = 0, phase = "before") {
  return spawnSync(process.execPath, [WORKER, driver, folder, String(call), phase], {
    encoding: "utf8",
    timeout: 60_000,
  });
}

describe.each(["sqlite", "file"])("P3: repair of a %s store, killed in its middle", { timeout: 240_000 }, (driver) => {
  test("is finished by the next one, and gives up exactly what is lost", async () => {
    const sound = path.join(root, "sound");
    const ids = await damagedStore(driver, sound);
    cpSync(sound, path.join(root, "whole"), { recursive: true });
    const whole = run(driver, path.join(root, "whole"));
    expect(whole.stderr.replaceAll(/.*Warning.*\n/gu, "")).not.toMatch(/Error/u);
    const names = JSON.parse(whole.stdout) as string[];
    const first = names.findIndex((name) => CHANGES.test(name)) + 1;
    expect(first).toBeGreaterThan(0);
    const changing = names.flatMap((name, at) => (CHANGES.test(name) ? [at + 1] : []));
    const spread = Array.from(
      { length: POINTS },
      (_, at) => first + Math.floor(((names.length - first) * at) / POINTS),
    );
    for (const call of new Set([...changing, ...spread])) {
      for (const phase of changing.includes(call) ? ["before", "after"] : ["before"]) {
        const folder = path.join(root, `${call}-${phase}`);
        cpSync(sound, folder, { recursive: true });
        expect(run(driver, folder, call, phase).signal).toBe("SIGKILL");
        const { after, left } = await repairIn(driver, folder, null);
        expect({ call, phase, left, damages: after.damages }).toEqual({ call, phase, left: [], damages: [] });
        const memento = await openForRepair(driver, path.join(folder, "store"), null);
        const rows = await Array.fromAsync(memento.vault.store.query(mementoQuery()));
        // A last one lets the timeline go on, whose head was given up.
        const kept = rows.filter(({ entry }) => entry.reason !== "rollback");
        expect(kept.map(({ entry }) => entry.id).toSorted()).toEqual(ids.slice(0, 5).toSorted());
        expect(rows).toHaveLength(6);
        expect(await memento.caretaker("etl").load(ids[3] ?? "")).toEqual({ n: 4, table: "shared".repeat(90) });
        await memento.close();
        expect(existsSync(path.join(folder, `aside-${ids[5]}`))).toBe(true);
        rmSync(folder, { recursive: true });
      }
    }
  });
});
