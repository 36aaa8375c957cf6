import { MementoError } from "../core/errors.ts";
import { newMementoId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { MementoEntry, MementoReason, MementoStatus } from "../core/memento.ts";
import { systemClock, type Clock, type Random } from "../core/ports.ts";
import { keepShape, nothing } from "../core/shapes.ts";
import { describeAddress, type TimelineRecord } from "../core/timeline.ts";
import type { AppendResult } from "../store/store.ts";
import { PieceDirectory, type PieceRef } from "./directory.ts";
import type { OpenedMemento, PieceValues } from "./opened-memento.ts";
import type { PackQueue } from "./pack-queue.ts";
import { KnownArrays, type CapturedPiece, type PieceCapture } from "./piece-capture.ts";
import { PieceChange, type PieceChains } from "./piece-change.ts";
import type { MementoReader, NearbyRecords } from "./reader.ts";
import type { HeldPiece } from "./record.ts";

/** What a new memento is to say; everything else follows from the timeline. */
export interface MementoDraft {
  readonly reason: MementoReason;
  readonly status: MementoStatus;
  readonly generation: number;
  readonly name?: string | undefined;
  /** True: the name moves here from the memento that has it. */
  readonly replaceName?: boolean | undefined;
  readonly run?: string;
  readonly version?: string;
  readonly stage?: string | undefined;
  readonly stageIndex?: number | undefined;
  readonly resumeCount?: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** Clear, queryable metadata: only what the caretaker declares. */
  readonly metadata?: JsonObject;
  /** Sealed small fields of this memento alone. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Pieces to set; one that is equal to what the line already has is not written again. */
  readonly pieces?: ReadonlyMap<string, unknown>;
  /** Pieces to set that were captured earlier. */
  readonly captured?: ReadonlyMap<string, CapturedPiece> | undefined;
  /** Pieces whose bytes other records hold already; the caller answers for those records staying readable until this one is appended. */
  readonly refs?: ReadonlyMap<string, PieceRef>;
  /** How many bytes of those were written for this very memento: they count as held by it. Default 0. */
  readonly partsBytes?: number;
  /** Pieces to drop. */
  readonly drop?: Iterable<string>;
  /** Takes this memento's pieces as the ground instead of the head's: a rollback, or a fork's first memento. */
  readonly ground?: OpenedMemento;
  /** True: every given piece is held by this record itself, whole. */
  readonly full?: boolean;
  /** True: the content's digest is wanted. */
  readonly digestContent?: boolean;
}

/** An acknowledged memento. */
export interface SavedMemento {
  readonly entry: MementoEntry;
  readonly digest: string;
  /** Equal for equal content; null unless it was asked for. */
  readonly contentDigest: string | null;
}

interface WriterHead {
  readonly id: string;
  readonly sequence: number;
  readonly digest: string | null;
}

/** What a writer begins behind. */
export interface WriterGround extends Pick<OpenedMemento, "directory"> {
  readonly entry: Pick<MementoEntry, "id" | "sequence">;
  /** null where nobody can tell any more. */
  readonly digest: string | null;
}

/** What a writer works with. */
export interface WriterPorts {
  readonly queue: PackQueue;
  readonly reader: MementoReader;
  /** How the pieces that changed lately are held, so that the next change of one is a delta. */
  readonly chains: PieceChains;
  /** What is remembered of arrays that are saved again and again. */
  readonly arrays: KnownArrays;
  readonly clock: Clock;
  readonly random: Random;
  /** Told how long each acknowledged save took. */
  readonly onSaved?: (timeline: TimelineRecord, durationMs: number) => void;
}

let lastTime = { now: 0, text: new Date(0).toISOString() };

/** A moment as ISO 8601, in UTC. Many saves at once are of the same millisecond. */
function textOfTime(now: number): string {
  if (now !== lastTime.now) lastTime = { now, text: new Date(now).toISOString() };
  return lastTime.text;
}

/**
 * Appends to one timeline under one epoch. Saves follow one another; each is refused with FENCED when the epoch has been
 * taken over, CONFLICT when the head is another one, EXISTS when the name is taken. After a refusal nothing has changed
 * and the writer is of no more use for FENCED and CONFLICT.
 */
export class TimelineWriter {
  readonly timeline: TimelineRecord;
  readonly epoch: number;
  readonly #ports: WriterPorts;
  #head: WriterHead | null;
  #directory: PieceDirectory;
  readonly #capture: PieceCapture;
  #last: Promise<unknown> = Promise.resolve();

  constructor(timeline: TimelineRecord, epoch: number, head: WriterGround | null, ports: WriterPorts) {
    this.timeline = timeline;
    this.epoch = epoch;
    this.#ports = ports;
    this.#capture = ports.arrays.newCapture();
    this.#head = head === null ? null : { id: head.entry.id, sequence: head.entry.sequence, digest: head.digest };
    this.#directory = head?.directory.copy() ?? PieceDirectory.empty.copy();
  }

  get headId(): string | null {
    return this.#head?.id ?? null;
  }

  /** The digest of a piece as of the last acknowledged memento. */
  pieceDigest(key: string): string | null {
    return this.#directory.get(key)?.digest ?? null;
  }

  /** The keys of all pieces of the last acknowledged memento. */
  pieceKeys(): string[] {
    return [...this.#directory.keys()];
  }

  /** Reads pieces of the last acknowledged memento; of no more use once another one is appended. DAMAGED. */
  pieces(): PieceValues {
    const directory = this.#directory;
    const { reader } = this.#ports;
    const owner = this.headId ?? "";
    const near: NearbyRecords = new Map();
    return {
      has: (key) => directory.get(key) !== undefined,
      value: async (key) => {
        const ref = directory.get(key);
        return ref === undefined ? undefined : await reader.piece(ref, key, owner, near);
      },
    };
  }

  get sequence(): number {
    return this.#head?.sequence ?? 0;
  }

  /** Captures pieces as they are now, for a later memento. UNSUPPORTED_VALUE. */
  capture(pieces: ReadonlyMap<string, unknown> | undefined): ReadonlyMap<string, CapturedPiece> {
    return this.#capture.capture(pieces);
  }

  /**
   * Seals and appends one memento; resolves once the store has acknowledged it. The pieces are captured before this
   * returns: whoever changes them later does not change what is saved.
   */
  async append(draft: MementoDraft): Promise<SavedMemento> {
    const now = this.capture(draft.pieces);
    const captured = draft.captured === undefined ? now : new Map([...draft.captured, ...now]);
    const saved = this.#last.then(() => this.#append(draft, captured));
    // The next save waits for this one, and is judged on its own.
    this.#last = saved.catch(() => undefined);
    return await saved;
  }

  async #append(draft: MementoDraft, captured: ReadonlyMap<string, CapturedPiece>): Promise<SavedMemento> {
    const { queue, chains, clock, onSaved } = this.#ports;
    const began = clock.monotonic();
    const ground = draft.ground?.directory.copy() ?? this.#directory;
    const sequence = this.sequence + 1;
    const id = newMementoId(this.timeline.key, sequence, this.#ports.random);
    const change = new PieceChange(this.timeline, id, ground, this.#ports);
    change.drop(draft.drop ?? []);
    if (draft.refs !== undefined) change.refer(draft.refs, draft.full ?? false);
    for (const [key, snapshot] of captured) {
      const large = change.set(key, snapshot, draft.full ?? false);
      if (large !== null) await large;
    }
    change.fields(draft.fields ?? {});
    const { held, changes } = change;
    const { layer, base } =
      draft.full === true ? { layer: { id, depth: 1, changes }, base: null } : ground.plan(id, changes);
    const entry = this.#entry(draft, id, sequence, ground.logicalBytesAfter(changes), held);
    const { result, digest } = await queue.save({
      entry,
      parentDigest: this.#head?.digest ?? draft.ground?.digest ?? null,
      base,
      layer,
      held,
      conditions: {
        expectedSequence: this.sequence,
        replaceName: draft.replaceName ?? false,
      },
    });
    if (result.outcome !== "appended") throw refusal(result, this.timeline, entry);
    chains.take(this.timeline.key, change);
    this.#directory = ground.next(layer, base, changes);
    this.#head = { id, sequence, digest };
    onSaved?.(this.timeline, clock.monotonic() - began);
    return { entry, digest, contentDigest: draft.digestContent === true ? this.#directory.contentDigest() : null };
  }

  #entry(
    draft: MementoDraft,
    id: string,
    sequence: number,
    logicalBytes: number,
    held: readonly HeldPiece[],
  ): MementoEntry {
    const { caretaker, originator, kind, key, forkedFrom } = this.timeline;
    const { name, run, version, stage, stageIndex, resumeCount } = draft;
    return {
      id,
      timeline: key,
      sequence,
      parent: this.#head?.id ?? forkedFrom,
      epoch: this.epoch,
      generation: draft.generation,
      caretaker,
      originator,
      kind,
      reason: draft.reason,
      status: draft.status,
      created: textOfTime(this.#ports.clock.now()),
      labels: draft.labels ?? {},
      metadata: draft.metadata ?? {},
      sizes: { logicalBytes, heldBytes: held.reduce((sum, { bytes }) => sum + bytes.length, draft.partsBytes ?? 0) },
      ...(name === undefined ? {} : { name }),
      ...(run === undefined ? {} : { run }),
      ...(version === undefined ? {} : { version }),
      ...(stage === undefined ? {} : { stage }),
      ...(stageIndex === undefined ? {} : { stageIndex }),
      ...(resumeCount === undefined ? {} : { resumeCount }),
    };
  }

  static {
    const ports = { arrays: new KnownArrays(), clock: systemClock, queue: nothing, reader: nothing, chains: nothing };
    const example = new TimelineWriter(nothing, 0, null, { ...ports, random: nothing });
    const ofRun = { reason: "stage", status: "running", generation: 0, run: "", version: "", resumeCount: 0 } as const;
    keepShape(example);
    for (const draft of [ofRun, { ...ofRun, stage: "", stageIndex: 0 }]) keepShape(example.#entry(draft, "", 1, 0, []));
  }
}

function refusal(
  result: Exclude<AppendResult, { outcome: "appended" }>,
  timeline: TimelineRecord,
  entry: MementoEntry,
): MementoError {
  const where = describeAddress(timeline);
  const details = { timeline: timeline.key, ...result };
  switch (result.outcome) {
    case "fenced":
      return new MementoError(
        "FENCED",
        `The save to ${where} was refused: it has epoch ${entry.epoch}, the timeline is at ${result.epoch}`,
        { details },
      );
    case "conflict":
      return new MementoError(
        "CONFLICT",
        `The save to ${where} was refused: its head is now ${result.head?.id ?? "none"}`,
        { details },
      );
    case "exists":
      return new MementoError("EXISTS", `The name ${JSON.stringify(entry.name)} belongs to memento ${result.id}`, {
        details,
      });
  }
}
