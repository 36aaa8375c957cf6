import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { extent } from "../../../../../test/harness/extent.ts";
import { runProcess } from "../../../../../test/harness/process.ts";
import { expectAppended, StoreFixture } from "../../testing/store/fixture.ts";
import { FileStore } from "./store.ts";

const LIST = fileURLToPath(new URL("../../../../../test/workers/file-list.ts", import.meta.url));
/** What a process has that lists; the rows of the whole list, held at once, take some 90 MB. */
const HEAP_MB = 40;
const TIMELINES = 20;
const SINGLE = 1_000;
const PACKED = extent({ plain: 60_000, all: 99_000 });
const PACK = 150;

let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "memento-file-"));
  path = join(folder, "store");
  await using store = await FileStore.open({ path });
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
  const lines = [];
  for (let index = 0; index < TIMELINES; index++) lines.push(await make.timeline(store));
  for (let index = 0; index < SINGLE; index++) await lines[0]?.save(store, { labels: { number: String(index) } });
  for (let index = 0; index < PACKED / PACK; index++) {
    const line = lines[index % TIMELINES];
    if (line === undefined) continue;
    const records = Array.from({ length: PACK }, () =>
      line.next({ created: new Date((index * 7_919) % 4_001).toISOString() }),
    );
    expectAppended(await store.append(make.batch(records)));
  }
}, 300_000);
afterAll(async () => {
  await rm(folder, { recursive: true });
});

describe(`a list of ${SINGLE + PACKED} mementos`, { timeout: 200_000 }, () => {
  test.each(["log", "created"])("by %s fits into a small heap", async (sort) => {
    const limit = `--max-old-space-size=${HEAP_MB}`;
    const { stdout, exitCode, stderr } = await runProcess(process.execPath, [limit, LIST, path, sort], {
      timeoutMs: 180_000,
    });
    expect(exitCode, stderr.slice(0, 2_000)).toBe(0);
    expect(Number(stdout)).toBe(SINGLE + PACKED);
  });
});
