import type { MementoEntry } from "@mementojs/memento";
import { describe, expect, test } from "vitest";

import { styleOf } from "../terminal/style.ts";
import { displayWidth } from "../terminal/width.ts";
import type { Lineage, LineageNode } from "./lineage.ts";
import { renderLineage } from "./render.ts";

const KEY = "abcdefghjkmn";
const id = (sequence: number): string => `${KEY}-${sequence}-x8f2k1`;

function node(sequence: number, more: Partial<MementoEntry> = {}, ground = sequence - 1, current = true): LineageNode {
  const entry = {
    id: id(sequence),
    timeline: KEY,
    sequence,
    reason: "interval",
    status: "running",
    stage: "extract",
    created: "2026-03-10T11:57:00.000Z",
    labels: {},
    ...more,
  } as MementoEntry;
  const parents = entry.reason === "rollback" ? [id(ground), id(sequence - 1)] : [id(ground)];
  return { entry, ground: id(ground), parents, records: sequence * 1_000, current };
}

function lineage(nodes: readonly LineageNode[], older = 0): Lineage {
  const [first] = nodes;
  const record = { key: KEY, kind: "pipeline", caretaker: "pipelines", originator: "flights", partition: "", fork: "" };
  const head = { id: first?.entry.id ?? "", sequence: first?.entry.sequence ?? 0 };
  return { name: "flights", timelines: [{ record, head } as unknown as Lineage["timelines"][number]], nodes, older };
}

const options = {
  style: styleOf({ colours: false }),
  now: Date.parse("2026-03-10T12:00:00.000Z"),
  columns: null,
  unicode: true,
};
const rolledBack = lineage([
  node(4, { reason: "rollback", status: "interrupted" }, 1),
  node(3, { reason: "rollback-begin", status: "reverting" }, 2, false),
  node(2, { name: "a name", labels: { quarter: "Q1" } }, 1, false),
  node(1, { reason: "start" }),
]);

describe("renderLineage()", () => {
  test("draws the way back to the target, and says what it is", () => {
    expect(renderLineage(rolledBack, options)).toBe(
      [
        "flights  pipeline",
        `◆    #4  rollback to #1  extract  interrupted  4,000  3 min  ${id(4)}  head`,
        "├─╮",
        `│ ○  #3  rollback-begin  extract  reverting    3,000  3 min  ${id(3)}`,
        `│ ○  #2  interval        extract  running      2,000  3 min  ${id(2)}  a name  quarter=Q1`,
        "├─╯",
        `●    #1  start           extract  running      1,000  3 min  ${id(1)}`,
      ].join("\n"),
    );
  });

  test("draws the same where there is only ASCII", () => {
    const drawn = renderLineage(rolledBack, { ...options, unicode: false });
    expect(drawn.split("\n").map((line) => line.slice(0, 5).trimEnd())).toEqual([
      "fligh",
      "R",
      "|-.",
      "| o",
      "| o",
      "|-'",
      "*",
    ]);
  });

  test.each([[110], [90], [70]])(
    "fits into %i columns: the id gives way first, then what is said beside",
    (columns) => {
      const long = lineage([node(2, { name: "n".repeat(60) }), node(1)]);
      const lines = renderLineage(long, { ...options, columns }).split("\n");
      for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(columns);
      expect(lines[1]?.includes(id(2))).toBe(columns >= 110);
    },
  );

  test("colours what leads to the head, and dims what a rollback has left", () => {
    const drawn = renderLineage(rolledBack, { ...options, style: styleOf({ colours: true }) });
    expect(drawn).toContain("\u001b[36m◆\u001b[39m");
    expect(drawn).toContain("\u001b[2m○\u001b[22m");
    expect(drawn).toContain("\u001b[33minterrupted\u001b[39m");
  });

  test("a failed memento is red", () => {
    const drawn = renderLineage(lineage([node(1, { status: "failed" })]), {
      ...options,
      style: styleOf({ colours: true }),
    });
    expect(drawn).toContain("\u001b[31m●\u001b[39m");
  });

  test("counts what the limit has left out", () => {
    expect(renderLineage(lineage([node(3), node(2)], 1_200), options)).toMatch(/… 1,200 older; --limit shows more$/u);
  });
});
