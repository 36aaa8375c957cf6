import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";

import { Memento } from "../../memento.ts";
import { listBackup, verifyFile } from "../../portable.ts";
import { MemoryStore } from "../../store/memory/index.ts";

const raw = (byte: number) => ({ raw: [new Uint8Array(32).fill(byte)] });
let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-backup-"));
  file = path.join(folder, "all.memento");
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function open(byte: number | null): Promise<Memento> {
  const memento = await Memento.open(await MemoryStore.open(), { keys: byte === null ? false : raw(byte) });
  onTestFinished(async () => await memento.close());
  return memento;
}

/** Two caretakers whose saves take turns, removed mementos of both beside each other, names, policies and pins. */
async function fill(memento: Memento): Promise<void> {
  const [etl, other] = [memento.caretaker("etl"), memento.caretaker("öther 漢字")];
  await other.setPolicy({ maxCount: 50 });
  for (let step = 0; step < 12; step++) {
    const one = await etl.save(
      { step, rows: Array.from({ length: 200 }, (_, row) => `row ${row}`) },
      { full: step % 4 === 0 },
    );
    const two = await other.save({ step }, { id: `öther ${step}`, originator: `o${step % 2}`, full: true });
    if (step % 3 === 1) {
      await etl.delete(one.id);
      await other.delete(two.id);
    }
  }
  await memento.collect();
}

test("reading a backup ends with the signal, wherever it is only checked: nothing is written", async () => {
  await using memento = await open(1);
  await fill(memento);
  await memento.exportTo(file, { store: true });
  const reason = new Error("enough");
  const options = { keys: raw(1), signal: AbortSignal.abort(reason) };
  await expect(listBackup(file, options)).rejects.toBe(reason);
  await expect(verifyFile(file, options)).rejects.toBe(reason);
  await using other = await open(1);
  await expect(other.restoreBackup(file, options)).rejects.toBe(reason);
  await expect(other.importFrom(createReadStream(file), options)).rejects.toBe(reason);
  expect((await other.digest()).mementos).toBe(0);
});

describe("exportTo({ store: true }) and restoreBackup()", () => {
  test("a whole store comes back under other keys, and gives the same digest", async () => {
    const source = await open(1);
    await fill(source);
    const { digest, mementos } = await source.digest();
    const report = await source.exportTo(file, { store: true }, { keys: raw(9) });
    expect(report).toMatchObject({ content: "store", mementos, sealed: true });
    const target = await open(2);
    const restored = await target.restoreBackup(file, { keys: raw(9) });
    expect(restored).toMatchObject({ imported: mementos, verified: { identical: true, digest, mementos, missing: 0 } });
    expect((await target.digest()).digest).toBe(digest);
    expect((await target.verify()).damages).toEqual([]);
    expect((await target.caretaker("öther 漢字").load("öther 11")) as object).toEqual({ step: 11 });
    expect(await target.caretaker("öther 漢字").policy()).toEqual({ maxCount: 50 });
    expect(await target.restoreBackup(file, { keys: raw(9) })).toMatchObject({ imported: 0, alreadyThere: true });
  });

  test("says what a backup holds, and refuses a changed or cut one", async () => {
    const source = await open(1);
    await fill(source);
    await source.exportTo(file, { store: true });
    const listing = await listBackup(file, { keys: raw(1) });
    expect(listing).toMatchObject({ digest: (await source.digest()).digest, keys: null });
    expect(listing.caretakers).toEqual([
      { name: "etl", timelines: 1, mementos: 8 },
      { name: "öther 漢字", timelines: 2, mementos: 8 },
    ]);
    await expect(listBackup(file)).rejects.toMatchObject({ code: "KEY_MISSING" });
    const bytes = readFileSync(file);
    const target = await open(2);
    for (const broken of [bytes.subarray(0, -40), bytes.with(bytes.length / 2, (bytes[bytes.length / 2] ?? 0) ^ 1)]) {
      writeFileSync(file, broken);
      await expect(target.restoreBackup(file, { keys: raw(1) })).rejects.toMatchObject({ code: "DAMAGED" });
    }
    expect(await target.digest()).toMatchObject({ mementos: 0 });
  });

  test("an empty store is backed up and restored too", async () => {
    const source = await open(null);
    await source.exportTo(file, { store: true });
    const restored = await (await open(null)).restoreBackup(file);
    expect(restored).toMatchObject({ imported: 0, verified: { identical: true, mementos: 0 } });
  });
});
