import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { CredentialReference } from "../credentials/provider.ts";
import type { SealedCredential } from "../credentials/sealed-credential.ts";
import type { FlowSummary } from "../pipeline/stage.ts";
import type { PartEvidence } from "../repair/participants/participant.ts";
import type { ParticipantMark } from "../repair/participants/pipeline-participant.ts";
import type { SchemaStamps } from "../schemas/pipeline-schemas.ts";
import type { SinkMark } from "../sinks/sink.ts";
import type { SourceOffsets } from "../sources/source.ts";
import type { BatchRecord } from "./roll-forward.ts";

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
  /** The marks of each sink when it began, by which its own places are known; left out of what earlier releases have kept. */
  readonly begun?: Readonly<Record<string, SinkRecord["marks"]>>;
}

/** A sink as a memento keeps it. */
export interface SinkRecord {
  /** The mark at each place that the sink has written to; its parameters may name another place in each run. */
  readonly marks: Readonly<Record<string, SinkMark>>;
  /** Writes so far on this timeline; the next token carries the next number. */
  readonly batches: number;
}

/** How far a stage under way is. */
export interface ProgressRecord {
  readonly stage: string;
  readonly records: number;
  readonly total: number | null;
  /** Flow stages of the segment under way, by name. */
  readonly flows: Readonly<Record<string, FlowSummary>>;
}

/** A restore under way: written before the first sink is touched, so that any later process can finish it. */
export interface RestoreRecord {
  /** What it is; `rollback` where it is left out. */
  readonly kind?: RestoreKind;
  /** Where data goes back to; null: to nothing. */
  readonly target: string | null;
  /** The memento whose offsets, state and outputs become the new head's; the target's own where it is left out. */
  readonly content?: string;
  readonly planHash: string;
  /** The chosen items, as `sink:orders`; all where it is left out. */
  readonly only?: readonly string[];
  /** True: the new head waits for `resume`. */
  readonly paused?: boolean;
  /** True: data stays where it is; for a reset. */
  readonly keepData?: boolean;
  /** True: the mementos before are removed; for a reset. */
  readonly purge?: boolean;
  /** What cannot be asked whether it is done, and is. */
  readonly done?: readonly PartEvidence[];
  /** Digests of the content that the head had, and of the content that it goes to. */
  readonly digests?: { readonly before: string; readonly target: string | null };
  readonly forced: readonly string[];
  readonly by: string;
  readonly why: string;
  readonly began: string;
  /** The head before, to which the restore can itself be rolled back. */
  readonly before: string;
  readonly statusBefore: string;
}

/** The ways in which a timeline is put to another state than its last. */
export type RestoreKind = "rollback" | "reset" | "adopt";

/** The keys of the pieces of a pipeline's memento. */
export const PIECE = {
  run: "run",
  schema: "schema",
  /** Under which versions of their schemas values were saved. */
  schemas: "schemas",
  credentials: "credentials",
  /** A credential that the pipeline asks to be kept, sealed. */
  sealed: "secret/",
  /** As earlier releases kept it: one stage under way, now one piece for each. */
  progress: "progress",
  underWay: "progress/",
  /** Failed attempts of a stage that is tried again. */
  attempts: "attempts/",
  /** When a sleep ends, by stage and name. */
  sleep: "sleep/",
  approval: "approval/",
  /** The list that an `each` stage goes over, and the outputs of the items that are done. */
  list: "list/",
  item: "item/",
  /** The batch under way of a source, by its name: kept before it goes to a sink that cannot take it back. */
  batch: "batch/",
  restore: "restore",
  /** The last memento of all those that were lost, where a repair found none that is good. */
  lost: "lost",
  offsets: "offsets/",
  sink: "sink/",
  participant: "participant/",
  state: "state/",
  output: "output/",
} as const;

/** Pieces that belong to a stage while it is not done; a new run drops them. */
const OF_STAGES_UNDER_WAY = [
  PIECE.underWay,
  PIECE.attempts,
  PIECE.sleep,
  PIECE.approval,
  PIECE.list,
  PIECE.item,
  PIECE.batch,
] as const;

/** True for a piece that is of no use to the next run: outputs, what stages under way have kept, and what a repair has said. */
export function belongsToRun(key: string): boolean {
  return (
    key === PIECE.progress ||
    key === PIECE.lost ||
    key.startsWith(PIECE.output) ||
    OF_STAGES_UNDER_WAY.some((prefix) => key.startsWith(prefix))
  );
}

/** A pipeline's state as of one memento, read whole except for stage outputs. */
export interface PipelineSnapshot {
  readonly run: RunRecord | null;
  readonly offsets: Map<string, SourceOffsets>;
  readonly sinks: Map<string, SinkRecord>;
  /** The marks of the participants that the pipeline declares. */
  readonly participants: ReadonlyMap<string, ParticipantMark>;
  readonly state: Record<string, unknown>;
  readonly schema: Readonly<Record<string, string>>;
  readonly credentials: Readonly<Record<string, CredentialReference>>;
  /** Under which versions of their schemas its values were saved. */
  readonly stamps: SchemaStamps;
  /** Credentials that the pipeline asked to be kept. */
  readonly sealed: ReadonlyMap<string, SealedCredential>;
  /** The first of the stages under way; null when there is none. */
  readonly progress: ProgressRecord | null;
  /** Every stage that is under way, by name. */
  readonly underWay: ReadonlyMap<string, ProgressRecord>;
  /** The last batch that was kept of each source. */
  readonly batches: ReadonlyMap<string, BatchRecord>;
  readonly restore: RestoreRecord | null;
  /** The last memento of the timeline's lost ones, until the first run after that; null elsewhere. */
  readonly lost: string | null;
  /** Stages that are done: those with an output. */
  readonly completed: Set<string>;
}

/** Reads a pipeline's state out of a memento; null gives the state before the first one. */
export async function readSnapshot(memento: OpenedMemento | null): Promise<PipelineSnapshot> {
  const value = async <T>(key: string): Promise<T | null> => ((await memento?.value(key)) as T | undefined) ?? null;
  const values = async <T>(prefix: string): Promise<Map<string, T>> =>
    ((await memento?.values(prefix)) ?? new Map()) as Map<string, T>;
  const underWay = await values<ProgressRecord>(PIECE.underWay);
  const single = await value<ProgressRecord>(PIECE.progress);
  if (single !== null) underWay.set(single.stage, single);
  return {
    run: await value<RunRecord>(PIECE.run),
    offsets: await values<SourceOffsets>(PIECE.offsets),
    sinks: await values<SinkRecord>(PIECE.sink),
    participants: await values<ParticipantMark>(PIECE.participant),
    state: Object.fromEntries(await values(PIECE.state)),
    schema: (await value<Record<string, string>>(PIECE.schema)) ?? {},
    credentials: (await value<Record<string, CredentialReference>>(PIECE.credentials)) ?? {},
    stamps: (await value<SchemaStamps>(PIECE.schemas)) ?? {},
    sealed: await values<SealedCredential>(PIECE.sealed),
    progress: [...underWay.values()][0] ?? null,
    underWay,
    batches: await values<BatchRecord>(PIECE.batch),
    restore: await value<RestoreRecord>(PIECE.restore),
    lost: await value<string>(PIECE.lost),
    completed: new Set((memento?.keys(PIECE.output) ?? []).map((key) => key.slice(PIECE.output.length))),
  };
}
