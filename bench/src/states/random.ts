/** A number from 0 up to, and without, `below`. */
export type Dice = (below: number) => number;

/** The same whole numbers for the same seed, on every machine (mulberry32). Not for secrets. */
export function seededDice(seed: number): Dice {
  let a = seed >>> 0;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}

/** The numbers from 0 to `count - 1`, each once, in an order that the dice decide. */
export function shuffled(count: number, dice: Dice): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index--) {
    const other = dice(index + 1);
    [order[index], order[other]] = [order[other] ?? 0, order[index] ?? 0];
  }
  return order;
}
