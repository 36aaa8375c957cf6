/**
 * The flights pipeline, killed by SIGKILL at random moments and started again. `MEMENTO_CRASH_ROWS=3000000` takes all
 * flights instead of the first 60,000, for the kills and for the peak of memory alike.
 */
import { randomInt } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { contentOf, loadedRows, memento, startMemento, worldIn } from "../../examples/flights/demo-world.ts";
import type { Started, World } from "../../examples/flights/demo-world.ts";
import { requireEngine } from "../harness/engines.ts";
import { extent } from "../harness/extent.ts";

const ROWS = Number(process.env["MEMENTO_CRASH_ROWS"] ?? 60_000);
const KILLS = extent({ plain: 8, all: 20 });
/** Runs at the same time, each in a folder of its own. */
const LANES = 2;
const KILLS_IN_THE_MIDDLE_MIN = (KILLS * 3) / 4;
const INTERVAL_RECORDS = 10_000;
const MEMORY_ROWS_SMALL = 300_000;
const MEMORY_ROWS_LARGE = Math.max(ROWS, 2 * MEMORY_ROWS_SMALL);
const MEMORY_RATIO_MAX = 1.2;
const LOOK_AGAIN_MS = 3;
const PIPELINE = path.resolve(import.meta.dirname, "../../examples/flights/pipeline.ts");
/** Generous: ten times what a calm machine needs. */
const TIMEOUT_MS = 300_000 + KILLS * ROWS * 0.15;

interface RunJson {
  readonly status: string;
  readonly resumed: boolean;
  readonly recordsReadAgain: number;
}

interface Round {
  readonly rowsAtKill: number;
  readonly result: RunJson;
  readonly said: string;
}

const hasProc = await requireEngine(
  "/proc",
  () => process.platform === "linux" || "only Linux tells a process's peak memory",
);

let folder: string;
let worlds = 0;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-flights-kill-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("the flights pipeline", () => {
  let expected: ReturnType<typeof contentOf>;
  let runMs: number;

  beforeAll(async () => {
    const undisturbed = newWorld();
    ({ runMs } = await watchedRun(undisturbed, ROWS));
    expected = contentOf(undisturbed);
  }, TIMEOUT_MS);

  test(
    `gives the uninterrupted run's table when it is killed at ${KILLS} random moments of ${ROWS} records`,
    async () => {
      const rounds: Round[] = [];
      const inTheMiddle = (): readonly Round[] =>
        rounds.filter(({ rowsAtKill }) => rowsAtKill > 0 && rowsAtKill < expected.flights.rows);
      const lane = async (): Promise<void> => {
        // Moments are drawn until enough of them were in the middle: a busy machine may come too late for some.
        while (rounds.length < KILLS || (inTheMiddle().length < KILLS_IN_THE_MIDDLE_MIN && rounds.length < 3 * KILLS)) {
          const world = newWorld();
          const moment = rounds.length % 7 === 0 ? atAnyTime(runMs) : whileLoading(ROWS);
          const round = await killedRound(world, moment);
          // A run that was over before its moment came was not killed: another moment is drawn.
          if (round === null) continue;
          expect(contentOf(world)).toEqual(expected);
          rounds.push(round);
          rmSync(world.folder, { recursive: true });
        }
      };
      await Promise.all(Array.from({ length: LANES }, lane));
      const again = rounds.map(({ result }) => result.recordsReadAgain);
      const rowsAtKill = rounds.map((round) => round.rowsAtKill);
      console.info(
        `${rounds.length} kills, ${inTheMiddle().length} of them between the first and the last commit, at ${rowsAtKill.join(" ")} rows; records read again: ${again.join(" ")}`,
      );
      for (const { result, said } of inTheMiddle()) {
        expect(result.resumed).toBe(true);
        expect(said).toMatch(
          /^resumed run .*(?:nothing had been written|[\d,]+ records? had been read) past the checkpoint/mu,
        );
      }
      expect(Math.max(...again)).toBeLessThanOrEqual(INTERVAL_RECORDS);
      expect(inTheMiddle().length).toBeGreaterThanOrEqual(KILLS_IN_THE_MIDDLE_MIN);
    },
    TIMEOUT_MS,
  );

  test(
    "gives it too when its resumptions are killed as well",
    async () => {
      const world = newWorld();
      for (let kill = 0; kill < 5; kill++) await killAt(world, whileLoading(ROWS / 3));
      await memento(world, runArguments(world, ROWS));
      expect(contentOf(world)).toEqual(expected);
    },
    TIMEOUT_MS,
  );

  test.skipIf(!hasProc)(
    `needs at most ${MEMORY_RATIO_MAX} times the memory for ${MEMORY_ROWS_LARGE} records that it needs for ${MEMORY_ROWS_SMALL}`,
    async () => {
      const small = Math.min(
        (await watchedRun(newWorld(), MEMORY_ROWS_SMALL)).peakKib,
        (await watchedRun(newWorld(), MEMORY_ROWS_SMALL)).peakKib,
      );
      const peaks: number[] = [];
      // On a machine without a free core the collector of garbage falls behind now and then; what grows with the
      // input is there each time.
      while (peaks.length < 3 && !(Math.min(...peaks) <= small * MEMORY_RATIO_MAX)) {
        const world = newWorld();
        peaks.push((await watchedRun(world, MEMORY_ROWS_LARGE)).peakKib);
        expect(contentOf(world).flights.rows).toBeGreaterThan(MEMORY_ROWS_LARGE * 0.99);
        rmSync(world.folder, { recursive: true });
      }
      console.info(
        `peak memory: ${small} KiB for ${MEMORY_ROWS_SMALL} records, ${peaks.join(" ")} KiB for ${MEMORY_ROWS_LARGE}`,
      );
      expect(Math.min(...peaks) / small).toBeLessThanOrEqual(MEMORY_RATIO_MAX);
    },
    TIMEOUT_MS,
  );
});

function newWorld(): World {
  const home = path.join(folder, String((worlds += 1)));
  mkdirSync(home);
  return worldIn(home, "correct horse battery staple");
}

function runArguments(world: World, rows: number): string[] {
  return ["run", PIPELINE, "--param", `into=${world.warehouse}`, "--param", `limit=${rows}`];
}

/** Kills a run, starts it again, and lets it end; null when it was over before it could be killed. */
async function killedRound(world: World, moment: Moment): Promise<Round | null> {
  if (!(await killAt(world, moment))) return null;
  const rowsAtKill = loadedRows(world);
  const { stdout, stderr } = await memento(world, [...runArguments(world, ROWS), "--json"]);
  return { rowsAtKill, result: JSON.parse(stdout) as RunJson, said: stderr };
}

/** Waits for the moment at which a run is to die. */
type Moment = (world: World, started: Started) => Promise<void>;

/** Somewhere in the life of a process, its first and its last breath included. */
function atAnyTime(runMs: number): Moment {
  return async () => await sleep(randomInt(Math.max(2, Math.floor(runMs))));
}

/** When a random number of further rows is in the table, and a random moment later. */
function whileLoading(rows: number): Moment {
  return async (world, started) => {
    const target = Math.min(loadedRows(world) + randomInt(rows), ROWS - 1);
    while (started.running && loadedRows(world) <= target) await sleep(LOOK_AGAIN_MS);
    await sleep(randomInt(2 * LOOK_AGAIN_MS));
  };
}

/** Kills a run at a moment; false when it was over before. */
async function killAt(world: World, moment: Moment): Promise<boolean> {
  const started = startMemento(world, runArguments(world, ROWS));
  await moment(world, started);
  started.kill();
  const { exitCode, signal, stderr } = await started.ended;
  if (signal !== "SIGKILL") expect(exitCode, stderr).toBe(0);
  return signal === "SIGKILL";
}

/** Runs undisturbed: how long it took, and the peak of its memory. */
async function watchedRun(world: World, rows: number): Promise<{ runMs: number; peakKib: number }> {
  const startedMs = performance.now();
  const started = startMemento(world, runArguments(world, rows));
  let peakKib = 0;
  while (started.running) {
    peakKib = peakOf(started.pid) ?? peakKib;
    await sleep(LOOK_AGAIN_MS);
  }
  const { exitCode, stderr } = await started.ended;
  expect(exitCode, stderr).toBe(0);
  return { runMs: performance.now() - startedMs, peakKib };
}

/** The most memory that a process has had so far; null once it is gone, or where the system does not say. */
function peakOf(pid: number): number | null {
  try {
    return (
      Number(/^VmHWM:\s+(?<kib>\d+) kB$/mu.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.groups?.["kib"] ?? "") ||
      null
    );
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH")) return null;
    throw error;
  }
}
