/** A growing list of stretches of one content, and of where each belongs in another one. */
export class Stretches {
  /** Three numbers for each: start, length, and the place of its first byte in the other content. All below 2^31. */
  numbers: Int32Array;
  count = 0;

  /** `firstCount` is how many are expected. */
  constructor(firstCount: number) {
    this.numbers = new Int32Array(Math.max(1, firstCount) * 3);
  }

  /** Appends a stretch. */
  push(start: number, length: number, at: number): void {
    const index = this.count * 3;
    if (index === this.numbers.length) this.#grow();
    const { numbers } = this;
    numbers[index] = start;
    numbers[index + 1] = length;
    numbers[index + 2] = at;
    this.count += 1;
  }

  #grow(): void {
    const grown = new Int32Array(this.numbers.length * 2);
    grown.set(this.numbers);
    this.numbers = grown;
  }
}
