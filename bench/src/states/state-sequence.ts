import { delayOf, flight, type Flight } from "./flights.ts";
import { seededDice, type Dice } from "./random.ts";

/** What is saved: where a pipeline stands in its source, and the rows that it holds. */
export interface State {
  readonly offsets: Readonly<Record<string, number>>;
  readonly rows: readonly Flight[];
}

/** How large a state is at first, in bytes of JSON. */
export const SIZES = { "10KB": 10_000, "100KB": 100_000, "1MB": 1_000_000, "10MB": 10_000_000 } as const;
export type SizeName = keyof typeof SIZES;

/**
 * What happens to a state between two saves. One per cent is at least one row; "changed" are rows anywhere, in two fields.
 * - `scattered`: 1 % of the rows changed, 1 % appended
 * - `heads`: the first 1 % dropped, 1 % changed, 1 % appended: all rows move
 * - `inserts`: 1 % inserted, each at a place of its own
 * - `immutable`: as `scattered`, but nothing is ever changed in place: all is deeply frozen, and a row that did not
 *   change is the same object in the next state
 * - `replaced`: 1 % of the rows changed, and nothing else: the size stays the same
 */
export const KINDS = ["scattered", "heads", "inserts", "immutable"] as const;
export type KindName = (typeof KINDS)[number] | "replaced";

const OFFSETS = 12;

/** States one after the other: the same ones for the same size, kind and seed. */
export class StateSequence {
  readonly #kind: KindName;
  readonly #dice: Dice;
  #state: State;
  #nextId = 0;

  constructor(size: SizeName, kind: KindName, seed = 1) {
    this.#kind = kind;
    this.#dice = seededDice(seed);
    this.#state = this.#first(SIZES[size]);
  }

  /**
   * The state as it is now. Unless the kind is `immutable`, `advance` changes it in place, as a program does that keeps
   * one state: whoever wants to have it later keeps a copy.
   */
  get state(): State {
    return this.#state;
  }

  /** Goes on to the next state. */
  advance(): void {
    const share = Math.max(1, Math.round(this.#state.rows.length / 100));
    const rows = this.#kind === "immutable" ? [...this.#state.rows] : (this.#state.rows as Flight[]);
    if (this.#kind === "heads") rows.splice(0, share);
    if (this.#kind === "inserts") this.#insert(rows, share);
    else this.#change(rows, share);
    if (this.#kind !== "inserts" && this.#kind !== "replaced")
      for (let i = 0; i < share; i++) rows.push(this.#newRow());
    const offsets = Object.fromEntries(
      Object.entries(this.#state.offsets).map(([partition, offset]) => [partition, offset + this.#dice(1000)]),
    );
    this.#state = this.#finished({ offsets, rows });
  }

  #first(bytes: number): State {
    const offsets = Object.fromEntries(Array.from({ length: OFFSETS }, (_, i) => [`flights-${i}`, this.#dice(1e9)]));
    const rows: Flight[] = [];
    let size = JSON.stringify({ offsets, rows }).length;
    while (size < bytes) {
      const row = this.#newRow();
      rows.push(row);
      size += JSON.stringify(row).length + 1;
    }
    return this.#finished({ offsets, rows });
  }

  #change(rows: Flight[], count: number): void {
    for (let i = 0; i < count; i++) {
      const index = this.#dice(rows.length);
      const row = rows[index];
      if (row === undefined) continue;
      const change = delayOf(this.#dice(200_000));
      if (this.#kind === "immutable") rows[index] = Object.freeze({ ...row, ...change });
      else Object.assign(row, change);
    }
  }

  #insert(rows: Flight[], count: number): void {
    for (let i = 0; i < count; i++) rows.splice(this.#dice(rows.length + 1), 0, this.#newRow());
  }

  #newRow(): Flight {
    const row = flight(this.#nextId++);
    return this.#kind === "immutable" ? Object.freeze(row) : row;
  }

  #finished(state: State): State {
    if (this.#kind !== "immutable") return state;
    Object.freeze(state.offsets);
    Object.freeze(state.rows);
    return Object.freeze(state);
  }
}
