import { randomBytes } from "node:crypto";
import { mkdtempSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { Memento } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento } from "../../../../test/harness/command-line.ts";

let folder: string;
const ids: string[] = [];

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-gc-")));
  expect((await memento(folder, ["init"])).exitCode).toBe(0);
  await using store = await Memento.open(`sqlite:${folder}/.memento/store.db`);
  for (let n = 0; n < 10; n++)
    ids.push((await store.caretaker("etl").save(randomBytes(60_000).toString("base64"), { full: true })).id);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const json = async (...args: string[]): Promise<Record<string, unknown>> =>
  JSON.parse((await memento(folder, [...args, "--json"])).stdout) as Record<string, unknown>;

describe("memento policy", () => {
  test("shows that there is none, changes rules one by one, and clears them", async () => {
    expect((await memento(folder, ["policy", "etl"])).stdout).toBe(
      "Caretaker etl has no policy: everything is kept.\n",
    );
    await memento(folder, ["policy", "etl", "--keep-last", "2", "--keep-label", "gold", "--codec", "gzip:6"]);
    const { stdout } = await memento(folder, ["policy", "etl", "--keep-daily", "7", "--time-zone", "Europe/Vienna"]);
    expect(stdout).toBe(
      "Caretaker etl\n  keep daily: 7\n  keep last: 2\n  keepLabels: gold\n  timeZone: Europe/Vienna\n  codec: gzip 6\n",
    );
    expect(await json("policy", "etl", "--clear", "--keep-last", "2")).toMatchObject({ policy: { keep: { last: 2 } } });
    expect((await json("policy", "etl"))["policy"]).toEqual({ keep: { last: 2 } });
  });

  test("takes a limit of any size, also with a unit", async () => {
    const limits = { "2000000000": 2e9, "10GB": 1e10, "1.5TiB": 1.5 * 2 ** 40 };
    for (const [text, maxBytes] of Object.entries(limits))
      expect(await json("policy", "etl", "--clear", "--max-bytes", text)).toMatchObject({ policy: { maxBytes } });
    await memento(folder, ["policy", "etl", "--clear", "--keep-last", "2"]);
  });

  test("may be set before the first save, and says so", async () => {
    const { stdout, exitCode } = await memento(folder, ["policy", "early", "--keep-last", "2"]);
    expect(stdout).toBe("Caretaker early\n  keep last: 2\nIt has no mementos yet. Caretakers here: etl.\n");
    expect(exitCode).toBe(0);
    expect((await memento(folder, ["gc", "--dry-run", "--caretaker", "early"])).exitCode).toBe(0);
    const strange = await memento(folder, ["gc", "--caretaker", "elt"]);
    expect(strange.stderr).toMatch(/There is no caretaker elt\n.*Caretakers here: early, etl\./u);
    expect(strange.stderr).toContain("code: NOT_FOUND");
    expect(strange.exitCode).toBe(1);
  });

  test("refuses what is no rule, and changes nothing", async () => {
    const { stderr, exitCode } = await memento(folder, ["policy", "etl", "--keep-within", "5m"]);
    expect(stderr).toContain("keep.within takes a span of time");
    expect(exitCode).toBe(2);
    expect((await memento(folder, ["policy", "etl", "--codec", "lzma"])).stderr).toContain("codec.name takes zstd");
    for (const codec of ["gzip:", "gzip:0x3", "gzip:1e0", "gzip: 3", "gzip:3:4"])
      expect((await memento(folder, ["policy", "etl", "--codec", codec])).stderr).toContain("codec.level takes 1 to 9");
    expect((await memento(folder, ["policy", "etl", "--keep-last", "none"])).exitCode).toBe(2);
    expect((await json("policy", "etl"))["policy"]).toEqual({ keep: { last: 2 } });
  });
});

describe("memento pin, unpin, gc and rm", () => {
  test("a pinned memento is removed by nobody; a dry run changes nothing; the freed space is given back", async () => {
    const pinned = ids[1] ?? "";
    expect((await memento(folder, ["pin", pinned, "--reason", "audit"])).stdout).toBe(`Pinned ${pinned}.\n`);
    const refused = await memento(folder, ["rm", pinned, "--yes"]);
    expect([refused.exitCode, refused.stderr]).toEqual([4, expect.stringContaining("is pinned: audit")]);

    const dry = await memento(folder, ["gc", "--dry-run"]);
    expect(dry.exitCode).toBe(0);
    expect(dry.stdout).toContain("Would remove 7 mementos:");
    expect(dry.stdout).toContain("no rule keeps it");
    expect(dry.stdout).toMatch(/Would keep 3 mementos of etl: .*pinned: audit/u);
    expect(dry.stdout).toMatch(/Would free 7 packs, \d/u);
    expect((await json("ls"))["mementos"]).toHaveLength(10);

    const report = await json("gc");
    expect(report).toMatchObject({ dryRun: false, packs: 7 });
    expect((report["removed"] as unknown[]).length).toBe(7);
    // By itself: what gc writes down of its removals may take a page first.
    const before = statSync(`${folder}/.memento/store.db`).size;
    const { compactedBytes } = await json("gc", "--compact");
    const freed = before - statSync(`${folder}/.memento/store.db`).size;
    expect(freed).toBeGreaterThan(100_000);
    expect(freed).toBe(compactedBytes);
    expect((await json("ls"))["mementos"]).toHaveLength(3);
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
    expect((await memento(folder, ["gc"])).stdout).toContain("Removed 0 mementos.");

    expect((await memento(folder, ["unpin", pinned])).stdout).toBe(`Unpinned ${pinned}.\n`);
    expect((await memento(folder, ["unpin", pinned])).exitCode).toBe(1);
    expect((await json("gc"))["packs"]).toBe(1);
  });

  test("rm --secure destroys the key, and may be said again", async () => {
    const doomed = ids[8] ?? "";
    const { stdout, exitCode } = await memento(folder, ["rm", doomed, "--secure", "--yes", "--reason", "asked for"]);
    expect([exitCode, stdout]).toEqual([
      0,
      "Removed 1 memento for good: 1 data key destroyed, 1 pack sealed anew for what others need.\n",
    ]);
    expect((await memento(folder, ["show", doomed])).exitCode).toBe(1);
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
    expect((await memento(folder, ["rm", doomed, "--secure", "--yes"])).exitCode).toBe(0);
  });
});
