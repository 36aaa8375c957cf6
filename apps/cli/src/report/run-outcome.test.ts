import type { RunResult } from "@mementojs/memento";
import { describe, expect, test } from "vitest";

import { styleOf } from "../terminal/style.ts";
import { runOutcome } from "./run-outcome.ts";
import type { RunReport } from "./run-report.ts";

describe("runOutcome()", () => {
  test.each([
    [
      "all sources together, each once",
      [
        { name: "flights", records: 200, reads: true },
        { name: "load", records: 200, reads: false },
        { name: "codes", records: 42, reads: true },
      ],
      "242 records",
    ],
    ["the busiest stage where no source was read", [{ name: "map", records: 7, reads: false }], "7 records"],
  ])("counts the records of %s", (_what, stages, said) => {
    const style = styleOf({ colours: false });
    const result = { run: "r1", status: "completed", head: "k-1-a" } as unknown as RunResult;
    const report = { stages, mementos: 3 } as unknown as RunReport;
    const outcome = runOutcome(
      { style, store: null, io: {} as never },
      { result, report, durationMs: 5, store: "sqlite:x", named: [] },
    );
    expect(outcome.text()).toContain(said);
    expect(outcome.json).toMatchObject({ stages: stages.map(({ name, records }) => ({ name, records })) });
  });
});
