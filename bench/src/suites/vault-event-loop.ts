import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

import { blockedDuring, type Blocked } from "../blocked.ts";
import { timeMs } from "../measure.ts";
import { OurStates } from "../memento-states.ts";
import { renderTable, type Comparison } from "../report.ts";
import { settle } from "../settle.ts";
import { StateSequence, type SizeName } from "../states/state-sequence.ts";
import type { SuiteContext } from "./suite.ts";

const TARGETED: SizeName = "10MB";
const REPEATS = 7;
const WARM_UPS = 2;
const RATIO_MAX = 1.2;

interface Figures {
  readonly first: Blocked[];
  readonly next: Blocked[];
  readonly stringifyMs: number[];
}

/**
 * How long a save keeps the event loop from doing anything else, beside JSON.stringify of the same state: the first save
 * into an empty store, and the next one, of the state after 1 % of its rows were changed and 1 % appended.
 */
export async function measureEventLoop(
  { sizes, say, print }: SuiteContext,
  folder: string,
): Promise<readonly Comparison[]> {
  const size = sizes.has(TARGETED) ? TARGETED : ([...sizes].at(-1) ?? TARGETED);
  const figures: Figures = { first: [], next: [], stringifyMs: [] };
  for (let repeat = 0; repeat < WARM_UPS + REPEATS; repeat++) {
    say(`event loop, ${size}: ${repeat + 1} of ${WARM_UPS + REPEATS}${repeat < WARM_UPS ? " (warm-up)" : ""}`);
    const own = mkdtempSync(join(folder, "store-"));
    try {
      await saveTwice(own, size, repeat < WARM_UPS ? { first: [], next: [], stringifyMs: [] } : figures);
    } finally {
      rmSync(own, { recursive: true });
    }
  }
  const row = (save: "first" | "next", what: "longest" | "total"): Comparison => {
    const isTargeted = what === "longest" && size === TARGETED;
    return {
      work: `vault/event loop, ${save} save of ${size}: ${what} blocked`,
      unit: "ms",
      ours: figures[save].map((blocked) => blocked[`${what}Ms`]),
      peers: { "JSON.stringify": figures.stringifyMs },
      ratioIs: "blocked / JSON.stringify",
      ratioOf: (ours, [stringify = Number.NaN]) => ours / stringify,
      target: isTargeted ? `<= ${RATIO_MAX}x` : "",
      isMet: isTargeted ? (ratio) => ratio <= RATIO_MAX : null,
    };
  };
  const rows = [row("first", "longest"), row("first", "total"), row("next", "longest"), row("next", "total")];
  print(`Event loop blocked while ${size} are saved, ${REPEATS} repeats\n${renderTable(rows)}\n`);
  return rows;
}

async function saveTwice(folder: string, size: SizeName, { first, next, stringifyMs }: Figures): Promise<void> {
  const states = new StateSequence(size, "scattered");
  await using store = await OurStates.open(folder);
  settle(folder);
  stringifyMs.push(await timeMs(() => void JSON.stringify(states.state)));
  settle(folder);
  first.push(await blockedDuring(() => store.save(states.state)));
  states.advance();
  settle(folder);
  next.push(await blockedDuring(() => store.save(states.state)));
}
