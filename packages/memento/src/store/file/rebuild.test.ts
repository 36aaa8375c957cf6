import { describe, expect, test } from "vitest";

import { SimulatedDisk } from "../../../../../test/disk/simulated-disk.ts";
import { canonicalJson, type Json } from "../../core/json.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { allAnswers } from "../../testing/store/answers.ts";
import { fixtureAuthority } from "../../testing/store/authority.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
import { FileStore } from "./store.ts";

const PATH = "/data/store";

let seeds = 3;

async function open(disk: SimulatedDisk): Promise<FileStore> {
  const { clock } = new StoreFixture(1);
  return await FileStore.open({ path: PATH, files: disk.process(), clock, random: new SeededRandom(seeds++) });
}

/** A closed store that holds a file of every kind but chapters, with all that it answers. */
async function closedStore(): Promise<{ disk: SimulatedDisk; make: StoreFixture; before: Json }> {
  const disk = new SimulatedDisk();
  disk.makeFolder("/data");
  const make = new StoreFixture(1);
  const store = await open(disk);
  await store.create(make.meta(), make.key("integrity"));
  await fillStore(store, make);
  for await (const { record, lease } of store.timelines("etl")) await store.renewLease({ timeline: record.key, lease });
  const before = await allAnswers(store);
  await store.close();
  return { disk, make, before };
}

/** A closed store with one timeline of so many entries that they were put into a chapter. */
async function longStore(): Promise<{ disk: SimulatedDisk; make: StoreFixture; before: Json }> {
  const disk = new SimulatedDisk();
  disk.makeFolder("/data");
  const make = new StoreFixture(1);
  const store = await open(disk);
  await store.create(make.meta(), make.key("integrity"));
  const line = await make.timeline(store);
  for (let index = 0; index < 300; index++) await line.save(store);
  const before = await allAnswers(store);
  await store.close();
  return { disk, make, before };
}

function flip(disk: SimulatedDisk, file: string): void {
  const content = Buffer.from(disk.content(file));
  content[content.length >>> 1] = (content[content.length >>> 1] ?? 0) ^ 1;
  disk.setContent(file, content);
}

/** Files that the index is made of; packs, keys and the store's facts are not among them. */
const isIndex = (file: string): boolean => /\/(?:caretakers|timelines|names)\//u.test(file);

describe("rebuildIndex()", () => {
  test.each(["flipped", "deleted"])("mends every file of the index that was %s", { timeout: 60_000 }, async (harm) => {
    const { disk: sound, make, before } = await closedStore();
    const files = sound.files().filter(isIndex);
    expect(files.length).toBeGreaterThan(15);
    const unmended: string[] = [];
    for (const file of files) {
      const disk = sound.copy();
      if (harm === "flipped") flip(disk, file);
      else disk.delete(file);
      const authority = fixtureAuthority(make);
      const store = await open(disk);
      const dry = await store.rebuildIndex(authority, true);
      const done = await (await open(disk)).rebuildIndex(authority, false);
      expect({ file, dry: dry.problems }).toEqual({ file, dry: done.problems });
      const left = await collect((await open(disk)).check());
      const after = left.length > 0 ? null : await allAnswers(await open(disk));
      // A lost lease gives way to a higher epoch, and a lost notice to one that says so: their places are known, not their words.
      const same = canonicalJson(withoutWords(after)) === canonicalJson(withoutWords(before));
      if (left.length > 0 || !same)
        unmended.push(`${file}: ${left.map(({ problem }) => problem).join("; ") || "other answers"}`);
      expect(await (await open(disk)).rebuildIndex(authority, false)).toMatchObject({ changes: [] });
    }
    expect(unmended).toEqual([]);
  });

  test("takes a lost entry from its chapter, byte for byte", async () => {
    const { disk, make, before } = await longStore();
    const entry = disk.files().find((file) => file.endsWith("000000000100.json")) ?? "";
    const content = Buffer.from(disk.content(entry));
    disk.delete(entry);
    await (await open(disk)).rebuildIndex(fixtureAuthority(make), false);
    expect(disk.content(entry).equals(content)).toBe(true);
    expect(await collect((await open(disk)).check())).toEqual([]);
    expect(await allAnswers(await open(disk))).toEqual(before);
  });

  test("finishes what it was killed in, wherever that was", { timeout: 60_000 }, async () => {
    const { disk: sound, make } = await longStore();
    const entry = sound.files().find((file) => file.endsWith("000000000280.json")) ?? "";
    sound.delete(entry);
    const authority = fixtureAuthority(make);
    for (let killAt = 330; ; killAt += 7) {
      const disk = sound.copy();
      const process = disk.process({ killAt });
      const { clock } = new StoreFixture(1);
      const store = await FileStore.open({ path: PATH, files: process, clock, random: new SeededRandom(seeds++) });
      const outcome = await store.rebuildIndex(authority, false).then(
        () => "done",
        () => "killed",
      );
      await (await open(disk)).rebuildIndex(authority, false);
      expect(await collect((await open(disk)).check())).toEqual([]);
      if (outcome === "done") break;
    }
  });
});

/** Answers without what a rebuilt entry cannot know: stamps, cursors, lost notices' texts and leases' owners. */
function withoutWords(answers: Json): Json {
  // A substitute's stamp is a guess, so it may stand elsewhere among other timelines' entries.
  if (Array.isArray(answers)) {
    const texts = (answers as readonly Json[]).map((answer) => canonicalJson(withoutWords(answer)));
    return texts.toSorted();
  }
  if (typeof answers !== "object" || answers === null) return answers;
  const hidden = new Set(["cursor", "lease", "header", "request", "commits", "notices"]);
  return Object.fromEntries(
    Object.entries(answers).map(([key, value]) => [key, hidden.has(key) ? null : withoutWords(value)]),
  );
}
