/** What one check of `memento doctor` found. */
export interface Finding {
  readonly check: string;
  /** `good`; `advice`: nothing is wrong, but something can be done; `bad`: something is wrong. */
  readonly verdict: "good" | "advice" | "bad";
  readonly finding: string;
  /** What to do; null where there is nothing to do. */
  readonly advice: string | null;
}

/** Nothing to do. */
export const good = (check: string, finding: string): Finding => ({ check, verdict: "good", finding, advice: null });

/** Something can be done. */
export const advise = (check: string, finding: string, advice: string): Finding => ({
  check,
  verdict: "advice",
  finding,
  advice,
});

/** Something is wrong. */
export const bad = (check: string, finding: string, advice: string): Finding => ({
  check,
  verdict: "bad",
  finding,
  advice,
});
