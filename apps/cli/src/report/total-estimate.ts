/** How many records there will be in all, judged by how much of its source each number of records has used up. */
export class TotalEstimate {
  #first: { readonly records: number; readonly share: number } | null = null;

  /** Null until there is enough to tell. The first answers may be off where records are of unequal size. */
  after(records: number, share: number | null): number | null {
    if (share === null) return null;
    // Where the run was taken up in the middle, what was read before says nothing of its own records.
    this.#first ??= { records, share };
    const used = share - this.#first.share;
    const read = records - this.#first.records;
    if (used <= 0 || read <= 0) return null;
    return threeDigits(records + ((1 - share) * read) / used);
  }
}

/** An estimate is not shown to the last digit, which would flicker. */
function threeDigits(value: number): number {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 2);
  return Math.round(value / step) * step;
}
