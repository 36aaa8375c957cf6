import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { extent } from "../../../../test/harness/extent.ts";
import { longStream, type StreamNews } from "../../../../test/workers/stream-saver.ts";
import { Memento } from "../memento.ts";
import { isPart, mementoQuery } from "../store/query.ts";
import { collectGarbage } from "./collect.ts";

const WORKER = fileURLToPath(new URL("../../../../test/workers/stream-saver.ts", import.meta.url));
const MB = 1_048_576;
const KEYS = { raw: [new Uint8Array(32).fill(7)] };

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "memento-stream-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

function runWorker(args: readonly string[]): { readonly news: StreamNews | null; readonly signal: string | null } {
  const { stdout, signal } = spawnSync(process.execPath, [WORKER, ...args], {
    encoding: "utf8",
    timeout: 240_000,
    stdio: ["ignore", "pipe", "inherit"],
  });
  return { news: stdout === "" ? null : (JSON.parse(stdout) as StreamNews), signal };
}

function digestOf(pieces: Iterable<Uint8Array>): string {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("base64url");
}

async function partsOf(memento: Memento, removed: boolean): Promise<number> {
  const rows = await Array.fromAsync(memento.vault.store.query(mementoQuery({ removed: true })));
  return rows.filter((row) => isPart(row.entry) && row.removed === removed).length;
}

const placeOf = {
  sqlite: () => `sqlite:${path.join(folder, "store.db")}`,
  file: () => `file:${path.join(folder, "store")}`,
};

const LONG_MB = extent({ plain: 200, all: 300 });
/** Twice what it takes; a copy of the stream, or of what is written, would be more than this. */
const GROWTH_MAX = 150 * MB;

describe.each(["sqlite", "file"] as const)("a long stream on a %s store", (engine) => {
  test(`takes no more memory than a short one: ${LONG_MB} MB in and out`, { timeout: 600_000 }, () => {
    const sha256 = digestOf(longStream(LONG_MB));
    const growths: number[] = [];
    // The collector of garbage falls behind now and then; what grows with the stream is there each time.
    while (growths.length < 3 && !(Math.min(...growths) < GROWTH_MAX)) {
      const { news, signal } = runWorker([placeOf[engine](), String(LONG_MB)]);
      expect(signal).toBeNull();
      expect(news).toMatchObject({ bytes: LONG_MB * MB, sha256 });
      growths.push(Math.max(news?.saveGrowthBytes ?? Infinity, news?.readGrowthBytes ?? Infinity));
    }
    expect(Math.min(...growths)).toBeLessThan(GROWTH_MAX);
  });

  // 12 MB are a few parts, and then the commit by which the stream becomes visible.
  test.each([
    [1, "before"],
    [1, "after"],
    [3, "after"],
  ])(
    "killed at append %i, %s it: the state before stays, and nothing is seen of the new one",
    { timeout: 240_000 },
    async (at, phase) => {
      const place = placeOf[engine]();
      const old = [...longStream(3)];
      {
        await using memento = await Memento.open(place, { keys: KEYS });
        await memento.caretaker("files").saveStream(old, { id: "old" });
      }
      expect(runWorker([place, "12", String(at), phase])).toEqual({ news: null, signal: "SIGKILL" });
      await using memento = await Memento.open(place, { keys: KEYS });
      const files = memento.caretaker("files");
      expect(await Array.fromAsync(files.list(), ({ name }) => name)).toEqual(["old"]);
      expect(await partsOf(memento, false)).toBe(phase === "before" ? at - 1 : at);
      expect((await memento.verify()).damages).toEqual([]);
      // Who comes next clears it away.
      const next = await files.saveStream(longStream(12), { id: "next" });
      expect(await partsOf(memento, false)).toBe(0);
      await collectGarbage(memento.vault);
      expect((await memento.verify()).damages).toEqual([]);
      expect(digestOf(await Array.fromAsync(await files.openStream(next.id)))).toBe(digestOf(longStream(12)));
      expect(digestOf(await Array.fromAsync(await files.openStream("old")))).toBe(digestOf(old));
    },
  );

  test(
    "killed right after it became visible: it is whole, and garbage collection takes nothing of it",
    { timeout: 240_000 },
    async () => {
      const place = placeOf[engine]();
      const last = await appendsFor12MB();
      expect(runWorker([place, "12", String(last), "after"])).toEqual({ news: null, signal: "SIGKILL" });
      await using memento = await Memento.open(place, { keys: KEYS });
      const files = memento.caretaker("files");
      const parts = await partsOf(memento, false);
      expect(parts).toBe(last - 1);
      await collectGarbage(memento.vault);
      expect([await partsOf(memento, false), await partsOf(memento, true)]).toEqual([0, parts + 1]);
      expect(digestOf(await Array.fromAsync(await files.openStream("long")))).toBe(digestOf(longStream(12)));
      await files.delete("long");
      await files.save("something else");
      await files.save("something else again", { originator: "other" });
      const { bytes } = await collectGarbage(memento.vault);
      expect(bytes).toBeGreaterThan(8 * MB);
      expect((await memento.verify()).damages).toEqual([]);
    },
  );
});

/** How many appends it takes to save 12 MB. */
async function appendsFor12MB(): Promise<number> {
  await using memento = await Memento.open("memory:");
  await memento.caretaker("files").saveStream(longStream(12));
  // The last part is an empty one, and comes after the stream.
  return await partsOf(memento, true);
}
