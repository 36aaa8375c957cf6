/** A closed range of sequence numbers. */
export type SequenceRange = readonly [from: number, to: number];

/** A growing set of sequence numbers, kept as ranges: retention removes neighbours, so a million take a few bytes. */
export class SequenceSet {
  /** Sorted, apart from each other by at least one number. */
  readonly #ranges: [number, number][];

  constructor(ranges: readonly SequenceRange[] = []) {
    this.#ranges = ranges.map(([from, to]) => [from, to]);
  }

  get ranges(): readonly SequenceRange[] {
    return this.#ranges;
  }

  /** How many numbers are in the set. */
  get size(): number {
    return this.#ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  }

  has(number: number): boolean {
    const range = this.#ranges[this.#lastFrom(number)];
    return range !== undefined && number <= range[1];
  }

  add(number: number): void {
    const index = this.#lastFrom(number);
    const left = this.#ranges[index];
    if (left !== undefined && number <= left[1]) return;
    const right = this.#ranges[index + 1];
    const joinsLeft = left !== undefined && left[1] === number - 1;
    const joinsRight = right !== undefined && right[0] === number + 1;
    if (joinsLeft && joinsRight) {
      left[1] = right[1];
      this.#ranges.splice(index + 1, 1);
    } else if (joinsLeft) left[1] = number;
    else if (joinsRight) right[0] = number;
    else this.#ranges.splice(index + 1, 0, [number, number]);
  }

  addRange([from, to]: SequenceRange): void {
    for (let number = from; number <= to; number++) this.add(number);
  }

  /** The index of the last range that begins at or before the number; -1 when none does. */
  #lastFrom(number: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.[0] ?? Infinity) <= number) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
