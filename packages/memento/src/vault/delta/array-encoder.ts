import { keepShape } from "../../core/shapes.ts";
import { ArrayVersion } from "./array-version.ts";
import { RowStore } from "./row-store.ts";

const ITEMS_MIN = 64;
const SAMPLES = 16;
/** Versions that are not captured after one that was mostly new: who makes all objects anew each time does so the next time. */
const REST_VERSIONS = 16;

/**
 * Encodes versions of an array of which most items stay the same objects, deeply frozen or flat: their bytes are copied
 * from the version before, and only those that changed are written anew. An item that is neither is encoded each time.
 *
 * Between calls it holds on to the last version: its items, what those that are not frozen had, its bytes, and 12 bytes for
 * each item. An object that was taken once is looked through for symbols as keys again only when it has changed.
 */
export class ArrayEncoder {
  #last: ArrayVersion | null = null;
  #resting = 0;

  /** True when it is worth while to give an array to `capture`: it is long, and most of a sample of its items are of the sort. */
  static suits(value: unknown): value is readonly unknown[] {
    if (!Array.isArray(value) || Object.getPrototypeOf(value) !== Array.prototype) return false;
    if (value.length < ITEMS_MIN || "toJSON" in value) return false;
    const store = new RowStore();
    let suited = 0;
    for (let sample = 0; sample < SAMPLES; sample++) {
      const item: unknown = value[Math.floor((value.length * sample) / SAMPLES)];
      if (typeof item !== "object" || item === null) continue;
      if (Object.isFrozen(item) || store.remember(item) >= 0) suited += 1;
    }
    return suited * 2 >= SAMPLES;
  }

  /** Captures the next version; null where it is better, or only possible, to encode it as any other value. `root` names it in messages. */
  capture(array: readonly unknown[], root = "value"): ArrayVersion | null {
    const before = this.#last?.isSound() === true ? this.#last : null;
    this.#last = null;
    this.#resting -= 1;
    if (this.#resting > 0 || !ArrayEncoder.suits(array)) return null;
    this.#last = ArrayVersion.capture(before, array, root);
    if (this.#last === null) this.#resting = REST_VERSIONS;
    return this.#last;
  }
}

keepShape(new ArrayEncoder());
