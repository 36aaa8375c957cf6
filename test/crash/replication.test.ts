import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { mementoQuery } from "../../packages/memento/src/store/query.ts";
import { SqliteStore } from "../../packages/memento/src/store/sqlite/store.ts";
import type { MementoStore } from "../../packages/memento/src/store/store.ts";
import { fileReplicaState, promoteReplica, replicateStore } from "../../packages/memento/src/store/wrap/index.ts";
import { SeededRandom } from "../../packages/memento/src/testing/seeded-random.ts";
import { headCheck, rowCheck } from "../../packages/memento/src/testing/store/fixture.ts";
import { collect } from "../../packages/memento/src/testing/store/kit.ts";
import { fixtureReplicaAuthority, replicaContent } from "../harness/replica-content.ts";
import type { ReplicatorNews, ReplicatorTask } from "../workers/replicator.ts";

const PROGRAM = fileURLToPath(new URL("../workers/replicator.ts", import.meta.url));
const LIFETIME_MS_MAX = 180_000;
const ROUNDS = 3;
const authority = fixtureReplicaAuthority();

interface Place {
  readonly task: Omit<ReplicatorTask, "kill" | "mode">;
  readonly open: (name: "primary" | "replica") => Promise<MementoStore>;
}

async function withPlace(run: (place: Place) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "memento-replication-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => await rm(folder, { recursive: true }));
  const [primary, replica, progress] = ["primary.db", "replica.db", "progress.json"].map((name) => join(folder, name));
  assert.ok(primary && replica && progress);
  const open = async (name: "primary" | "replica"): Promise<MementoStore> =>
    stack.use(await SqliteStore.open({ path: name === "primary" ? primary : replica }));
  await run({ task: { primary, replica, progress, seed: 1, rounds: ROUNDS }, open });
}

async function work(task: ReplicatorTask): Promise<readonly ReplicatorNews[]> {
  const options = { timeout: LIFETIME_MS_MAX, killSignal: "SIGKILL" } as const;
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(task)], {
    ...options,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [said, failed] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (failed += text));
  await new Promise((resolve) => child.once("close", resolve));
  if (task.kill === null) assert.equal(child.exitCode, 0, failed);
  else assert.ok(child.signalCode === "SIGKILL" || child.exitCode === 0, failed);
  return said
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as ReplicatorNews);
}

/** Nothing on the replica is more than on the primary, or other than what it had there at some time. */
async function expectBehind(primary: MementoStore, replica: MementoStore): Promise<void> {
  expect(await collect(replica.check())).toEqual([]);
  for await (const { record, head, lease } of replica.timelines(null)) {
    const here = await primary.timeline(record.key);
    expect(record).toEqual(here?.record);
    expect(head?.sequence ?? 0).toBeLessThanOrEqual(here?.head?.sequence ?? 0);
    expect(lease.epoch).toBeLessThanOrEqual(here?.lease.epoch ?? 0);
    expect(lease.check).toBe(rowCheck(lease));
    if (head !== null) expect(head.check).toBe(headCheck(record.key, head.id, head.sequence));
  }
  for (const record of await replica.caretakers()) expect(record.check).toBe(rowCheck(record));
  for await (const { entry, removed } of replica.query(mementoQuery({ removed: true }))) {
    const here = await primary.read(entry.id);
    assert.ok(here !== null, `${entry.id} is on the replica only`);
    if (removed) expect(here.removed).toBe(true);
  }
}

async function expectAcknowledged(replica: MementoStore, news: readonly ReplicatorNews[]): Promise<void> {
  for (const { saved = [], removed } of news) {
    for (const id of saved)
      assert.ok((await replica.read(id)) !== null, `${id} was acknowledged, and the replica lacks it`);
    if (removed !== undefined) expect((await replica.read(removed))?.removed).toBe(true);
  }
}

async function expectSameOnceCaughtUp({ task, open }: Place): Promise<void> {
  const [primary, replica] = [await open("primary"), await open("replica")];
  await using store = replicateStore({
    primary: await open("primary"),
    replicas: [{ store: await open("replica"), state: fileReplicaState(task.progress) }],
    mode: "streamed",
    authority,
  });
  await store.catchUp();
  await store.compare();
  expect(await replicaContent(replica)).toEqual(await replicaContent(primary));
  expect(await collect(replica.check())).toEqual([]);
}

/** Some of all moments, spread over the whole run; the first and the last among them. */
function moments(calls: number, count: number): readonly number[] {
  const random = new SeededRandom(7);
  const stride = calls / count;
  const inside = Array.from(
    { length: count },
    (_, at) => 1 + Math.floor(at * stride) + random.integer(Math.max(1, Math.floor(stride))),
  );
  return [...new Set([1, ...inside, calls])].filter((call) => call <= calls);
}

describe("replication, killed by SIGKILL", () => {
  test.each([
    ["synchronous", "before"],
    ["synchronous", "after"],
    ["streamed", "before"],
    ["streamed", "after"],
  ] as const)(
    "%s, %s a call of the replica: never ahead, never wrong, and the same once it has caught up",
    async (mode, phase) => {
      let calls = 0;
      await withPlace(async (place) => {
        const news = await work({ ...place.task, mode, kill: null });
        calls = news.at(-1)?.calls ?? 0;
        await expectSameOnceCaughtUp(place);
      });
      expect(calls).toBeGreaterThan(60);
      for (const call of moments(calls, 10)) {
        await withPlace(async (place) => {
          const news = await work({ ...place.task, mode, kill: { call, phase } });
          const [primary, replica] = [await place.open("primary"), await place.open("replica")];
          if ((await primary.meta()) === null || (await replica.meta()) === null) return;
          await expectBehind(primary, replica);
          if (mode === "synchronous") await expectAcknowledged(replica, news);
          await expectSameOnceCaughtUp(place);
        });
      }
    },
    900_000,
  );

  test("what is promoted wherever its primary died can be written at once, and has all that was acknowledged", async () => {
    for (const call of [40, 90, 140]) {
      await withPlace(async ({ task, open }) => {
        const news = await work({ ...task, mode: "synchronous", kill: { call, phase: "after" } });
        const replica = await open("replica");
        await expectAcknowledged(replica, news);
        await promoteReplica(replica, { authority });
        for await (const { record, lease } of replica.timelines(null)) {
          const next = { timeline: record.key, lease: authority.freeLease(record.key, lease.epoch + 1) };
          expect(await replica.acquireLease(next)).toBe(true);
        }
        expect(await collect(replica.check())).toEqual([]);
      });
    }
  }, 600_000);
});
