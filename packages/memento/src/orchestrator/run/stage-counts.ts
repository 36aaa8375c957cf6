import type { StageProgress } from "../pipeline/stage.ts";
import type { ProgressRecord } from "./run-state.ts";

/** How far one attempt is: what its code sees as `progress`, and what of it no memento has. */
export class StageCounts implements StageProgress {
  total: number | null;
  readonly add: (records: number) => void;
  #records: number;
  #unsaved = 0;

  /** Goes on from what the last memento says; `onCount` is called at each count. */
  constructor(before: Pick<ProgressRecord, "records" | "total"> | null, onCount: () => void) {
    this.#records = before?.records ?? 0;
    this.total = before?.total ?? null;
    this.add = (records) => {
      onCount();
      this.#records += records;
      this.#unsaved += records;
    };
  }

  get records(): number {
    return this.#records;
  }

  /** Records that were counted since the last memento. */
  get unsaved(): number {
    return this.#unsaved;
  }

  /** A memento with all that was counted so far is on its way; to be called with what this gave where it did not arrive. */
  saving(): number {
    const counted = this.#unsaved;
    this.#unsaved = 0;
    return counted;
  }

  notSaved(counted: number): void {
    this.#unsaved += counted;
  }
}
