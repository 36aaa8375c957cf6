import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { CarrierNews, CarrierTask } from "../../../../../test/workers/archive-carrier.ts";
import { Memento } from "../../memento.ts";
import { mementoQuery } from "../../store/query.ts";

const CARRIER = fileURLToPath(new URL("../../../../../test/workers/archive-carrier.ts", import.meta.url));
const [HERE, THERE] = [1, 2];
const keyOf = (byte: number) => ({ raw: [new Uint8Array(32).fill(byte)] });
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-carried-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string): string => path.join(folder, name);

function carry(task: CarrierTask): { readonly news: CarrierNews | null; readonly signal: string | null } {
  const { stdout, signal } = spawnSync(process.execPath, [CARRIER, JSON.stringify(task)], {
    encoding: "utf8",
    timeout: 500_000,
    stdio: ["ignore", "pipe", "inherit"],
  });
  return { news: stdout === "" ? null : (JSON.parse(stdout) as CarrierNews), signal };
}

async function digests(memento: Memento): Promise<unknown> {
  const found: Record<string, string> = {};
  for await (const { entry } of memento.vault.store.query(mementoQuery({ caretaker: "etl" })))
    found[entry.id] = (await memento.vault.load(entry.id)).digest;
  return found;
}

describe("a kill -9 in the middle of an import", () => {
  test("at any of its calls of the store: the next import of the same file makes it whole", async () => {
    const url = `sqlite:${at("source.db")}`;
    await using source = await Memento.open(url, { keys: keyOf(HERE) });
    const etl = source.caretaker("etl");
    const rows = Array.from({ length: 500 }, (_, row) => `row ${row}`);
    for (let step = 0; step < 6; step++) {
      const saved = await etl.save({ rows: rows.with(step, "changed"), step }, { id: `step ${step}` });
      if (step % 3 === 1) await etl.delete(saved.id);
    }
    await etl.delete((await etl.save({ gone: true }, { originator: "other", full: true })).id);
    await etl.save({ kept: true }, { originator: "other", full: true });
    await source.exportTo(at("etl.memento"), { caretaker: "etl" });
    const wanted = await digests(source);
    let kills = 0;
    for (let call = 1; ; call += 2) {
      const target = `sqlite:${at(`target-${call}.db`)}`;
      const phase = call % 4 === 1 ? "before" : "after";
      await (await Memento.open(target, { keys: keyOf(THERE) })).close();
      const task = { action: "import", url: target, key: THERE, fileKey: HERE, file: at("etl.memento") } as const;
      const { signal } = carry({ ...task, kill: { call, phase } });
      await using memento = await Memento.open(target, { keys: keyOf(THERE) });
      const leases = { owner: (await Array.fromAsync(memento.timelines())).map(({ lease }) => lease.owner) };
      // What nobody needs yet may be collected in between.
      await memento.collect();
      await memento.importFrom(at("etl.memento"), { keys: keyOf(HERE) });
      expect([call, await digests(memento)]).toEqual([call, wanted]);
      expect([call, (await memento.verify()).damages]).toEqual([call, []]);
      for await (const { lease } of memento.timelines()) expect(lease.owner).toBeNull();
      if (signal === null) {
        expect(leases.owner.every((owner) => owner === null)).toBe(true);
        break;
      }
      kills += 1;
    }
    expect(kills).toBeGreaterThan(10);
  }, 600_000);
});

/** A few frames, a pack or two, and what the collector of garbage has not come to yet. */
const GROWTH_MAX = 190_000_000;

describe("memory", () => {
  test("stays flat while a long file is written and read", () => {
    const source = { url: `sqlite:${at("source.db")}`, key: HERE };
    const { news } = carry({ action: "fill", ...source, file: "", megabytes: 400 });
    const there = (name: string, file: string) => ({ url: `sqlite:${at(name)}`, key: THERE, fileKey: HERE, file });
    for (const taskOf of [
      (run: string) => ({ action: "export", ...source, file: at(`all${run}.memento`) }),
      (run: string) => ({ action: "import", ...there(`all${run}.db`, at("all1.memento")) }),
      (run: string) => ({ action: "export", ...source, file: at(`one${run}.memento`), memento: news?.stream ?? "" }),
      (run: string) => ({ action: "import", ...there(`one${run}.db`, at("one1.memento")) }),
    ] as const) {
      const growths: number[] = [];
      // The collector of garbage falls behind now and then; what grows with the file is there each time.
      while (growths.length < 3 && !(Math.min(...growths) < GROWTH_MAX))
        growths.push(carry(taskOf(String(growths.length + 1)) as CarrierTask).news?.growthBytes ?? Infinity);
      expect(Math.min(...growths)).toBeLessThan(GROWTH_MAX);
    }
    for (const name of ["all1.memento", "one1.memento"]) expect(statSync(at(name)).size).toBeGreaterThan(200_000_000);
  }, 900_000);
});
