import type { RollbackPlan } from "@mementojs/memento";
import { describe, expect, test } from "vitest";

import { styleOf } from "../terminal/style.ts";
import { planText } from "./plan-text.ts";

const point = (sequence: number, stage: string | null): RollbackPlan["head"] => ({
  id: `k-${sequence}-abc`,
  sequence,
  generation: 0,
  created: "2026-03-10T11:57:00.000Z",
  reason: stage === null ? "start" : "stage",
  stage,
  run: "r1",
});

const plan: RollbackPlan = {
  timeline: "k",
  pipeline: "flights",
  head: point(9, "load"),
  target: point(1, null),
  sources: [
    {
      name: "csv",
      from: { "0": { byte: 900 } },
      to: { "0": { byte: 100 } },
      recordsAgain: null,
      available: true,
      problem: "",
      schema: { head: "1", target: "1", code: "2" },
    },
    {
      name: "kafka",
      from: { a: 5, b: 7 },
      to: { a: 5 },
      recordsAgain: 7,
      available: false,
      problem: "partition b was trimmed",
      schema: { head: "1", target: "1", code: "1" },
    },
  ],
  sinks: [
    {
      name: "table",
      where: "here",
      verdict: "revert",
      remove: 10,
      restore: 2,
      foreign: [{ item: "t[1]", change: "changed" }],
      foreignTotal: 3,
      fingerprint: "",
    },
    {
      name: "mail",
      where: "there",
      verdict: "not-revertible",
      remove: 0,
      restore: 0,
      foreign: [],
      foreignTotal: 0,
      fingerprint: "",
    },
  ],
  participants: [
    {
      name: "files",
      kind: "ledger",
      where: "the ledger",
      verdict: "revert",
      remove: 4,
      restore: 0,
      foreign: [],
      foreignTotal: 0,
      problem: "",
      fingerprint: "",
    },
  ],
  undo: [{ name: "book", run: "r1", verdict: "compensate", problem: "" }],
  content: null,
  only: null,
  casts: [],
  warnings: [],
  stagesAgain: ["extract", "load"],
  state: [],
  credentials: [{ name: "warehouse", provider: "environment", scope: "write" }],
  lease: { epoch: 4, expires: "2026-03-10T12:00:15.000Z" },
  refused: ["kafka", "mail"],
  hash: "a.b.c.d",
};

const options = {
  style: styleOf({ colours: false }),
  now: Date.parse("2026-03-10T12:00:00.000Z"),
  columns: null,
  apply: "memento rollback k-1-abc",
};

describe("planText()", () => {
  test("says all that a plan says", () => {
    expect(planText(plan, options)).toBe(
      [
        "Roll flights back",
        "from  #9  k-9-abc  stage load, 3 min ago",
        "to    #1  k-1-abc  start, 3 min ago",
        "",
        "SINK   VERDICT         REMOVE  PUT BACK  CHANGED BY OTHERS  WHERE",
        "table  revert              10         2                  3  here",
        "mail   not-revertible       0         0                  0  there",
        "",
        "PARTICIPANT  VERDICT  REMOVE  PUT BACK  CHANGED BY OTHERS  WHERE",
        "files        revert        4         0                  0  the ledger",
        "",
        "SOURCE  READ AGAIN  STILL THERE  SCHEMA     OFFSETS",
        "csv        unknown  yes          1, code 2  byte 900 -> 100",
        "kafka            7  no           1          partition b was trimmed",
        "",
        "stages to run again     extract, load",
        "stages to undo          book (run r1)",
        "state that changes      none",
        "credentials to acquire  warehouse (environment, write)",
        "lease                   held, epoch 4, until 2026-03-10T12:00:15.000Z unless renewed",
        "",
        "3 rows of table were changed by others; they stay as they are unless forced by --force table:",
        "  t[1]  changed",
        "  … 2 more",
        "",
        "Refused as it is: kafka and mail cannot be taken back. To go on without: --force kafka --force mail",
        "",
        "Nothing was changed. Apply it:",
        "  memento rollback k-1-abc --plan a.b.c.d --force kafka --force mail",
      ].join("\n"),
    );
  });

  test("says which items alone go back, what then disagrees, and what stays in any case", () => {
    const sent = { total: 2, items: ["orders[0] offsets 17..18"] };
    const sinks = plan.sinks.map((sink) => (sink.name === "mail" ? { ...sink, stays: sent } : sink));
    const text = planText({ ...plan, sinks, only: ["sink:mail"], warnings: ["it is only mail"] }, options);
    expect(text).toContain("only  sink:mail");
    expect(text).toContain("Mind: it is only mail");
    expect(text).toContain("2 records of mail stay where they are, whatever is done:\n  orders[0] offsets 17..18");
  });

  test("leaves out what is not there", () => {
    const text = planText({ ...plan, sinks: [], sources: [], refused: [], lease: null, stagesAgain: [] }, options);
    expect(text).not.toContain("SINK");
    expect(text).not.toContain("Refused");
    expect(text).toContain("lease                   free");
    expect(text).toMatch(/--plan a\.b\.c\.d$/u);
  });
});
