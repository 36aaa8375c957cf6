import type { Json } from "../../core/json.ts";
import type { MementoEntry } from "../../core/memento.ts";

/** What a run tells while it goes on; for progress bars, logs and metrics. Never holds secrets or records. */
export type RunEvent =
  | { readonly type: "run-started"; readonly pipeline: string; readonly run: string; readonly timeline: string }
  | {
      readonly type: "run-resumed";
      readonly pipeline: string;
      readonly run: string;
      readonly timeline: string;
      readonly from: string;
      readonly skipped: readonly string[];
      readonly stage: string | null;
    }
  /** A crash had left data in a sink that no memento covers: it was taken back, and its records are read again. */
  | { readonly type: "sink-reverted"; readonly sink: string; readonly rows: number; readonly records: number }
  /** A crash had left data in a sink that cannot take it back, and that no memento covers: it stays. `items` names it in ranges. */
  | { readonly type: "sink-kept"; readonly sink: string; readonly records: number; readonly items: readonly string[] }
  /** A new run writes at a place that nothing of this timeline is at: what was written before is elsewhere, or gone, and is not read again. */
  | { readonly type: "sink-moved"; readonly sink: string; readonly where: string }
  /** The worker before was asked to pause and ended before it saw that: whoever resumes its run, or starts another one, wants it to run. */
  | { readonly type: "pause-dropped" }
  | { readonly type: "restore-finished"; readonly target: string; readonly memento: string }
  | { readonly type: "stage-started"; readonly stage: string; readonly index: number; readonly of: number }
  | {
      readonly type: "stage-completed";
      readonly stage: string;
      readonly index: number;
      readonly of: number;
      readonly records: number;
      /** True: they come from a source, and other stages of the flow count the same ones again. */
      readonly reads: boolean;
    }
  /** Its `when` said no: it is done, and its output is undefined. */
  | { readonly type: "stage-skipped"; readonly stage: string; readonly index: number; readonly of: number }
  /** An attempt failed, and another one follows. */
  | {
      readonly type: "stage-retry";
      readonly stage: string;
      readonly failed: number;
      readonly attempts: number;
      readonly delayMs: number;
      readonly error: string;
    }
  | { readonly type: "stage-sleeps"; readonly stage: string; readonly name: string; readonly until: string }
  | { readonly type: "approval-wanted"; readonly stage: string; readonly message: string }
  /** `share`: how much of the source is read, from 0 to 1; null where it cannot tell. */
  | {
      readonly type: "progress";
      readonly stage: string;
      readonly records: number;
      readonly total: number | null;
      readonly share: number | null;
    }
  /** `ms`: from the wish for it to its acknowledgement. */
  | { readonly type: "saved"; readonly entry: MementoEntry; readonly ms: number }
  /** A memento was not acknowledged. The run ends with that error, whose code this is. */
  | { readonly type: "save-failed"; readonly error: string }
  /** The last event of a run. `error`: the code of what it failed with; null where it did not. */
  | {
      readonly type: "run-ended";
      readonly run: string;
      readonly status: "completed" | "interrupted" | "paused" | "cancelled" | "failed";
      readonly error: string | null;
    }
  | {
      readonly type: "log";
      readonly stage: string;
      readonly message: string;
      readonly fields: Readonly<Record<string, Json>>;
    };

/** Receives a run's events; what it throws ends the run. */
export type RunListener = (event: RunEvent) => void;
