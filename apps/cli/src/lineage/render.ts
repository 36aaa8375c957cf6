import type { Style } from "../terminal/style.ts";
import { displayWidth, pad } from "../terminal/width.ts";
import { grouped } from "../terminal/words.ts";
import { layOut, NODE_CELL, type GraphRow } from "./graph.ts";
import type { Lineage, LineageNode } from "./lineage.ts";
import { rowTexts } from "./row-texts.ts";

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
  const texts = rowTexts(lineage, {
    ...options,
    columns: options.columns === null ? null : options.columns - width - 2,
  });
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
  // A line across belongs to the lane that it leads to.
  const line = paint[row.joins % paint.length] ?? style.dim;
  const sign = (text: string): string => (unicode ? text : (ASCII[text] ?? text));
  return row.cells
    .map((cell, lane) => {
      const colour = paint[lane % paint.length] ?? style.dim;
      const body =
        cell === NODE_CELL && node !== null
          ? nodeSign(node, colour, style, sign)
          : cell === " "
            ? " "
            : (cell === "─" ? line : colour)(sign(cell));
      const gap = row.gaps[lane] === "─" ? line(sign("─")) : " ";
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
