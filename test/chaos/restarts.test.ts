import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

import { Memento } from "@mementojs/memento";
import { SeededRandom } from "@mementojs/memento/testing";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { requireEngine } from "../harness/engines.ts";
import type { Server } from "../harness/servers/server.ts";
import { NETWORKED_ENGINES } from "./engines.ts";
import { runLoad } from "./load.ts";

const SECONDS = Number(process.env["MEMENTO_CHAOS_SECONDS"] ?? "15");
const SEED = 20_261_121;
/** One by kill -9 and one in order. Until they were seen, and a run that one interrupted, the load lasts on. */
const RESTARTS_MIN = 2;
const SECONDS_MAX = SECONDS + 240;
const keys = { raw: [new Uint8Array(32).fill(7)] };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-restarts-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  vi.unstubAllEnvs();
});

/** Every 5 to 10 s; more often in a short run, so that there are a few. */
const [pauseMs, spreadMs] = SECONDS >= 60 ? [5_000, 5_000] : [2_500, 2_500];

/** Restarts the server again and again until the signal, by kill -9 and in order in turns; tells of each, and how often in the end. */
async function restartUntil(
  server: Server,
  stopSignal: NodeJS.Signals,
  signal: AbortSignal,
  onRestarted: () => void,
): Promise<number> {
  const random = new SeededRandom(SEED);
  for (let restarts = 0; ; restarts++) {
    const pause = pauseMs + random.integer(spreadMs);
    const isOver = await sleep(pause, false, { signal }).catch((error: unknown) => {
      if (signal.aborted) return true;
      throw error;
    });
    if (isOver) return restarts;
    if (restarts % 2 === 0) await server.kill();
    else {
      server.signal(stopSignal);
      await server.stop();
    }
    await server.start();
    onRestarted();
  }
}

for (const engine of NETWORKED_ENGINES) {
  const { stopSignal } = engine;
  if (stopSignal === null) continue;
  const isThere = await requireEngine(engine.name, engine.probe);
  describe.skipIf(!isThere)(`${engine.name}, restarted under 64 pipelines`, () => {
    test("each run ends exactly once, and nothing that was acknowledged is lost", async () => {
      await using running = await engine.start();
      for (const [name, value] of Object.entries(running.environment)) vi.stubEnv(name, value);
      const url = await running.place();
      await using memento = await Memento.open(url(), { keys });
      const over = new AbortController();
      const start = performance.now();
      const seen = { restarts: 0, interrupted: 0 };
      const restarting = restartUntil(running.server, stopSignal, over.signal, () => void (seen.restarts += 1));
      const load = runLoad({
        memento,
        folder,
        pipelines: 64,
        withTable: 8,
        isOver: () => over.signal.aborted,
        onInterrupted: () => void (seen.interrupted += seen.restarts > 0 ? 1 : 0),
      });
      const hasShown = (): boolean => seen.restarts >= RESTARTS_MIN && seen.interrupted > 0;
      const enough = async (): Promise<void> => {
        await sleep(SECONDS * 1000);
        while (!hasShown() && performance.now() - start < SECONDS_MAX * 1000) await sleep(100);
      };
      // Restarts end with the last new run; those that are under way then end on a server that stays.
      const report = await Promise.race([
        load,
        enough().then(async () => {
          over.abort();
          return await load;
        }),
      ]).finally(() => over.abort());
      const restarts = await restarting;
      const seconds = Math.round((performance.now() - start) / 1000);
      console.info(
        `${engine.name}: ${report.runs} runs in ${seconds} s, ${restarts} restarts, resumed ${report.resumed} times`,
      );
      expect(report.problems).toEqual([]);
      expect(restarts).toBeGreaterThanOrEqual(RESTARTS_MIN);
      expect(report.runs).toBeGreaterThanOrEqual(64);
      expect(report.resumed).toBeGreaterThan(0);
      expect(await memento.verify()).toMatchObject({ sound: true });
    });
  });
}
