import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

import { BenchError } from "../bench-error.ts";
import { median } from "../measure.ts";
import { OurStates } from "../memento-states.ts";
import { amount, type Comparison } from "../report.ts";
import { settle } from "../settle.ts";
import { seededDice, shuffled, type Dice } from "../states/random.ts";
import { SIZES, StateSequence, type SizeName } from "../states/state-sequence.ts";
import type { SuiteContext } from "./suite.ts";

const USUAL_SIZES: readonly SizeName[] = ["100KB", "1MB"];
const INCREMENTS_A_SAVE = 20;
const INCREMENTS_TARGETED = 1000;
const PASSES = 3;
const SUSPECTS = 10;
const SUSPECT_LOADS = 25;
const RATIO_MAX = 1.5;

/** A memento by what it must give back. */
interface Increment {
  readonly id: string;
  readonly digest: string;
}

/**
 * Many increments of a state whose size stays the same: is any of them dear to load? Every one is loaded three times, in an
 * order by chance and each time through a store handle that has read nothing. The ten slowest by median are then loaded in
 * turns with a full memento of the very same value, so that a pause which hit one of them is not taken for its own; the
 * worst ratio counts. Then a tenth of all is deleted at random, garbage is collected, and the rest must be exact.
 */
export async function measureIncrements(context: SuiteContext, folder: string): Promise<readonly Comparison[]> {
  const comparisons: Comparison[] = [];
  const usual = USUAL_SIZES.filter((size) => context.sizes.has(size));
  const sizes = usual.length > 0 ? usual : [...context.sizes];
  for (const size of sizes) {
    const own = mkdtempSync(join(folder, `${size}-`));
    try {
      comparisons.push(await measureSize(context, own, size));
    } finally {
      rmSync(own, { recursive: true });
    }
  }
  return comparisons;
}

async function measureSize({ saves, say, print }: SuiteContext, folder: string, size: SizeName): Promise<Comparison> {
  const count = saves * INCREMENTS_A_SAVE;
  const dice = seededDice(SIZES[size]);
  say(`increments of ${size}: ${count} saves`);
  const increments = await saveAll(folder, size, count);
  settle(folder);
  say(`increments of ${size}: loading each ${PASSES} times`);
  const times = await loadAll(folder, increments, dice);
  const medians = times.map((of) => median(of));
  const suspects = medians
    .map((ms, index) => ({ ms, index }))
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, SUSPECTS);
  const beside = await loadBesideFull(
    folder,
    suspects.map(({ index }) => at(increments, index)),
  );
  say(`increments of ${size}: deleting a tenth, loading the rest`);
  const left = await deleteSome(folder, increments, dice);
  const worst = beside.toSorted((a, b) => ratio(b) - ratio(a))[0];
  if (worst === undefined) throw new BenchError("there are no increments");
  print(
    [
      `${count} increments of ${size}, 1 % of the rows replaced in each`,
      `  load of any: median ${amount(median(medians), "ms")}, slowest of the medians of ${PASSES} ${amount(Math.max(...medians), "ms")}`,
      `  the ${beside.length} slowest again, each in turns with a full memento of its value:`,
      `    ${beside.map((pair, index) => `#${suspects[index]?.index} ${ratio(pair).toFixed(2)}x`).join(", ")}`,
      `  ${count - left} deleted at random, garbage collected: all other ${left} loaded exactly\n`,
    ].join("\n"),
  );
  const isTargeted = count === INCREMENTS_TARGETED && USUAL_SIZES.includes(size);
  return {
    work: `vault/increments of ${size}: slowest load`,
    unit: "ms",
    ours: [worst.increment],
    peers: { "full memento of the same value": [worst.full] },
    ratioIs: "increment / full",
    ratioOf: (ours, [full = Number.NaN]) => ours / full,
    target: isTargeted ? `<= ${RATIO_MAX}x` : "",
    isMet: isTargeted ? (value) => value <= RATIO_MAX : null,
  };
}

async function saveAll(folder: string, size: SizeName, count: number): Promise<readonly Increment[]> {
  await using store = await OurStates.open(folder);
  const states = new StateSequence(size, "replaced");
  const increments: Increment[] = [];
  for (let save = 0; save < count; save++) {
    if (save > 0) states.advance();
    increments.push({ id: await store.save(states.state), digest: digest(states.state) });
  }
  return increments;
}

/** The times of each increment's loads, in the order of the increments. */
async function loadAll(folder: string, increments: readonly Increment[], dice: Dice): Promise<readonly number[][]> {
  const times: number[][] = increments.map(() => []);
  for (let pass = 0; pass < PASSES; pass++) {
    for (const index of shuffled(increments.length, dice)) {
      const { ms, value } = await load(folder, at(increments, index).id);
      times[index]?.push(ms);
      if (pass === 0) mustBe(value, at(increments, index));
    }
  }
  return times;
}

interface Pair {
  readonly increment: number;
  readonly full: number;
}

/** Medians of each increment's load and of a full memento's of the same value, taken in turns. */
async function loadBesideFull(folder: string, suspects: readonly Increment[]): Promise<readonly Pair[]> {
  const ids: { readonly increment: string; readonly full: string }[] = [];
  await using writing = new AsyncDisposableStack();
  const store = writing.use(await OurStates.open(folder));
  for (const { id } of suspects)
    ids.push({ increment: id, full: await store.save((await load(folder, id)).value, true) });
  await writing.disposeAsync();
  settle(folder);
  const times = ids.map(() => ({ increment: [] as number[], full: [] as number[] }));
  for (let turn = 0; turn < SUSPECT_LOADS; turn++) {
    for (const [index, pair] of ids.entries()) {
      const order = turn % 2 === 0 ? (["increment", "full"] as const) : (["full", "increment"] as const);
      for (const which of order) times[index]?.[which].push((await load(folder, pair[which])).ms);
    }
  }
  return times.map(({ increment, full }) => ({ increment: median(increment), full: median(full) }));
}

/** Deletes a tenth, collects garbage, and loads all others; how many these are. */
async function deleteSome(folder: string, increments: readonly Increment[], dice: Dice): Promise<number> {
  const order = shuffled(increments.length, dice);
  const deleted = new Set(order.slice(0, Math.round(increments.length / 10)));
  await using store = await OurStates.open(folder);
  for (const index of deleted) await store.remove(at(increments, index).id);
  await store.collectGarbage();
  const left = increments.filter((_, index) => !deleted.has(index));
  for (const increment of left) mustBe((await load(folder, increment.id)).value, increment);
  return left.length;
}

async function load(folder: string, id: string): Promise<{ readonly ms: number; readonly value: unknown }> {
  await using reader = await OurStates.reader(folder, id);
  const start = performance.now();
  const value = await reader.load();
  return { ms: performance.now() - start, value };
}

function mustBe(value: unknown, increment: Increment): void {
  if (digest(value) !== increment.digest) throw new BenchError(`ours: memento ${increment.id} is not what was saved`);
}

function digest(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

function ratio({ increment, full }: Pair): number {
  return increment / full;
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`no item ${index}`);
  return item;
}
