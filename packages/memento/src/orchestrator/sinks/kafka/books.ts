import { positionOf } from "../position-mark.ts";
import type { SinkMark, SinkReverted } from "../sink.ts";

/** Some records in a row, in one partition: where they begin, and how many. */
export type SentRange = readonly [partition: number, first: number, count: number];

/** What one transaction of ours did. */
export interface SentStep {
  /** 1 for the first; grows by one each. */
  readonly position: number;
  readonly token: string;
  /** Source records that it stood for. */
  readonly records: number;
  /** What it sent: records, or answers to records. */
  readonly ranges: readonly SentRange[];
  /** The position that a revert went back to; null for a write. */
  readonly back: number | null;
  /** What a revert answered; for when it is repeated. */
  readonly reverted?: Omit<SinkReverted, "mark">;
}

/** What going back to a position comes to. */
export interface StepsBetween {
  /** Writes that are in force now, and were not then: they stay in the topic, and may be answered. */
  readonly out: readonly SentStep[];
  /** Writes that were in force then, and were answered since: they are to be sent again. */
  readonly again: readonly SentStep[];
}

/** What one sink of one timeline has sent to a topic, as far as it has not been trimmed. */
export class SentBooks {
  epoch = 0;
  /** No way leads back to before it. */
  oldest = 0;
  #oldestToken = "";
  readonly #steps = new Map<number, SentStep>();
  #position = 0;
  /** Where each token was taken; built when it is asked for. */
  #taken: Map<string, number> | null = null;

  get position(): number {
    return this.#position;
  }

  get mark(): SinkMark {
    return this.markAt(this.#position);
  }

  get steps(): readonly SentStep[] {
    return [...this.#steps.values()].toSorted((a, b) => a.position - b.position);
  }

  /** Takes over what the topic says of epoch and trimming. */
  head(epoch: number, oldest: number, oldestToken: string): void {
    this.epoch = Math.max(this.epoch, epoch);
    if (oldest >= this.oldest) [this.oldest, this.#oldestToken] = [oldest, oldestToken];
    this.#position = Math.max(this.#position, oldest);
  }

  add(step: SentStep, epoch: number): void {
    this.epoch = Math.max(this.epoch, epoch);
    const isNext = step.position === this.#position + 1 && step.back === null;
    this.#steps.set(step.position, step);
    this.#position = Math.max(this.#position, step.position);
    if (isNext && this.#taken !== null) this.#taken.set(step.token, step.position);
    else this.#taken = null;
  }

  remove(position: number): void {
    this.#steps.delete(position);
    this.#taken = null;
  }

  markAt(position: number): SinkMark {
    return position === 0 ? null : { position, token: this.tokenAt(position) };
  }

  /** The token of the step that led there; empty for 0. */
  tokenAt(position: number): string {
    return this.#steps.get(position)?.token ?? this.#oldestToken;
  }

  positionOf(mark: SinkMark, place: string): number {
    return positionOf(mark, this.#position, place);
  }

  /** The position at which a token was taken and is in force; null where it is not. */
  takenAt(token: string): number | null {
    this.#taken ??= new Map(this.#inForce(this.#position).map((step) => [step.token, step.position]));
    return this.#taken.get(token) ?? null;
  }

  /** The revert that had this token. */
  revertOf(token: string): SentStep | null {
    return this.steps.find((step) => step.back !== null && step.token === token) ?? null;
  }

  between(position: number): StepsBetween {
    const [now, then] = [this.#inForce(this.#position), this.#inForce(position)];
    const [isNow, isThen] = [new Set(now), new Set(then)];
    return { out: now.filter((step) => !isThen.has(step)), again: then.filter((step) => !isNow.has(step)) };
  }

  /** The steps that nothing needs once `oldest` is the oldest mark. */
  needless(oldest: number): SentStep[] {
    let floor = oldest;
    // A younger revert may have gone back to before it: what it answered is needed to take it back.
    for (const { position, back } of this.steps.toReversed())
      if (position > floor && back !== null) floor = Math.min(floor, back);
    return this.steps.filter(({ position }) => position <= floor);
  }

  /** The writes that count as of a position, oldest first; reverts lead past what they took back. */
  #inForce(position: number): SentStep[] {
    const found: SentStep[] = [];
    for (let at = position; at > 0;) {
      const step = this.#steps.get(at);
      if (step === undefined) break;
      if (step.back === null) found.push(step);
      at = step.back ?? at - 1;
    }
    return found.toReversed();
  }
}

/** Records in all of these steps. */
export function countOf(steps: readonly Pick<SentStep, "ranges">[]): number {
  return steps.reduce((sum, { ranges }) => sum + ranges.reduce((part, [, , count]) => part + count, 0), 0);
}

const NAMED_MAX = 100;

/** The ranges of all of these steps, joined where they touch, by partition: `orders[0] offsets 17..41`. */
export function nameRanges(topic: string, steps: readonly Pick<SentStep, "ranges">[]): string[] {
  const joined: [partition: number, first: number, count: number][] = [];
  const all = steps.flatMap(({ ranges }) => ranges).toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
  for (const [partition, first, count] of all) {
    const last = joined.at(-1);
    if (last?.[0] === partition && last[1] + last[2] === first) last[2] += count;
    else joined.push([partition, first, count]);
  }
  return joined.slice(0, NAMED_MAX).map(([partition, first, count]) => {
    const place = `${topic}[${partition}]`;
    return count === 1 ? `${place} offset ${first}` : `${place} offsets ${first}..${first + count - 1}`;
  });
}
