import type { LiveRun } from "../pipelines/live-runs.ts";
import { paintStatus, type Style } from "../terminal/style.ts";
import { renderTable } from "../terminal/table.ts";
import { ageText, grouped, listText } from "../terminal/words.ts";

/** How a table of runs is written. */
export interface LiveTableOptions {
  readonly style: Style;
  readonly now: number;
  /** The terminal's; null where lines may be as long as they like. */
  readonly columns: number | null;
}

/** Runs that go on or wait, one a line. */
export function liveTable(runs: readonly LiveRun[], { style, now, columns }: LiveTableOptions): string {
  if (runs.length === 0) return "No run goes on or waits.";
  return renderTable(
    [
      { head: "pipeline", shrinks: true },
      { head: "run" },
      { head: "status" },
      { head: "stage", shrinks: true },
      { head: "progress", align: "right" },
      { head: "since", align: "right" },
      { head: "worker", shrinks: true },
    ],
    runs.map((run) => [
      run.pipeline,
      run.run,
      paintStatus(style, run.status),
      stageText(run),
      progressText(run),
      ageText(run.since, now),
      run.holder === null ? "none" : `${run.holder.pid} on ${run.holder.host}`,
    ]),
    style,
    columns,
  );
}

/** The same of one run, without what changes by itself. */
export function liveLine(run: LiveRun): string {
  const parts = [run.status, stageText(run), progressText(run)].filter((part) => part !== "");
  const worker = run.holder === null ? "no worker" : `worker ${run.holder.pid} on ${run.holder.host}`;
  return `${run.pipeline} ${run.run}: ${[...parts, worker].join(", ")}`;
}

function stageText({ stages, waitingFor, until }: LiveRun): string {
  if (waitingFor.length > 0) return `${listText(waitingFor)} (waits for approval)`;
  return `${listText(stages)}${until === null ? "" : ` (waits until ${until})`}`;
}

function progressText({ records, total }: LiveRun): string {
  if (records === null || records === 0) return "";
  return total === null ? grouped(records) : `${grouped(records)} of ${grouped(total)}`;
}
