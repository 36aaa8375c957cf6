import { describe, expect, test } from "vitest";

import { SimulatedDisk } from "../../../../../test/disk/simulated-disk.ts";
import { extent } from "../../../../../test/harness/extent.ts";
import { isMementoError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { allAnswers } from "../../testing/store/answers.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
import { decodePackHeader } from "../header.ts";
import { mementoQuery } from "../query.ts";
import type { StoreDamage } from "../store.ts";
import { FileStore } from "./store.ts";

const PATH = "/data/store";

async function open(disk: SimulatedDisk): Promise<FileStore> {
  const { clock } = new StoreFixture(1);
  return await FileStore.open({ path: PATH, files: disk.process(), clock, random: new SeededRandom(3) });
}

/** A closed store that holds a file of every kind, but no chapter. */
async function closedStore(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  disk.makeFolder("/data");
  const store = await open(disk);
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
  await fillStore(store, make);
  for await (const { record, lease } of store.timelines("etl")) {
    await store.renewLease({ timeline: record.key, lease });
  }
  await store.close();
  return disk;
}

/** A closed store with one timeline of so many entries that they were put into chapters. */
async function longStore(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  disk.makeFolder("/data");
  const store = await open(disk);
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
  const line = await make.timeline(store);
  for (let index = 0; index < 300; index++) await line.save(store);
  await store.close();
  return disk;
}

const problems = (damage: readonly StoreDamage[]): string => damage.map(({ problem }) => problem).join("\n");

/** What the store answers without being asked to check itself; null when it says that it is damaged. */
async function answers(disk: SimulatedDisk): Promise<Json> {
  try {
    return await allAnswers(await open(disk));
  } catch (error) {
    if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return null;
    throw error;
  }
}

const kindOf = (file: string): string =>
  file
    .slice(PATH.length + 1)
    .replaceAll(/[0-9a-f]{40}|(?<=timelines\/)[0-9a-z]{12}|(?<=packs\/)p[0-9a-z]+/gu, "X")
    .replaceAll(/[0-9]+/gu, "N");

const everyByte = extent({ plain: 5, all: 1 });

describe("a flipped byte", { timeout: 300_000 }, () => {
  test("is found by check() in every file, wherever it is, and the file is named", async () => {
    const disk = await closedStore();
    expect(await collect((await open(disk)).check())).toEqual([]);
    const missed: string[] = [];
    for (const file of disk.files()) {
      const sound = disk.content(file);
      for (let offset = 0; offset < sound.length; offset += everyByte) {
        const flipped = Buffer.from(sound);
        flipped[offset] = (flipped[offset] ?? 0) ^ (1 << (offset % 8));
        disk.setContent(file, flipped);
        const found = problems(await collect((await open(disk)).check()));
        if (!found.includes(file)) missed.push(`byte ${offset} of ${file}: ${found}`);
      }
      disk.setContent(file, sound);
    }
    expect(missed).toEqual([]);
  });

  test("changes no answer, or is told as damage", async () => {
    const disk = await closedStore();
    const wanted = JSON.stringify(await answers(disk));
    const missed: string[] = [];
    for (const file of disk.files()) {
      const sound = disk.content(file);
      for (let offset = 0; offset < sound.length; offset += 5 * everyByte) {
        const flipped = Buffer.from(sound);
        flipped[offset] = (flipped[offset] ?? 0) ^ 0xff;
        disk.setContent(file, flipped);
        const given = await answers(disk);
        if (given !== null && JSON.stringify(given) !== wanted) missed.push(`byte ${offset} of ${file}`);
      }
      disk.setContent(file, sound);
    }
    expect(missed).toEqual([]);
  });
});

describe("a cut file", { timeout: 300_000 }, () => {
  test("is found by check() wherever it is cut", async () => {
    const disk = await closedStore();
    const missed: string[] = [];
    for (const file of disk.files()) {
      const sound = disk.content(file);
      for (let length = 0; length < sound.length; length += 7) {
        disk.setContent(file, sound.subarray(0, length));
        const found = problems(await collect((await open(disk)).check()));
        if (!found.includes(file)) missed.push(`${file} cut to ${length}: ${found}`);
      }
      disk.setContent(file, sound);
    }
    expect(missed).toEqual([]);
  });
});

/** What can go without a trace, because it only repeats, or because it only says that a lease runs longer. */
const SOFT = new Set(["timelines/X/state.json", "caretakers/X/state.json", "timelines/X/lease-N.json"]);

describe("a missing file", { timeout: 300_000 }, () => {
  test("is found by check(), unless nothing but speed is lost with it", async () => {
    const disk = await closedStore();
    const kinds = new Set<string>();
    for (const file of disk.files()) {
      const left = disk.copy();
      left.delete(file);
      const found = await collect((await open(left)).check());
      kinds.add(kindOf(file));
      if (SOFT.has(kindOf(file))) expect(found, file).toEqual([]);
      else expect(found.length, `${file} is missed`).toBeGreaterThan(0);
    }
    expect([...kinds].toSorted()).toEqual([
      "caretakers/X/N.json",
      "caretakers/X/state.json",
      "keys/X.N.json",
      "names/X/N.json",
      "packs/X",
      "store.json",
      "timelines/X/N.json",
      "timelines/X/lease-N.json",
      "timelines/X/state.json",
      "timelines/X/timeline.json",
    ]);
  });

  // A lost renewal ends a lease sooner. A lost data key, and a lost claim of a name, are found by who needs them.
  const unseen = new Set(["timelines/X/lease-N.json", "names/X/N.json", "keys/X.N.json"]);

  test("changes no answer, or is told as damage", async () => {
    const disk = await closedStore();
    const wanted = JSON.stringify(await answers(disk));
    const missed: string[] = [];
    for (const file of disk.files()) {
      if (unseen.has(kindOf(file))) continue;
      const left = disk.copy();
      left.delete(file);
      const given = await answers(left);
      if (given !== null && JSON.stringify(given) !== wanted) missed.push(file);
    }
    expect(missed).toEqual([]);
  });
});

describe("a file in another's place", { timeout: 300_000 }, () => {
  test("is found by check()", async () => {
    const disk = await closedStore();
    const files = disk.files();
    for (const file of files) {
      for (const other of files) {
        if (other === file || kindOf(other) !== kindOf(file)) continue;
        const moved = disk.copy();
        moved.setContent(file, disk.content(other));
        expect((await collect((await open(moved)).check())).length, `${other} as ${file}`).toBeGreaterThan(0);
      }
    }
  });
});

describe("damage of a timeline", () => {
  test("names the mementos, and leaves all others readable", async () => {
    const disk = await longStore();
    const ids = (await collect((await open(disk)).query(mementoQuery({ order: "ascending" })))).map(
      ({ entry }) => entry.id,
    );
    const entryFile = disk.files().find((file) => file.endsWith("/000000000290.json")) ?? "";
    disk.setContent(entryFile, Buffer.from("x"));
    const store = await open(disk);
    // Position 1 is the lease, so sequence 289 is at position 290.
    const lost = ids[288] ?? "";
    const found = await collect(store.check());
    expect(found.map(({ mementos }) => mementos)).toEqual([[lost]]);
    for (const id of ids) {
      if (id === lost)
        await expect(store.read(id)).rejects.toMatchObject({ code: "DAMAGED", details: { mementos: [id] } });
      else expect((await store.read(id))?.body).toBeTruthy();
    }
    for (const order of ["ascending", "descending"] as const) {
      const seen: string[] = [];
      await expect(
        (async () => {
          for await (const { entry } of store.query(mementoQuery({ order }))) seen.push(entry.id);
        })(),
      ).rejects.toMatchObject({ code: "DAMAGED" });
      expect(seen).toContain(ids[order === "ascending" ? 287 : 289]);
    }
  });

  test("keeps back no commit of another timeline, and no cursor passes it", async () => {
    const disk = new SimulatedDisk();
    disk.makeFolder("/data");
    const store = await open(disk);
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    const [one, two] = [await make.timeline(store), await make.timeline(store)];
    const ids: string[] = [];
    for (let index = 0; index < 3; index++) ids.push((await one.save(store)).id, (await two.save(store)).id);
    await store.close();
    const pack =
      disk.files().find((file) => disk.content(file).includes(`[["${ids[2] ?? ""}"`) && file.includes("/packs/")) ?? "";
    const sound = disk.content(pack);
    disk.setContent(pack, sound.subarray(1));
    const follow = async (after: string | null): Promise<{ seen: string[]; cursor: string | null }> => {
      const seen: string[] = [];
      let cursor = after;
      try {
        for await (const commit of (await open(disk)).commits(after)) {
          seen.push(...decodePackHeader(commit.header, "a commit").entries.map(({ id }) => id));
          ({ cursor } = commit);
        }
      } catch (error) {
        expect(isMementoError(error, "DAMAGED")).toBe(true);
        seen.push("damage");
      }
      return { seen, cursor };
    };
    const first = await follow(null);
    expect(first.seen).toEqual([ids[0], ids[1], ids[3], ids[5], "damage"]);
    expect((await follow(first.cursor)).seen).toEqual(["damage"]);
    disk.setContent(pack, sound);
    expect((await follow(first.cursor)).seen).toEqual([ids[2], ids[4]]);
  });

  test("a chapter repeats what is damaged below it", async () => {
    const disk = await longStore();
    const wanted = await answers(disk);
    const entryFile = disk.files().find((file) => file.endsWith("/000000000100.json")) ?? "";
    disk.setContent(entryFile, Buffer.from("x"));
    const rows = await collect((await open(disk)).query(mementoQuery()));
    expect(rows).toHaveLength(300);
    expect(problems(await collect((await open(disk)).check()))).toContain(entryFile);
    const again = await longStore();
    const chapter = again.files().find((file) => file.includes("/chapter-")) ?? "";
    again.setContent(chapter, Buffer.from("x"));
    expect(await answers(again)).toEqual(wanted);
    expect(problems(await collect((await open(again)).check()))).toContain(chapter);
  });

  test("entries that vanish at the end are missed by the log's own state", async () => {
    const disk = await longStore();
    for (const position of [301, 300, 299]) {
      const file = disk.files().find((name) => name.endsWith(`/000000000${position}.json`)) ?? "";
      disk.delete(file);
    }
    const store = await open(disk);
    const line = disk.files().find((file) => file.includes("/timelines/"));
    await expect(store.timeline(line?.split("/")[4] ?? "")).rejects.toMatchObject({ code: "DAMAGED" });
    expect(await collect(store.check())).not.toEqual([]);
  });
});
