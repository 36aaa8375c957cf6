import { parseDelta } from "../delta/delta-runs.ts";
import type { OpenedRecord } from "../opened-record.ts";
import type { Vault } from "../vault.ts";
import { clearOutside, joinRanges, rangesBehind, type ByteRanges } from "./byte-ranges.ts";
import type { NeededPieces } from "./needed-pieces.ts";

/**
 * Finds which bytes of a piece are needed when only deltas of other records need it: those that end up in a content that
 * somebody wants. What is masked by it still makes the same contents, digest for digest.
 */
export class PieceMasks {
  readonly #vault: Vault;
  readonly #needed: NeededPieces;
  readonly #records = new Map<string, OpenedRecord>();
  readonly #wanted = new Map<string, ByteRanges>();

  constructor(vault: Vault, needed: NeededPieces) {
    this.#vault = vault;
    this.#needed = needed;
  }

  /** Writes zeros over those of a piece's held bytes that nobody needs; `held` is changed in place. */
  async apply(id: string, key: string, held: Uint8Array): Promise<void> {
    if (this.#needed.isWanted(id, key)) return;
    const wanted = await this.#wantedOf(id, key);
    if (!this.#needed.isDelta(id, key)) {
      clearOutside(held, 0, wanted);
      return;
    }
    const delta = parseDelta(held);
    clearOutside(held, held.length - delta.literals.length, rangesBehind(delta, wanted).literals);
  }

  /** The stretches of a piece's content that somebody wants. */
  async #wantedOf(id: string, key: string): Promise<ByteRanges> {
    if (this.#needed.isWanted(id, key)) return [[0, Number.MAX_SAFE_INTEGER]];
    const name = JSON.stringify([id, key]);
    const known = this.#wanted.get(name);
    if (known !== undefined) return known;
    const stretches: (readonly [number, number])[] = [];
    for (const above of this.#needed.builtOn(id, key)) {
      const delta = parseDelta((await this.#record(above)).held(key));
      stretches.push(...rangesBehind(delta, await this.#wantedOf(above, key)).base);
    }
    const wanted = joinRanges(stretches);
    this.#wanted.set(name, wanted);
    return wanted;
  }

  async #record(id: string): Promise<OpenedRecord> {
    const record = this.#records.get(id) ?? (await this.#vault.reader.open(id));
    this.#records.set(id, record);
    return record;
  }
}
