import Table from "cli-table3";

import type { Style } from "./style.ts";
import { displayWidth, shorten } from "./width.ts";

/** One column of a table. */
export interface Column {
  readonly head: string;
  readonly align?: "left" | "right";
  /** True: this column gives way where the table is wider than the terminal. */
  readonly shrinks?: boolean;
}

const GAP = "  ";
const SHRUNK_MIN = 8;
const NO_BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: GAP,
};

/** A table without borders, one line a row; `width` is the terminal's, null where lines may be as long as they like. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: Style,
  width: number | null,
): string {
  const table = new Table({
    chars: NO_BORDERS,
    colAligns: columns.map(({ align }) => align ?? "left"),
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
    head: columns.map(({ head }) => style.dim(head)),
  });
  for (const row of fitted(columns, rows, width)) table.push([...row]);
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/** Names and values below each other, the names dimmed. */
export function renderFacts(facts: readonly (readonly [name: string, value: string])[], style: Style): string {
  const width = Math.max(0, ...facts.map(([name]) => displayWidth(name)));
  return facts
    .map(([name, value]) => {
      const [first = "", ...more] = value.split("\n");
      const indent = " ".repeat(width + GAP.length);
      return [
        `${style.dim(name)}${" ".repeat(width - displayWidth(name))}${GAP}${first}`,
        ...more.map((line) => indent + line),
      ]
        .join("\n")
        .trimEnd();
    })
    .join("\n");
}

function fitted(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | null,
): readonly (readonly string[])[] {
  if (width === null) return rows;
  const widths = columns.map(({ head }, index) =>
    Math.max(displayWidth(head), ...rows.map((row) => displayWidth(row[index] ?? ""))),
  );
  let surplus = widths.reduce((sum, each) => sum + each + GAP.length, -GAP.length) - width;
  const limits = new Map<number, number>();
  for (let index = columns.length - 1; index >= 0 && surplus > 0; index--) {
    const natural = widths[index] ?? 0;
    if (columns[index]?.shrinks !== true || natural <= SHRUNK_MIN) continue;
    const limit = Math.max(SHRUNK_MIN, natural - surplus);
    surplus -= natural - limit;
    limits.set(index, limit);
  }
  return rows.map((row) => row.map((cell, index) => shorten(cell, limits.get(index) ?? Number.POSITIVE_INFINITY)));
}
