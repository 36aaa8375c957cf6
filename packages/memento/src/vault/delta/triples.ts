/** A growing list of threes of whole numbers below 2^31: an object for each would cost more than all work on them. */
export class Triples {
  /** The numbers of one after those of the other; behind `count` of them nothing counts. */
  numbers: Int32Array;
  count = 0;

  /** `firstCount` is how many are expected. */
  constructor(firstCount: number) {
    this.numbers = new Int32Array(Math.max(1, firstCount) * 3);
  }

  /** Appends one. */
  push(first: number, second: number, third: number): void {
    const index = this.count * 3;
    if (index === this.numbers.length) this.#grow();
    const { numbers } = this;
    numbers[index] = first;
    numbers[index + 1] = second;
    numbers[index + 2] = third;
    this.count += 1;
  }

  #grow(): void {
    const grown = new Int32Array(this.numbers.length * 2);
    grown.set(this.numbers);
    this.numbers = grown;
  }
}
