import type { MementoEntry } from "@mementojs/memento";
import { givenLabels } from "@mementojs/memento/store";

import { timelineName } from "../pipelines/timelines.ts";
import { oneLine } from "../terminal/printable.ts";
import { paintStatus, type Style } from "../terminal/style.ts";
import { displayWidth, pad, shorten } from "../terminal/width.ts";
import { ageText, grouped } from "../terminal/words.ts";
import type { Lineage, LineageNode } from "./lineage.ts";

/** How the text beside a lineage is written. */
export interface RowTextOptions {
  readonly style: Style;
  readonly now: number;
  /** Columns that are left beside the drawing; null where lines may be as long as they like. */
  readonly columns: number | null;
}

/** The text beside each memento of a lineage, by id, in columns of equal width. */
export function rowTexts(lineage: Lineage, { style, now, columns }: RowTextOptions): ReadonlyMap<string, string> {
  const rows = lineage.nodes.map((node) => ({
    node,
    cells: cellsOf(node, lineage, now),
    ...marksOf(node.entry, lineage),
  }));
  const widest = (cell: keyof Cells, max = 40): number =>
    Math.min(max, Math.max(0, ...rows.map(({ cells }) => displayWidth(cells[cell]))));
  const widths = {
    sequence: widest("sequence"),
    reason: widest("reason"),
    stage: widest("stage", 24),
    status: widest("status"),
    records: widest("records"),
    age: widest("age"),
  };
  const fixed = Object.values(widths).reduce((sum, width) => sum + (width === 0 ? 0 : width + 2), -2);
  const idWidth = widest("id");
  const marksWidth = Math.max(
    0,
    ...rows.map(({ isHead, marks }) => (isHead || marks.length > 0 ? 2 + displayWidth(marks.join("  ")) : 0)),
  );
  // The number says which memento it is too; where lines would break, the id is the first to go.
  const withIds = columns === null || fixed + 2 + idWidth + Math.min(marksWidth, MARKS_COLUMNS) <= columns;
  const room = columns === null ? Number.POSITIVE_INFINITY : columns - fixed - (withIds ? idWidth + 2 : 0) - 2;
  return new Map(
    rows.map(({ node, cells, isHead, marks }) => {
      const { entry, current } = node;
      const body = [
        pad(cells.sequence, widths.sequence, "start"),
        pad(shorten(cells.reason, widths.reason), widths.reason),
        pad(shorten(cells.stage, widths.stage), widths.stage),
        pad(statusText(node, isHead, style), widths.status),
        ...(widths.records === 0 ? [] : [pad(cells.records, widths.records, "start")]),
        pad(cells.age, widths.age, "start"),
        ...(withIds ? [pad(cells.id, idWidth)] : []),
      ].join("  ");
      const said = shorten(marks.join("  "), Math.max(1, room));
      const paint = isHead ? (text: string): string => style.bold(style.green(text)) : style.yellow;
      return [entry.id, `${current ? body : style.dim(body)}${said === "" ? "" : `  ${paint(said)}`}`];
    }),
  );
}

/** Room that heads, names and labels may take before the id gives way to them. */
const MARKS_COLUMNS = 24;

interface Cells {
  readonly sequence: string;
  readonly reason: string;
  readonly stage: string;
  readonly status: string;
  readonly records: string;
  readonly age: string;
  readonly id: string;
}

function cellsOf(node: LineageNode, lineage: Lineage, now: number): Cells {
  const { entry, records } = node;
  return {
    sequence: `#${entry.sequence}`,
    reason: reasonText(node, lineage),
    stage: entry.stage ?? "",
    status: entry.status,
    records: records === null ? "" : grouped(records),
    age: ageText(entry.created, now),
    id: entry.id,
  };
}

/** In colour where it says something: all that lies behind a head was running once. */
function statusText({ entry, current }: LineageNode, isHead: boolean, style: Style): string {
  if (!current) return entry.status;
  return entry.status === "running" && !isHead ? style.dim(entry.status) : paintStatus(style, entry.status);
}

function reasonText({ entry, ground }: LineageNode, lineage: Lineage): string {
  if (entry.reason !== "rollback" && entry.reason !== "fork") return entry.reason;
  const origin = lineage.nodes.find((node) => node.entry.id === ground)?.entry;
  if (entry.reason === "rollback") return origin === undefined ? "rollback" : `rollback to #${origin.sequence}`;
  const record = lineage.timelines.find((timeline) => timeline.record.key === entry.timeline)?.record;
  const from = origin === undefined ? "" : ` of #${origin.sequence}`;
  return `fork${record === undefined ? "" : ` ${record.fork}`}${from}`;
}

/** What is said of a memento besides its facts: that it is a head, its name, its labels. */
function marksOf(
  entry: MementoEntry,
  lineage: Lineage,
): { readonly isHead: boolean; readonly marks: readonly string[] } {
  const head = lineage.timelines.find((timeline) => timeline.head.id === entry.id);
  const heads =
    head === undefined ? [] : [lineage.timelines.length > 1 ? `head of ${timelineName(head.record)}` : "head"];
  const labels = Object.entries(givenLabels(entry)).map(([key, value]) => oneLine(`${key}=${value}`));
  return {
    isHead: head !== undefined,
    marks: [...heads, ...(entry.name === undefined ? [] : [entry.name]), ...labels],
  };
}
