import type { MementoEntry } from "@mementojs/memento";

import { timelineName, type LivingTimeline } from "../pipelines/timelines.ts";
import { paintStatus, type Style } from "../terminal/style.ts";
import { displayWidth, pad, shorten } from "../terminal/width.ts";
import { ageText, grouped } from "../terminal/words.ts";
import { layOut, NODE_CELL, type GraphRow } from "./graph.ts";
import type { Lineage, LineageNode } from "./lineage.ts";

/** How a lineage is drawn. */
export interface RenderOptions {
  readonly style: Style;
  readonly now: number;
  /** The terminal's columns; null where lines may be as long as they like. */
  readonly columns: number | null;
  /** False: a terminal that draws no other signs than ASCII. */
  readonly unicode: boolean;
}

interface Line {
  readonly graph: string;
  readonly node: LineageNode | null;
}

/** A lineage as a terminal shows it: newest first, a lane for each line of descent. */
export function renderLineage(lineage: Lineage, options: RenderOptions): string {
  const { style } = options;
  const byId = new Map(lineage.nodes.map((node) => [node.entry.id, node]));
  const nodes = lineage.nodes.map(({ entry, parents }) => ({ id: entry.id, parents }));
  const rows = layOut(
    nodes,
    lineage.timelines.map(({ head }) => head.id),
  );
  const lines = rows.map((row): Line => {
    const node = row.node === null ? null : (byId.get(row.node) ?? null);
    return { graph: drawRow(row, node, options), node };
  });
  const width = Math.max(0, ...lines.map(({ graph }) => displayWidth(graph)));
  const texts = textColumns(lineage, options, options.columns === null ? null : options.columns - width - 2);
  const drawn = lines.map(({ graph, node }) =>
    `${pad(graph, width)}  ${node === null ? "" : (texts.get(node.entry.id) ?? "")}`.trimEnd(),
  );
  const older = lineage.older === 0 ? [] : [style.dim(`… ${grouped(lineage.older)} older; --limit shows more`)];
  return [heading(lineage, style), ...drawn, ...older].join("\n");
}

function heading({ name, timelines }: Lineage, style: Style): string {
  const [first] = timelines;
  const forks = timelines.filter(({ record }) => record.fork !== "").length;
  const facts = [
    first?.record.kind === "pipeline" ? "pipeline" : "",
    forks > 0 && timelines.length > 1 ? `${forks} ${forks === 1 ? "fork" : "forks"}` : "",
  ];
  const text = facts.filter((fact) => fact !== "").join(", ");
  return `${style.bold(name)}${text === "" ? "" : style.dim(`  ${text}`)}`;
}

const ASCII: Readonly<Record<string, string>> = {
  "│": "|",
  "├": "|",
  "╭": ".",
  "─": "-",
  "╯": "'",
  "╮": ".",
  "┴": "-",
  "┬": "-",
  "┼": "+",
  "●": "*",
  "○": "o",
  "◆": "R",
  "◇": "r",
};

function drawRow(row: GraphRow, node: LineageNode | null, { style, unicode }: RenderOptions): string {
  const paint = lanePaints(style);
  const sign = (text: string): string => (unicode ? text : (ASCII[text] ?? text));
  return row.cells
    .map((cell, lane) => {
      const colour = paint[lane % paint.length] ?? style.dim;
      const body =
        cell === NODE_CELL && node !== null
          ? nodeSign(node, colour, style, sign)
          : cell === " "
            ? " "
            : colour(sign(cell));
      // A gap belongs to the lane that the line leads to, and so does a crossing's right side.
      const gap = row.gaps[lane] === "─" ? (paint[(lane + 1) % paint.length] ?? style.dim)(sign("─")) : " ";
      return body + gap;
    })
    .join("")
    .replace(/ +$/u, "");
}

const lanePaints = (style: Style): readonly ((text: string) => string)[] => [
  style.cyan,
  style.magenta,
  style.yellow,
  style.blue,
  style.green,
];

function nodeSign(
  { entry, current }: LineageNode,
  colour: (text: string) => string,
  style: Style,
  sign: (text: string) => string,
): string {
  const isRollback = entry.reason === "rollback";
  if (!current) return style.dim(sign(isRollback ? "◇" : "○"));
  if (entry.status === "failed") return style.red(sign("●"));
  return colour(sign(isRollback ? "◆" : "●"));
}

/** Room for what is said of heads and names. */
const DECORATION_COLUMNS = 8;

/** The text beside each node, in columns of equal width. */
function textColumns(
  lineage: Lineage,
  { style, now }: RenderOptions,
  room: number | null,
): ReadonlyMap<string, string> {
  const heads = new Map(lineage.timelines.map((timeline) => [timeline.head.id, timeline]));
  const sequences = new Map(lineage.nodes.map(({ entry }) => [entry.id, entry]));
  const rows = lineage.nodes.map((node) => ({
    node,
    cells: {
      sequence: `#${node.entry.sequence}`,
      reason: reasonCell(node, sequences, lineage),
      stage: node.entry.stage ?? "",
      records: node.records === null ? "" : grouped(node.records),
      age: ageText(node.entry.created, now),
    },
  }));
  const widest = (cell: keyof (typeof rows)[number]["cells"], max = 40): number =>
    Math.min(max, Math.max(0, ...rows.map(({ cells }) => displayWidth(cells[cell]))));
  const widths = {
    sequence: widest("sequence"),
    reason: widest("reason"),
    stage: widest("stage", 24),
    records: widest("records"),
    age: widest("age"),
  };
  const status = Math.max(0, ...rows.map(({ node }) => node.entry.status.length));
  const fixed = Object.values(widths).reduce((sum, width) => sum + width + 2, status);
  const idWidth = Math.max(0, ...rows.map(({ node }) => node.entry.id.length));
  // The number says which memento it is too; where lines would break, the id is the first to go.
  const withIds = room === null || fixed + idWidth + 2 + DECORATION_COLUMNS <= room;
  return new Map(
    rows.map(({ node, cells }) => {
      const { entry, current } = node;
      const body = [
        pad(cells.sequence, widths.sequence, "start"),
        pad(shorten(cells.reason, widths.reason), widths.reason),
        pad(shorten(cells.stage, widths.stage), widths.stage),
        pad(current ? paintStatus(style, entry.status) : entry.status, status),
        ...(widths.records === 0 ? [] : [pad(cells.records, widths.records, "start")]),
        pad(cells.age, widths.age, "start"),
        ...(withIds ? [pad(entry.id, idWidth)] : []),
      ].join("  ");
      return [entry.id, `${current ? body : style.dim(body)}${decoration(entry, heads.get(entry.id), lineage, style)}`];
    }),
  );
}

function reasonCell(
  { entry, ground }: LineageNode,
  known: ReadonlyMap<string, MementoEntry>,
  lineage: Lineage,
): string {
  const origin = ground === null ? undefined : known.get(ground);
  if (entry.reason === "rollback") return origin === undefined ? "rollback" : `rollback to #${origin.sequence}`;
  if (entry.reason !== "fork") return entry.reason;
  const record = lineage.timelines.find((timeline) => timeline.record.key === entry.timeline)?.record;
  const from = origin === undefined ? "" : ` of #${origin.sequence}`;
  return `fork${record === undefined ? "" : ` ${record.fork}`}${from}`;
}

function decoration(entry: MementoEntry, head: LivingTimeline | undefined, lineage: Lineage, style: Style): string {
  const parts: string[] = [];
  if (head !== undefined)
    parts.push(style.bold(style.green(lineage.timelines.length > 1 ? `head of ${timelineName(head.record)}` : "head")));
  if (entry.name !== undefined) parts.push(style.yellow(entry.name));
  for (const [key, value] of Object.entries(entry.labels)) parts.push(style.dim(`${key}=${value}`));
  return parts.length === 0 ? "" : `  ${parts.join("  ")}`;
}
