import type { RunEvent } from "@mementojs/memento";
import { systemClock } from "@mementojs/memento/core";
import { describe, expect, test } from "vitest";

import { RunReport } from "./run-report.ts";

const RUN = { pipeline: "p", run: "r1", timeline: "k" };
const resumed = (more: Partial<Extract<RunEvent, { type: "run-resumed" }>> = {}): RunEvent => ({
  type: "run-resumed",
  ...RUN,
  from: "k-4-abc",
  skipped: ["extract", "validate"],
  stage: "load",
  ...more,
});

/** What a report says of some events, without a terminal. */
function said(...events: RunEvent[]): string {
  let text = "";
  const err = { isTerminal: false, columns: 80, colours: false, write: (piece: string) => void (text += piece) };
  using report = new RunReport({ err, clock: { ...systemClock, monotonic: () => 0 } });
  for (const event of events) report.listener(event);
  return text;
}

describe("RunReport", () => {
  test("says what a resumed run skips and reads again, and what was taken back for it", () => {
    expect(said({ type: "sink-reverted", sink: "flights", rows: 7_100, records: 7_000 }, resumed())).toBe(
      "resumed run r1 at memento k-4-abc, in the middle of load: stages extract and validate skipped; 7,000 records had been read past the checkpoint and are read again\n" +
        "  sink flights: 7,100 rows that no memento covered were taken back\n",
    );
  });

  test.each([
    [
      { skipped: [], stage: null },
      "resumed run r1 at memento k-4-abc: no stage was done yet; nothing had been written past the checkpoint\n",
    ],
    [
      { skipped: ["a"], stage: null },
      "resumed run r1 at memento k-4-abc: stage a skipped; nothing had been written past the checkpoint\n",
    ],
  ])("says it also of %j", (more, text) => {
    expect(said(resumed(more))).toBe(text);
  });

  test("records that fed several sinks count once", () => {
    const back = (sink: string, records: number): RunEvent => ({ type: "sink-reverted", sink, rows: 1, records });
    const text = said(back("a", 10), back("b", 7), resumed());
    expect(text).toContain("; 10 records had been read");
    expect(text).toContain("sink b: 1 row that no memento covered was taken back");
  });

  test("a single record is one", () => {
    expect(said({ type: "sink-reverted", sink: "a", rows: 1, records: 1 }, resumed())).toContain(
      "1 record had been read past the checkpoint and is read again",
    );
  });

  test("has a line for each change of stage, and for what stages log, with control characters made visible", () => {
    expect(
      said(
        { type: "run-started", ...RUN },
        { type: "stage-started", stage: "load", index: 1, of: 3 },
        { type: "progress", stage: "load", records: 10, total: 100, share: null },
        {
          type: "log",
          stage: "load",
          message: "a\u001b[2Jb",
          fields: { rows: 3, file: "x.csv", id: 2n ** 64n, ids: [1n] } as never,
        },
        { type: "stage-completed", stage: "load", index: 1, of: 3, records: 100, reads: true },
        { type: "stage-completed", stage: "report", index: 2, of: 3, records: 0, reads: false },
      ),
    ).toBe(
      'run r1 started\nstage 2/3 load started\nload: a\\x1b[2Jb rows=3 file=x.csv id=18446744073709551616 ids=["1"]\nstage 2/3 load done: 100 records in 0 ms\nstage 3/3 report done\n',
    );
  });

  test("tells of a rollback that was finished first", () => {
    expect(said({ type: "restore-finished", target: "k-1-a", memento: "k-9-b" })).toBe(
      "a rollback to k-1-a stood unfinished and was finished first: the head is now k-9-b\n",
    );
  });
});
