import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { describe, expect, onTestFinished, test } from "vitest";

import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/index.ts";
import type { MementoStore } from "../store/store.ts";
import { interceptStore } from "../store/wrap/intercept.ts";
import { removedMeanwhile } from "./removed-meanwhile.ts";

const MEMENTOS = 70;
const GONE = [5, 20, 34, 62];

async function open(store: MementoStore): Promise<Memento> {
  const memento = await Memento.open(store, { keys: { raw: [new Uint8Array(32).fill(7)] } });
  onTestFinished(async () => await memento.close());
  return memento;
}

/** A store in which `times` mementos are removed and collected just before somebody who goes through it reads them. */
async function collectedBeside(times: number): Promise<Memento> {
  const store = await MemoryStore.open();
  const other = await open(store);
  const etl = other.caretaker("etl");
  const ids: string[] = [];
  for (let n = 0; n < MEMENTOS; n++) ids.push((await etl.save({ n }, { id: `m${n}`, full: true })).id);
  const going = new Set(GONE.slice(0, times).map((n) => ids[n]));
  const beside = interceptStore(store, async ({ method, args }, proceed) => {
    const [id] = args as readonly string[];
    if (method !== "read" || id === undefined || !going.delete(id)) return await proceed();
    await etl.delete(id);
    await other.collect();
    return await proceed();
  });
  return await open(beside);
}

const namesOf = async (memento: Memento): Promise<unknown[]> =>
  (await Array.fromAsync(memento.caretaker("etl").list())).map(({ name }) => name);

describe("collections beside one who copies a store", () => {
  test.each([1, 4])("%i of them: an export to a file is written all the same", async (times) => {
    const memento = await collectedBeside(times);
    const folder = mkdtempSync(path.join(tmpdir(), "memento-beside-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const file = path.join(folder, "all.memento");
    expect(await memento.exportTo(file, { store: true })).toMatchObject({ mementos: MEMENTOS - times });
    expect(readdirSync(folder)).toEqual(["all.memento"]);
    const target = await open(await MemoryStore.open());
    expect(await target.restoreBackup(file)).toMatchObject({ verified: { identical: true } });
  });

  test.each([1, 4])("%i of them: a copy into a store ends, and counts what came in all its rounds", async (times) => {
    const memento = await collectedBeside(times);
    const target = await open(await MemoryStore.open());
    const report = await memento.copyTo(target, { verify: "none" });
    const [wanted, come] = [await namesOf(memento), await namesOf(target)];
    expect(wanted).toHaveLength(MEMENTOS - times);
    expect(come).toEqual(expect.arrayContaining(wanted));
    expect(report).toMatchObject({ copied: come.length, present: 0, newTimelines: 1 });
    expect((await target.verify()).damages).toEqual([]);
  });

  test("what was removed behind a copy goes with it, and what is removed behind its verification is not missed", async () => {
    const store = await MemoryStore.open();
    const etl = (await open(store)).caretaker("etl");
    const ids: string[] = [];
    for (let n = 0; n < MEMENTOS; n++) ids.push((await etl.save({ n }, { id: `m${n}`, full: true })).id);
    let reads = 0;
    const beside = interceptStore(store, async ({ method, args }, proceed) => {
      if (method === "read" && args[0] === ids.at(-1)) await etl.delete("m0");
      if (method === "commits" && (reads += 1) === 1) await etl.delete("m1");
      return await proceed();
    });
    const target = await open(await MemoryStore.open());
    const { copied, verified } = await (await open(beside)).copyTo(target);
    expect(copied).toBe(MEMENTOS);
    expect(verified).toMatchObject({ identical: true, missing: 0 });
    expect(await namesOf(target)).not.toContain("m0");
  });

  test("what goes on for ever ends with the last refusal, and leaves no file", async () => {
    const memento = await collectedBeside(0);
    const folder = mkdtempSync(path.join(tmpdir(), "memento-beside-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    let begun = 0;
    const onProgress = (): void => {
      begun += 1;
      throw removedMeanwhile("x", "exported", "Export again.");
    };
    const exported = memento.exportTo(path.join(folder, "x.memento"), { store: true }, { onProgress });
    await expect(exported).rejects.toMatchObject({ code: "CONFLICT", hint: "Export again." });
    expect(begun).toBe(8);
    expect(readdirSync(folder)).toEqual([]);
  });
});
