import type { TimelineAddress } from "../../core/timeline.ts";

/** How many mementos of a timeline share a key: as many as Redis keeps in one packed list. */
export const PLACES_IN_BUCKET = 128;

/** How many commits share a key, so that no key of the log grows past some hundred kilobytes and a cluster can move it. */
export const COMMITS_IN_BUCKET = 256;

/**
 * The names of a store's keys. All have one hash tag, `{prefix}:`, so that they lie in one slot of a cluster and a script
 * may use them together. Every key that a script writes to is given to it, so that a cluster that is just moving the slot
 * refuses the script before it begins; what it only reads it may find by what it has read (the commit of a memento, the
 * body of a commit), under the same tag.
 *
 * `store` hash: the store's facts, and `last`, the number of the last commit.
 * `log:B` hash: commit number -> what was committed, see rows.ts.
 * `b:TOKEN` string: a pack's body; `b:TOKEN:I` one of its parts where it is large.
 * `m:TIMELINE:B` hash: sequence -> where a memento lies.
 * `t:KEY` hash: a timeline. `at` hash: address -> timeline. `order` sorted set: timelines in the order of their making.
 * `names` hash: caretaker and name -> memento. `caretakers` hash: name -> record.
 * `k:ID` hash: a wrapped key. `keys` sorted set: keys in the order of their making.
 * `pending` sorted set: bodies that are being written, by the server's time when that began.
 */
export class Keys {
  readonly #tag: string;

  constructor(prefix: string) {
    this.#tag = `{${prefix}}:`;
  }

  get store(): string {
    return `${this.#tag}store`;
  }
  get names(): string {
    return `${this.#tag}names`;
  }
  get pending(): string {
    return `${this.#tag}pending`;
  }
  get keys(): string {
    return `${this.#tag}keys`;
  }
  get order(): string {
    return `${this.#tag}order`;
  }
  get addresses(): string {
    return `${this.#tag}at`;
  }
  get caretakers(): string {
    return `${this.#tag}caretakers`;
  }

  body(token: string): string {
    return `${this.#tag}b:${token}`;
  }

  bodyPart(token: string, part: number): string {
    return `${this.#tag}b:${token}:${part}`;
  }

  /** All keys of a body. */
  bodies(token: string, parts: number): readonly string[] {
    return parts === 0 ? [this.body(token)] : Array.from({ length: parts }, (_, part) => this.bodyPart(token, part));
  }

  timeline(key: string): string {
    return `${this.#tag}t:${key}`;
  }

  /** `-` where there is no key to be named. */
  key(id: string | null): string {
    return `${this.#tag}k:${id ?? "-"}`;
  }

  log(commit: number): string {
    return `${this.#tag}log:${Math.floor(commit / COMMITS_IN_BUCKET)}`;
  }

  places(timeline: string, sequence: number): string {
    return `${this.#tag}m:${timeline}:${Math.floor(sequence / PLACES_IN_BUCKET)}`;
  }
}

/** One text for each address. */
export const addressText = ({ caretaker, originator, partition, fork }: TimelineAddress): string =>
  JSON.stringify([caretaker, originator, partition, fork]);

/** One text for each name of a caretaker's. */
export const nameText = (caretaker: string, name: string): string => JSON.stringify([caretaker, name]);
