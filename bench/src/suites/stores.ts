import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";

import { STATE_BYTES, type StoreName } from "../arguments.ts";
import { BenchError } from "../bench-error.ts";
import { interleave } from "../measure.ts";
import { newKey, OurSaves } from "../memento-saves.ts";
import type { Comparison } from "../report.ts";
import { settle } from "../settle.ts";
import { STORE_ENGINES } from "../stores/engines.ts";
import type { StartedEngine, StoreEngine, StorePlace } from "../stores/store-engine.ts";
import type { SuiteContext } from "./suite.ts";

/** How many different states there are: no writer saves one that it has just saved. */
const STATES = 16;
/** What one turn writes at most, so that a fast engine fills neither disk nor memory. */
const TURN_BYTES_MAX = 128_000_000;

/** What JSON has around the text. */
const AROUND_TEXT = JSON.stringify({ text: "" }).length;

/** One state, and the bytes that the bare client writes in its place. */
interface Payload {
  readonly state: { readonly text: string };
  readonly json: Buffer;
}

/** Saves and loads a second. */
interface Rates {
  readonly saves: number;
  readonly loads: number;
}

/** One contender in one turn. */
interface Keeper extends AsyncDisposable {
  save(writer: number, payload: Payload): Promise<string>;
  /** The length of the state's text that was read. */
  load(id: string): Promise<number>;
}

/** What is measured in one row of the report. */
interface Work {
  readonly size: keyof typeof STATE_BYTES;
  readonly writers: number;
  readonly seconds: number;
}

/**
 * Saves and loads a second by 1, 8 and 64 callers at once, on each engine: through a caretaker (sealed, verified, durable), and by
 * the engine's bare client with the same bytes. A turn has an empty place of its own on the same server; opening it is in
 * nobody's time.
 */
export async function storesSuite(context: SuiteContext): Promise<readonly Comparison[]> {
  const { engines, scratch, say } = context;
  const comparisons: Comparison[] = [];
  for (const [name, engine] of STORE_ENGINES) {
    if (!engines.has(name)) continue;
    say(`starting ${engine.title}`);
    const folder = scratch.folder(name);
    await using started = await engine.start(folder);
    for (const size of context.stateSizes) {
      for (const writers of context.writers) {
        const work = { size, writers: Number(writers), seconds: context.seconds };
        comparisons.push(...(await measure(context, { name, engine, started, folder }, work)));
      }
    }
  }
  return comparisons;
}

interface Bench {
  readonly name: StoreName;
  readonly engine: StoreEngine;
  readonly started: StartedEngine;
  readonly folder: string;
}

async function measure(
  { rounds, say }: SuiteContext,
  { name, engine, started, folder }: Bench,
  work: Work,
): Promise<readonly Comparison[]> {
  const payloads = payloadsOf(STATE_BYTES[work.size]);
  const turn = (open: (place: StorePlace) => Promise<Keeper>) => async (): Promise<Rates> => {
    settle(folder);
    const place = await started.place();
    const keeper = await open(place);
    try {
      return await ratesOf(keeper, payloads, work);
    } finally {
      await keeper[Symbol.asyncDispose]();
      await started.wipe?.();
    }
  };
  const title = `stores/${name}/${work.size}/${work.writers} writer${work.writers === 1 ? "" : "s"}`;
  const samples = await interleave<Rates>(
    [
      { name: "ours", measure: turn(openOurs) },
      { name: "bare", measure: turn(async (place) => await openBare(place, work.writers)) },
    ],
    { warmUps: 1, rounds, onRound: (round, total) => say(`${title}: round ${round} of ${total}`) },
  );
  const of = (contender: string, figure: keyof Rates) => samples.get(contender)?.map((rates) => rates[figure]) ?? [];
  return (["saves", "loads"] as const).map((figure) => ({
    work: `${title}: ${figure}`,
    unit: `${figure}/s`,
    ours: of("ours", figure),
    peers: { [engine.bareTitle]: of("bare", figure) },
    ratioIs: "ours / bare",
    ratioOf: (ours, [bare = Number.NaN]) => ours / bare,
    target: "",
    isMet: null,
  }));
}

/** Saves for the time given, then loads what was saved for as long. */
async function ratesOf(keeper: Keeper, payloads: readonly Payload[], { size, writers, seconds }: Work): Promise<Rates> {
  const ids: string[] = [];
  const most = Math.max(writers, Math.floor(TURN_BYTES_MAX / STATE_BYTES[size]));
  const saves = await rateOf({ writers, seconds, most }, async (writer, number) => {
    const payload = payloads[number % payloads.length];
    if (payload !== undefined) ids.push(await keeper.save(writer, payload));
  });
  const length = payloads[0]?.state.text.length;
  const loads = await rateOf({ writers, seconds, most }, async (_writer, number) => {
    const read = await keeper.load(ids[(number * 7) % ids.length] ?? "");
    if (read !== length) throw new BenchError(`what was loaded is ${read} characters long, not ${length}`);
  });
  return { saves, loads };
}

/** How often a second `work` is done by that many callers at once, each with one call under way. */
export async function rateOf(
  { writers, seconds, most }: { writers: number; seconds: number; most: number },
  work: (writer: number, number: number) => Promise<void>,
): Promise<number> {
  assert.ok(most >= writers);
  const start = performance.now();
  const isOver = (): boolean => begun >= most || performance.now() - start >= seconds * 1000;
  let begun = 0;
  let done = 0;
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      do {
        await work(writer, begun++);
        done++;
      } while (!isOver());
    }),
  );
  return done / ((performance.now() - start) / 1000);
}

/** States whose bytes nothing can make much smaller, and of which none is like another. */
function payloadsOf(bytes: number): readonly Payload[] {
  return Array.from({ length: STATES }, () => {
    const state = {
      text: randomBytes(Math.ceil(bytes * 0.75))
        .toString("base64")
        .slice(0, bytes),
    };
    return { state, json: Buffer.from(JSON.stringify(state)) };
  });
}

async function openOurs({ url }: StorePlace): Promise<Keeper> {
  const ours = await OurSaves.open(url, newKey());
  return {
    save: async (writer, { state }) => await ours.save(writer, state),
    load: async (id) => ((await ours.load(id)) as Payload["state"]).text.length,
    [Symbol.asyncDispose]: () => ours[Symbol.asyncDispose](),
  };
}

async function openBare(place: StorePlace, writers: number): Promise<Keeper> {
  const bare = await place.bare(writers);
  let keys = 0;
  return {
    save: async (_writer, { json }) => {
      const key = `k${keys++}`;
      await bare.put(key, json);
      return key;
    },
    load: async (key) => (await bare.get(key)).length - AROUND_TEXT,
    [Symbol.asyncDispose]: () => bare[Symbol.asyncDispose](),
  };
}
