/** Settings of caretakers in files of other releases, and of other people. */
import { Readable } from "node:stream";

import { describe, expect, onTestFinished, test } from "vitest";

import { Memento } from "./memento.ts";
import type { ExportSubject } from "./vault/archive/index.ts";

async function opened(): Promise<Memento> {
  const memento = await Memento.open("memory:", { keys: { raw: [new Uint8Array(32).fill(4)] } });
  onTestFinished(async () => await memento.close());
  return memento;
}

/** A file of a caretaker with these settings. */
async function fileWith(policy: string, subject: ExportSubject): Promise<Readable> {
  const memento = await opened();
  await memento.caretaker("etl").save({ a: 1 });
  const { store, checks } = memento.vault;
  const fixed = { name: "etl", created: new Date(0).toISOString(), version: 1, policy };
  const notice = memento.vault.notice("caretaker-saved", { caretaker: "etl", timeline: null, mementos: [] });
  await store.saveCaretaker({ ...fixed, check: checks.caretaker(fixed) }, notice);
  const parts: Uint8Array[] = [];
  await memento.exportTo(async (bytes) => void parts.push(Uint8Array.from(bytes)), subject);
  return Readable.from(parts);
}

describe.each<[string, ExportSubject]>([
  ["importFrom()", { caretaker: "etl" }],
  ["restoreBackup()", { store: true }],
])("%s", (name, subject) => {
  test.each([
    ['{"pins":[],"policy":{"keepNightly":5}}', "FORMAT_UNKNOWN", "keepNightly"],
    ['{"pins":[],"policy":{"keep":{"last":0}}}', "FORMAT_UNKNOWN", "keep.last"],
    ["{", "DAMAGED", "etl"],
    ["null", "DAMAGED", "etl"],
    ['{"pins":5,"policy":{}}', "DAMAGED", "etl"],
    ['{"pins":[{"id":5}],"policy":{}}', "DAMAGED", "etl"],
  ])("refuses settings that nobody here could read, before anything is written: %s", async (policy, code, named) => {
    const memento = await opened();
    const file = await fileWith(policy, subject);
    const work = name === "importFrom()" ? memento.importFrom(file) : memento.restoreBackup(file);
    await expect(work).rejects.toMatchObject({ code, message: expect.stringContaining(named) as string });
    expect((await memento.statistics()).total.mementos).toBe(0);
    await memento.caretaker("etl").save({ goes: "on" });
    expect(await memento.collect()).toMatchObject({ removed: [] });
  });

  test("brings a policy and pins", async () => {
    const memento = await opened();
    const policy =
      '{"pins":[{"id":"x","lease":null,"reason":"","since":"2027-01-01T00:00:00.000Z","until":null}],"policy":{"ttl":"1y"}}';
    const file = await fileWith(policy, subject);
    await (name === "importFrom()" ? memento.importFrom(file) : memento.restoreBackup(file));
    expect(await memento.caretaker("etl").policy()).toEqual({ ttl: "1y" });
    expect(await memento.caretaker("etl").pins()).toHaveLength(1);
  });
});
