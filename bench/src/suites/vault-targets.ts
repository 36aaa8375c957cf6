import type { EngineName } from "../arguments.ts";
import type { Comparison } from "../report.ts";
import type { KINDS, SizeName } from "../states/state-sequence.ts";

export type Kind = (typeof KINDS)[number];
export type Rival = Extract<
  EngineName,
  "gzip" | "zstd" | "langgraph-sqlite" | "langgraph-postgres" | "restic" | "borg"
>;

/** What each of them is called in the report. */
export const TITLES: Readonly<Record<Rival | "ours", string>> = {
  ours: "Memento (SQLite, sealed)",
  gzip: "gzip-6 files",
  zstd: "zstd-3 files",
  "langgraph-sqlite": "LangGraph SqliteSaver",
  "langgraph-postgres": "LangGraph PostgresSaver",
  restic: "restic",
  borg: "borg",
};

/** The number of saves that the targets are for. */
const SAVES = 50;

/** Figures of one sequence by one keeper. */
export interface SequenceFigures {
  /** Median of the second save to the last, in milliseconds. */
  readonly saveMs: number;
  readonly firstSaveMs: number;
  /** On disk after the last save. */
  readonly bytes: number;
  /** Reading the last state; median. */
  readonly loadMs: number;
}

/** Figures by contender, one for each round in which it took part; a contender that was not run has no entry. */
export type FiguresByContender = ReadonlyMap<string, readonly SequenceFigures[]>;

export interface SequenceResult {
  readonly size: SizeName;
  readonly kind: Kind;
  readonly figures: FiguresByContender;
}

/** `true` when this peer has a place in this sequence at all, whether or not it was asked for. */
export function takesPart(rival: Rival, size: SizeName, kind: Kind): boolean {
  if (rival !== "restic" && rival !== "borg") return true;
  // Starting a process is all that there is to see in small ones; and a file does not know that a state was immutable.
  return (size === "1MB" || size === "10MB") && kind !== "immutable";
}

type Measure = "time" | "first save" | "bytes" | "load";
const MEASURES: Readonly<Record<Measure, { readonly unit: string; readonly of: keyof SequenceFigures }>> = {
  time: { unit: "ms", of: "saveMs" },
  "first save": { unit: "ms", of: "firstSaveMs" },
  bytes: { unit: "B", of: "bytes" },
  load: { unit: "ms", of: "loadMs" },
};

interface Target {
  readonly rival: Rival;
  readonly measure: Measure;
  readonly kinds: readonly Kind[];
  /** How many times the peer's figure must be ours, at least, by size. */
  readonly atLeast: Partial<Readonly<Record<SizeName, number>>>;
}

const MUTABLE: readonly Kind[] = ["scattered", "heads", "inserts"];
const TARGETS: readonly Target[] = [
  { rival: "gzip", measure: "time", kinds: MUTABLE, atLeast: { "1MB": 4, "10MB": 3 } },
  { rival: "gzip", measure: "bytes", kinds: MUTABLE, atLeast: { "1MB": 12, "10MB": 12 } },
  { rival: "langgraph-sqlite", measure: "time", kinds: MUTABLE, atLeast: { "1MB": 3, "10MB": 2 } },
  { rival: "langgraph-sqlite", measure: "bytes", kinds: MUTABLE, atLeast: { "1MB": 50, "10MB": 50 } },
  { rival: "langgraph-sqlite", measure: "load", kinds: MUTABLE, atLeast: { "1MB": 4, "10MB": 3 } },
  { rival: "langgraph-postgres", measure: "time", kinds: MUTABLE, atLeast: { "1MB": 5, "10MB": 5 } },
  { rival: "langgraph-postgres", measure: "bytes", kinds: MUTABLE, atLeast: { "1MB": 20, "10MB": 20 } },
  { rival: "langgraph-postgres", measure: "load", kinds: MUTABLE, atLeast: { "1MB": 20, "10MB": 20 } },
  { rival: "restic", measure: "time", kinds: MUTABLE, atLeast: { "1MB": 10, "10MB": 10 } },
  { rival: "restic", measure: "bytes", kinds: MUTABLE, atLeast: { "1MB": 12, "10MB": 12 } },
  { rival: "borg", measure: "time", kinds: MUTABLE, atLeast: { "1MB": 4, "10MB": 4 } },
  { rival: "borg", measure: "bytes", kinds: MUTABLE, atLeast: { "1MB": 12, "10MB": 12 } },
  { rival: "gzip", measure: "time", kinds: ["immutable"], atLeast: { "1MB": 15, "10MB": 10 } },
  { rival: "langgraph-sqlite", measure: "time", kinds: ["immutable"], atLeast: { "1MB": 10, "10MB": 7 } },
];

/** Every figure of every sequence against every peer; those that have a target come with it. */
export function compareSequences(saves: number, results: readonly SequenceResult[]): readonly Comparison[] {
  return results.flatMap((result) =>
    rivals()
      .filter((rival) => takesPart(rival, result.size, result.kind))
      .flatMap((rival) =>
        (Object.keys(MEASURES) as Measure[]).map((measure) => compare(result, rival, measure, saves)),
      ),
  );
}

function compare({ size, kind, figures }: SequenceResult, rival: Rival, measure: Measure, saves: number): Comparison {
  const { unit, of } = MEASURES[measure];
  const atLeast = saves === SAVES ? targetOf(rival, measure, kind, size) : undefined;
  return {
    work: `vault/${size}/${kind}: ${measure} vs ${rival}`,
    unit,
    ours: figures.get("ours")?.map((one) => one[of]) ?? [],
    peers: { [TITLES[rival]]: figures.get(rival)?.map((one) => one[of]) ?? "not run" },
    ratioIs: `${rival} / ours`,
    ratioOf: (ours, [other = Number.NaN]) => other / ours,
    target: atLeast === undefined ? "" : `>= ${atLeast}x`,
    isMet: atLeast === undefined ? null : (ratio) => ratio >= atLeast,
  };
}

function targetOf(rival: Rival, measure: Measure, kind: Kind, size: SizeName): number | undefined {
  return TARGETS.find((target) => target.rival === rival && target.measure === measure && target.kinds.includes(kind))
    ?.atLeast[size];
}

function rivals(): Rival[] {
  return Object.keys(TITLES).filter((name) => name !== "ours") as Rival[];
}
