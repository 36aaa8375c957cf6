import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { CredentialReference } from "./credentials/provider.ts";
import type { SinkMark } from "./sinks/sink.ts";
import type { SourceOffsets } from "./sources/source.ts";
import type { FlowSummary } from "./stage.ts";

/** A run as a memento keeps it. */
export interface RunRecord {
  readonly id: string;
  /** The input key by which the same run is found again; null when none was given. */
  readonly key: string | null;
  readonly params: unknown;
  /** ISO 8601, UTC. */
  readonly started: string;
  readonly resumeCount: number;
  /** Where the pipeline's definition was loaded from, for command lines; null when unknown. */
  readonly module: string | null;
}

/** A sink as a memento keeps it. */
export interface SinkRecord {
  /** The mark at each place that the sink has written to; its parameters may name another place in each run. */
  readonly marks: Readonly<Record<string, SinkMark>>;
  /** Writes so far on this timeline; the next token carries the next number. */
  readonly batches: number;
}

/** How far the stage under way is. */
export interface ProgressRecord {
  readonly stage: string;
  readonly records: number;
  readonly total: number | null;
  /** Flow stages of the segment under way, by name. */
  readonly flows: Readonly<Record<string, FlowSummary>>;
}

/** A restore under way: written before the first sink is touched, so that any later process can finish it. */
export interface RestoreRecord {
  readonly target: string;
  readonly planHash: string;
  readonly forced: readonly string[];
  readonly by: string;
  readonly why: string;
  readonly began: string;
  /** The head before, to which the restore can itself be rolled back. */
  readonly before: string;
  readonly statusBefore: string;
}

/** The keys of the pieces of a pipeline's memento. */
export const PIECE = {
  run: "run",
  schema: "schema",
  credentials: "credentials",
  progress: "progress",
  restore: "restore",
  offsets: "offsets/",
  sink: "sink/",
  state: "state/",
  output: "output/",
} as const;

/** A pipeline's state as of one memento, read whole except for stage outputs. */
export interface PipelineSnapshot {
  readonly run: RunRecord | null;
  readonly offsets: Map<string, SourceOffsets>;
  readonly sinks: Map<string, SinkRecord>;
  readonly state: Record<string, unknown>;
  readonly schema: Readonly<Record<string, string>>;
  readonly credentials: Readonly<Record<string, CredentialReference>>;
  readonly progress: ProgressRecord | null;
  readonly restore: RestoreRecord | null;
  /** Stages that are done: those with an output. */
  readonly completed: Set<string>;
}

/** Reads a pipeline's state out of a memento; null gives the state before the first one. */
export async function readSnapshot(memento: OpenedMemento | null): Promise<PipelineSnapshot> {
  const value = async <T>(key: string): Promise<T | null> => ((await memento?.value(key)) as T | undefined) ?? null;
  const values = async <T>(prefix: string): Promise<Map<string, T>> =>
    ((await memento?.values(prefix)) ?? new Map()) as Map<string, T>;
  return {
    run: await value<RunRecord>(PIECE.run),
    offsets: await values<SourceOffsets>(PIECE.offsets),
    sinks: await values<SinkRecord>(PIECE.sink),
    state: Object.fromEntries(await values(PIECE.state)),
    schema: (await value<Record<string, string>>(PIECE.schema)) ?? {},
    credentials: (await value<Record<string, CredentialReference>>(PIECE.credentials)) ?? {},
    progress: await value<ProgressRecord>(PIECE.progress),
    restore: await value<RestoreRecord>(PIECE.restore),
    completed: new Set((memento?.keys(PIECE.output) ?? []).map((key) => key.slice(PIECE.output.length))),
  };
}
