import { hash } from "node:crypto";

const FIRST_SLOTS = 1_024;

/** 48 bits of a text's SHA-256, never zero: enough to tell a few million texts apart where nobody tries to deceive. */
export function fingerprint(text: string): number {
  return hash("sha256", text, "buffer").readUIntBE(0, 6) || 1;
}

/** A set of fingerprints in 11 to 27 bytes each, however many there are. */
export class DigestSet {
  /** Open addressing; zero is an empty place. */
  #slots = new Float64Array(FIRST_SLOTS);
  #size = 0;

  add(text: string): void {
    if (this.#size * 4 >= this.#slots.length * 3) this.#grow();
    if (put(this.#slots, fingerprint(text))) this.#size += 1;
  }

  has(text: string): boolean {
    const wanted = fingerprint(text);
    return this.#slots[placeOf(this.#slots, wanted)] === wanted;
  }

  #grow(): void {
    const larger = new Float64Array(this.#slots.length * 2);
    for (const value of this.#slots) if (value !== 0) put(larger, value);
    this.#slots = larger;
  }
}

function put(slots: Float64Array, value: number): boolean {
  const place = placeOf(slots, value);
  if (slots[place] === value) return false;
  slots[place] = value;
  return true;
}

function placeOf(slots: Float64Array, value: number): number {
  let place = value % slots.length;
  while (slots[place] !== 0 && slots[place] !== value) place = (place + 1) % slots.length;
  return place;
}
