import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { Memento } from "../../packages/memento/src/memento.ts";
import { MemoryStore } from "../../packages/memento/src/store/memory/index.ts";
import { formatKey } from "../../packages/memento/src/vault/keys/key-text.ts";
import { requireEngine } from "../harness/engines.ts";
import { extent } from "../harness/extent.ts";
import { probePostgres, startPostgres } from "../harness/servers/postgres.ts";
import { startVersitygw, versitygwIsThere } from "../harness/servers/versitygw.ts";
import { fillForCopy, killedCopy, standOf, type ChainPlace } from "./killed-copies.ts";

/** How many mementos are copied; 10,000 for a longer look. */
const MEMENTOS = extent({ plain: 1_000, all: 2_000, variable: "MEMENTO_COPY_MEMENTOS" });

let folder: string;
let source: ChainPlace;
let wanted: Awaited<ReturnType<typeof standOf>>;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-copies-"));
  source = place("sqlite", "source.db");
  await using memento = await Memento.open(source.url, { keys: source.keys });
  await fillForCopy(memento, MEMENTOS);
  wanted = await standOf(source);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A place with a key of its own. */
function keyed(name: string, url: string): ChainPlace {
  const file = path.join(folder, `${name}.its-key`);
  writeFileSync(file, `${formatKey(randomBytes(32))}\n`, { mode: 0o600 });
  return { url, keys: { file }, named: file };
}

const place = (scheme: string, name: string): ChainPlace => keyed(name, `${scheme}:${path.join(folder, name)}`);

async function expectSound({ url, keys }: ChainPlace): Promise<void> {
  await using memento = await Memento.open(url, { keys, create: false });
  expect((await memento.verify()).damages).toEqual([]);
  for await (const { lease } of memento.timelines()) expect(lease.owner).toBeNull();
  const docs = memento.caretaker("docs");
  expect((await docs.pins()).map(({ id }) => id)).toEqual([(await docs.info("pinned")).id]);
  expect(await memento.caretaker("etl").policy()).toMatchObject({ maxCount: 1_000_000 });
}

describe("a copy that is killed again and again", () => {
  test("SQLite -> file -> SQLite, killed five times: ends identical, each store under keys of its own", async () => {
    const [files, last] = [place("file", "files"), place("sqlite", "last.db")];
    const first = await killedCopy(source, files, MEMENTOS, [0.05, 0.3, 0.7]);
    expect(first).toMatchObject({ kills: 3, report: { verified: { identical: true, digest: wanted.digest } } });
    const second = await killedCopy(files, last, MEMENTOS, [0.2, 0.6]);
    expect(second).toMatchObject({ kills: 2, report: { verified: { identical: true, digest: wanted.digest } } });
    for (const copy of [files, last]) {
      expect(await standOf(copy)).toEqual(wanted);
      await expectSound(copy);
    }
    const again = await killedCopy(source, last, MEMENTOS, []);
    expect(again.report).toMatchObject({ copied: 0, removedCopied: 0, bytes: 0, evidence: 0, newTimelines: 0 });
  });

  test("through memory, and into a store that is not sealed", async () => {
    const plain = { ...place("sqlite", "plain.db"), keys: false, named: "none" } as const;
    await using from = await Memento.open(source.url, { keys: source.keys });
    await using between = await Memento.open(await MemoryStore.open(), { keys: { raw: [randomBytes(32)] } });
    await using to = await Memento.open(plain.url, { keys: false });
    await from.copyTo(between);
    expect((await between.copyTo(to)).verified).toMatchObject({ identical: true, digest: wanted.digest });
    expect(await standOf(plain)).toEqual(wanted);
    await expectSound(plain);
  });
});

const servers =
  (await requireEngine("PostgreSQL", probePostgres)) && (await requireEngine("versitygw", versitygwIsThere));

describe.skipIf(!servers)("a copy from server to server", () => {
  test("SQLite -> PostgreSQL -> S3 -> SQLite, killed five times: ends identical", async () => {
    await using postgres = await startPostgres();
    await using s3 = await startVersitygw();
    // The driver finds its credentials where the SDK looks for them.
    for (const [name, value] of Object.entries(s3.environment)) process.env[name] = value;
    const table = keyed("postgres", postgres.url("copied"));
    const objects = keyed("s3", s3.url(await s3.bucket(), "copied"));
    const last = place("sqlite", "from-s3.db");
    const hops: readonly (readonly [ChainPlace, ChainPlace, readonly number[]])[] = [
      [source, table, [0.1, 0.6]],
      [table, objects, [0.2, 0.7]],
      [objects, last, [0.4]],
    ];
    let kills = 0;
    for (const [from, to, shares] of hops) {
      const copy = await killedCopy(from, to, MEMENTOS, shares, s3.environment);
      expect(copy.report).toMatchObject({ verified: { identical: true, digest: wanted.digest } });
      expect(await standOf(to)).toEqual(wanted);
      await expectSound(to);
      kills += copy.kills;
    }
    expect(kills).toBe(5);
  });
});
