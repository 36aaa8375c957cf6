import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

import { BenchError } from "../bench-error.ts";
import { interleave, median, spread, timeMs, type Contender } from "../measure.ts";
import type { OpenKeeper, StateKeeper } from "../peers/state-keeper.ts";
import { amount, columns } from "../report.ts";
import { settle } from "../settle.ts";
import { StateSequence, type SizeName, type State } from "../states/state-sequence.ts";
import type { SuiteContext } from "./suite.ts";
import {
  takesPart,
  TITLES,
  type Kind,
  type Rival,
  type SequenceFigures,
  type SequenceResult,
} from "./vault-targets.ts";

const WARM_UP_SAVES = 5;

/**
 * A sequence of saves for each size and kind of change: each contender saves the very same states, into an empty folder
 * of its own, and then reads the last one through handles that have read nothing before. All of them take turns.
 */
export async function measureSequences(
  context: SuiteContext,
  openOurs: OpenKeeper,
  rivals: ReadonlyMap<Rival, OpenKeeper>,
): Promise<readonly SequenceResult[]> {
  const { sizes, kinds, rounds, saves, say, print } = context;
  const folder = context.scratch.folder("sequences");
  const openers = new Map<Rival | "ours", OpenKeeper>([["ours", openOurs], ...rivals]);
  const results: SequenceResult[] = [];
  for (const size of sizes) {
    say(`${size}: warm-up`);
    for (const [name, open] of openers) {
      if (!isProgram(name))
        await runSequence(open, {
          folder,
          size,
          kind: "scattered",
          saves: Math.min(saves, WARM_UP_SAVES),
          loads: 1,
          name,
        });
    }
    for (const kind of kinds) {
      const contenders = [...openers]
        .filter(([name]) => name === "ours" || takesPart(name, size, kind))
        .map(([name, open]): Contender<SequenceFigures> => ({
          name,
          measure: async (round) =>
            isProgram(name) && round > 0
              ? undefined
              : await runSequence(open, { folder, size, kind, saves, loads: size === "10MB" ? 3 : 5, name }),
        }));
      const figures = await interleave(results.length % 2 === 0 ? contenders : contenders.toReversed(), {
        warmUps: 0,
        rounds: roundsAt(size, rounds),
        onRound: (round, total) => say(`${size}, ${kind}: round ${round} of ${total}`),
      });
      results.push({ size, kind, figures });
      print(renderSequence({ size, kind, figures }, saves, logicalBytes(size, kind, saves)));
    }
  }
  return results;
}

interface Sequence {
  readonly folder: string;
  readonly size: SizeName;
  readonly kind: Kind;
  readonly saves: number;
  readonly loads: number;
  readonly name: string;
}

/** One keeper, one sequence: every save by itself is timed, and so is each reading; nothing else is. */
async function runSequence(
  open: OpenKeeper,
  { folder, size, kind, saves, loads, name }: Sequence,
): Promise<SequenceFigures> {
  const own = mkdtempSync(join(folder, `${name}-`));
  settle(own);
  try {
    await using keeper = await open(own);
    const states = new StateSequence(size, kind);
    const times: number[] = [];
    for (let save = 0; save < saves; save++) {
      if (save > 0) states.advance();
      const { state } = states;
      keeper.prepare?.(state);
      times.push(await timeMs(() => keeper.save(state)));
    }
    const bytes = await keeper.finish();
    settle(own);
    const loadMs = await loadLast(keeper, states.state, loads, name);
    const [firstSaveMs = Number.NaN, ...later] = times;
    return { saveMs: median(later), firstSaveMs, bytes, loadMs };
  } finally {
    rmSync(own, { recursive: true });
  }
}

async function loadLast(keeper: StateKeeper, state: State, loads: number, name: string): Promise<number> {
  const times: number[] = [];
  const expected = JSON.stringify(state);
  for (let load = 0; load < loads; load++) {
    await using reader = await keeper.reader();
    let loaded: unknown;
    times.push(
      await timeMs(async () => {
        loaded = await reader.load();
      }),
    );
    if (JSON.stringify(loaded) !== expected) throw new BenchError(`${name}: what was loaded is not what was saved`);
  }
  return median(times);
}

/** One round at 10 MB, where there are enough saves in one, for every three at the other sizes. */
function roundsAt(size: SizeName, rounds: number): number {
  return size === "10MB" ? Math.ceil(rounds / 3) : rounds;
}

/** Those that start a process for every save have one round: it takes a minute. */
function isProgram(name: string): boolean {
  return name === "restic" || name === "borg";
}

/** What all states of a sequence have together, as JSON. */
function logicalBytes(size: SizeName, kind: Kind, saves: number): number {
  const states = new StateSequence(size, kind);
  let bytes = 0;
  for (let save = 0; save < saves; save++) {
    if (save > 0) states.advance();
    bytes += JSON.stringify(states.state).length;
  }
  return bytes;
}

function renderSequence({ size, kind, figures }: SequenceResult, saves: number, logical: number): string {
  const lines = [...figures].map(([name, rounds]) => {
    const of = (figure: keyof SequenceFigures) => rounds.map((one) => one[figure]);
    const bytes = median(of("bytes"));
    return [
      TITLES[name as keyof typeof TITLES],
      withRange(of("saveMs")),
      amount(median(of("firstSaveMs")), "ms"),
      amount(bytes, "B"),
      `${((100 * bytes) / logical).toFixed(1)} %`,
      withRange(of("loadMs")),
      String(rounds.length),
    ];
  });
  const order = Object.values<string>(TITLES);
  lines.sort(([a = ""], [b = ""]) => order.indexOf(a) - order.indexOf(b));
  const heading = `${size}, ${kind}: ${saves} saves, ${amount(logical, "B")} of JSON in all`;
  return `${heading}\n${columns([["", "save", "first save", "on disk", "of the JSON", "load of the last", "rounds"], ...lines])}\n`;
}

function withRange(values: readonly number[]): string {
  const { median: middle, min, max } = spread(values);
  return values.length === 1
    ? amount(middle, "ms")
    : `${amount(middle, "ms")} (${amount(min, "")}- ${amount(max, "").trimEnd()})`;
}
