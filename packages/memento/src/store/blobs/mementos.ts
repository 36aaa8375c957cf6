import { isMementoError, MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import { isRemoved } from "./caretaker-log.ts";
import type { Catalogue, OpenTimeline } from "./catalogue.ts";
import { damagedFile } from "./frame.ts";
import type { WholeRecord } from "./log-reader.ts";
import { logFile } from "./paths.ts";
import { appendIn, headSequence, type AppendedRecord, type AppendEntry, type TimelineEntry } from "./timeline-log.ts";

/** A memento that was appended, and where. */
export interface FoundMemento {
  readonly timeline: OpenTimeline;
  readonly sequence: number;
  readonly append: AppendEntry;
  readonly record: AppendedRecord;
  /** What lay behind the entry when it was read just now: its pack, where that lies there. */
  readonly behind: Uint8Array;
}

/** Finds mementos by their ids, in the logs as they stand now. */
export class Mementos {
  readonly #catalogue: Catalogue;

  constructor(catalogue: Catalogue) {
    this.#catalogue = catalogue;
  }

  /** The memento with this id; null when there is none. DAMAGED, naming file and memento. */
  async find(id: string): Promise<FoundMemento | null> {
    const place = parseMementoId(id);
    const timeline = place && (await this.#catalogue.timeline(place.timeline));
    if (!place || !timeline) return null;
    const { log } = timeline;
    const known = log.known;
    if (known === null || headSequence(known.state) < place.sequence) await log.refresh();
    const found = await findAppend(timeline, place.sequence, id);
    const record = found?.append.records.find(({ entry }) => entry.id === id);
    return found && record ? { timeline, sequence: place.sequence, record, ...found } : null;
  }

  /** True when a memento that was not appended could still be: nothing else has its place. */
  async mayCome(id: string): Promise<boolean> {
    const place = parseMementoId(id);
    const timeline = place && (await this.#catalogue.timeline(place.timeline));
    if (!place || !timeline) return false;
    return headSequence((await timeline.log.refresh()).state) < place.sequence;
  }

  /** Sees to it that a memento cannot be appended by what its writer has prepared. False when it was appended before. */
  async void(id: string): Promise<boolean> {
    const place = parseMementoId(id);
    const timeline = place && (await this.#catalogue.timeline(place.timeline));
    if (!place || !timeline) return true;
    await timeline.log.commit<null>(({ state }) => {
      const sequence = headSequence(state);
      const tooLate = sequence >= place.sequence;
      return tooLate ? { entry: null, result: null } : { entry: { kind: "void", sequence, id }, result: null };
    });
    return (await this.find(id)) === null;
  }

  /** True when the memento was removed. */
  async isRemoved({ timeline, sequence }: FoundMemento): Promise<boolean> {
    const { state } = await timeline.caretaker.refresh();
    return isRemoved(state, timeline.record.key, sequence);
  }

  /** Makes durable what was read about a memento, for who decides by it. */
  async settle({ timeline }: FoundMemento): Promise<void> {
    await timeline.log.settle();
    await timeline.caretaker.settle();
  }
}

/**
 * The entry that appended a sequence number, by halving: entries tell how far the head had come, and most of them
 * moved it by one, so the first guess is near. An entry whose file is damaged is gone around; DAMAGED only when it is the
 * one that is looked for.
 */
async function findAppend(
  { log }: OpenTimeline,
  sequence: number,
  id: string,
): Promise<Pick<FoundMemento, "append" | "behind"> | null> {
  const end = log.known;
  if (end === null || sequence > headSequence(end.state)) return null;
  // The entry is in (low, high]; the head was at `lowSequence` after low, and at `highSequence` after high.
  let [low, lowSequence] = [0, 0];
  let [high, highSequence] = [end.position, headSequence(end.state)];
  let damage: unknown = null;
  for (let step = 0; low < high; step++) {
    // Every second step halves, so that uneven entries cost no more than twice the halving.
    const share = step % 2 === 1 ? 0.5 : (sequence - lowSequence) / Math.max(1, highSequence - lowSequence);
    const guess = low + Math.max(1, Math.min(high - low, Math.ceil((high - low) * share)));
    const probe = await readAround(log.reader, guess, low, high);
    damage ??= probe.damage;
    if (probe.found === null) break;
    const { record, behind } = probe.found;
    const { position, entry } = record;
    const append = appendIn(record);
    if (append?.records.some((appended) => appended.entry.sequence === sequence)) return { append, behind };
    if (entry.sequence >= sequence) [high, highSequence] = [position - 1, entry.sequence];
    else [low, lowSequence] = [position, entry.sequence];
  }
  if (damage === null) throw damagedFile(logFile(log.reader.place.folder, high), `${id} is not where it should be`);
  const reason = damage instanceof Error ? damage.message : "unknown";
  const details = { ...(isMementoError(damage) ? damage.details : {}), mementos: [id] };
  throw new MementoError("DAMAGED", `Where memento ${id} is cannot be told: ${reason}`, { cause: damage, details });
}

interface Probe {
  readonly found: WholeRecord<TimelineEntry> | null;
  /** What was met on the way, when the wanted file was damaged or missing. */
  readonly damage: unknown;
}

/** The entry at a position of (low, high], or the nearest readable one. */
async function readAround(
  reader: OpenTimeline["log"]["reader"],
  position: number,
  low: number,
  high: number,
): Promise<Probe> {
  let damage: unknown = null;
  for (let distance = 0; distance <= high - low; distance++) {
    for (const candidate of distance === 0 ? [position] : [position + distance, position - distance]) {
      if (candidate <= low || candidate > high) continue;
      try {
        return { found: await reader.demandWhole(candidate), damage };
      } catch (error) {
        if (!isMementoError(error, "DAMAGED")) throw error;
        damage ??= error;
      }
    }
  }
  return { found: null, damage };
}
