import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, onTestFinished } from "vitest";

import { Memento } from "../../packages/memento/src/memento.ts";
import {
  applyRepair,
  planRepair,
  type RepairOptions,
  type RepairPlan,
  type Replica,
} from "../../packages/memento/src/vault/repair.ts";

export type Driver = "sqlite" | "file";

export interface Bench {
  readonly driver: Driver;
  readonly folder: string;
  /** Six mementos: the third to fifth share what the third one holds; the sixth stands alone. A seventh, elsewhere, has a name. */
  readonly ids: readonly string[];
  readonly open: (name?: string) => Promise<Memento>;
  /** Another store, made as this one is now. */
  readonly copyTo: (name: string) => void;
}

export const KEYS = { raw: [new Uint8Array(32).fill(5)] };

export async function bench(
  driver: Driver,
  { keys = KEYS }: { readonly keys?: typeof KEYS | false } = {},
): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), "memento-repair-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const place = (name: string): string => `${driver}:${join(folder, name)}`;
  const open = async (name = "store"): Promise<Memento> => {
    const memento = await Memento.open(place(name), { keys });
    onTestFinished(async () => await memento.close());
    return memento;
  };
  const memento = await open();
  const etl = memento.caretaker("etl");
  const ids: string[] = [];
  for (let n = 1; n <= 6; n++) {
    const table = n < 3 || n === 6 ? `own ${n} ${"x".repeat(50)}` : "shared".repeat(100);
    ids.push((await etl.save({ n, table })).id);
  }
  const address = { caretaker: "etl", originator: "named", partition: "", fork: "" };
  const writer = await memento.vault.writer(await memento.vault.ensureTimeline(address, "value"));
  const pieces = new Map([["value", "of a name"]]);
  await writer.append({ reason: "save", status: "saved", generation: 0, name: "gold", pieces });
  await memento.close();
  return {
    driver,
    folder,
    ids,
    open,
    copyTo: (name) => cpSync(join(folder, "store"), join(folder, name), { recursive: true }),
  };
}

export function sql(file: string, text: string): void {
  const sqlite = process.getBuiltinModule("node:sqlite");
  const database = new sqlite.DatabaseSync(file);
  database.exec(text);
  database.close();
}

/** The file of a pack that holds a memento, found by what its header says. */
function packFile(folder: string, id: string): string {
  const packs = join(folder, "packs");
  const name = readdirSync(packs).find((each) => readFileSync(join(packs, each)).includes(`"entries":[["${id}"`));
  return join(packs, name ?? "none");
}

export type Harm = "body" | "header" | "missing";

/** Does harm to the pack of a memento in a store that is closed. */
export function harm({ driver, folder }: Bench, id: string, how: Harm, name = "store"): void {
  const place = join(folder, name);
  if (driver === "file") {
    const file = packFile(place, id);
    if (how === "missing") return rmSync(file);
    const content = readFileSync(file);
    const at = how === "body" ? content.length - 3 : content.indexOf('"suite"') + 3;
    content[at] = (content[at] ?? 0) ^ 1;
    return writeFileSync(file, content);
  }
  const [timeline, sequence] = id.split("-");
  const row = `id = (SELECT commit_id FROM memento WHERE timeline = '${timeline}' AND sequence = ${sequence})`;
  const sqlite = process.getBuiltinModule("node:sqlite");
  const database = new sqlite.DatabaseSync(place);
  const column = how === "header" ? "header" : "body";
  if (how === "missing") database.exec(`DELETE FROM commit_log WHERE ${row}`);
  else {
    const bytes = Uint8Array.from(
      database.prepare(`SELECT ${column} AS bytes FROM commit_log WHERE ${row}`).get()?.["bytes"] as Uint8Array,
    );
    bytes[how === "body" ? bytes.length - 3 : 3] = (bytes[how === "body" ? bytes.length - 3 : 3] ?? 0) ^ 1;
    database.prepare(`UPDATE commit_log SET ${column} = ? WHERE ${row}`).run(bytes);
  }
  database.close();
}

export async function repaired(
  memento: Memento,
  options: RepairOptions = {},
): Promise<Awaited<ReturnType<typeof applyRepair>> & { plan: RepairPlan; aside: string[] }> {
  const plan = await planRepair(memento.vault, options);
  const aside: string[] = [];
  const result = await applyRepair(memento.vault, {
    ...options,
    plan: plan.hash,
    by: "tester",
    setAside: async (name, bytes) => {
      aside.push(name);
      expect(bytes).toBeInstanceOf(Uint8Array);
    },
  });
  return { ...result, plan, aside };
}

export const replicaOf = async ({ open }: Bench, name: string): Promise<Replica> => ({
  name,
  vault: (await open(name)).vault,
});

export async function contents(memento: Memento, ids: readonly string[]): Promise<unknown[]> {
  const etl = memento.caretaker("etl");
  return await Promise.all(ids.map(async (id) => await etl.load(id)));
}
