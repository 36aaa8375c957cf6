import { median, spread } from "./measure.ts";

/** Figures of one round each, or why there are none. */
export type Figures = readonly number[] | "not run";

/** What a suite found out about one piece of work against one or more peers. */
export interface Comparison {
  readonly work: string;
  readonly unit: string;
  readonly ours: readonly number[];
  readonly peers: Readonly<Record<string, Figures>>;
  /** How a reader gets from the medians to the ratio, for example `ours / bare`. */
  readonly ratioIs: string;
  /** The ratio from one median (or one round's figure) of ours and one of each peer. */
  readonly ratioOf: (ours: number, peers: readonly number[]) => number;
  readonly target: string;
  readonly isMet: (ratio: number, ours: number) => boolean;
}

/** One line of the JSON report. Everything is a median; `null` where a peer was left out. */
export interface Row {
  readonly work: string;
  readonly unit: string;
  readonly ours: number;
  readonly peers: Readonly<Record<string, number | null>>;
  readonly ratio: number | null;
  readonly target: string;
  readonly met: boolean | null;
}

/** The row of a comparison: the ratio is that of the medians, and is `null` as soon as one of its peers was not run. */
export function toRow(comparison: Comparison): Row {
  const ours = median(comparison.ours);
  const peers = Object.entries(comparison.peers).map(
    ([name, figures]) => [name, figures === "not run" ? null : median(figures)] as const,
  );
  const values = peers.map(([, value]) => value).filter((value) => value !== null);
  const ratio = values.length === peers.length ? comparison.ratioOf(ours, values) : null;
  return {
    work: comparison.work,
    unit: comparison.unit,
    ours: round(ours),
    peers: Object.fromEntries(peers.map(([name, value]) => [name, value === null ? null : round(value)])),
    ratio: ratio === null ? null : round(ratio),
    target: comparison.target,
    met: ratio === null ? null : comparison.isMet(ratio, ours),
  };
}

/** The ratio in each round by itself, from which the table shows the smallest and the largest; empty when a peer was not run. */
export function ratioByRound({ ours, peers, ratioOf }: Comparison): readonly number[] {
  const figures = Object.values(peers);
  return ours.flatMap((value, index) => {
    const others = figures
      .map((of) => (of === "not run" ? undefined : of[index]))
      .filter((other) => other !== undefined);
    return others.length === figures.length ? [ratioOf(value, others)] : [];
  });
}

/** The table for people: one line for each figure, the comparison's ratio and verdict on its first line. */
export function renderTable(comparisons: readonly Comparison[]): string {
  const lines = [["work", "measured", "median", "min - max", "ratio", "min - max", "target", "met"]];
  for (const comparison of comparisons) lines.push(...linesOf(comparison));
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  const text = lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  text.splice(1, 0, widths.map((width) => "-".repeat(width)).join("  "));
  return text.join("\n");
}

function linesOf(comparison: Comparison): string[][] {
  const row = toRow(comparison);
  const ratios = ratioByRound(comparison);
  const first = [
    comparison.work,
    "ours",
    ...cells(comparison.ours, comparison.unit),
    row.ratio === null ? "-" : `${number(row.ratio)}x  (${comparison.ratioIs})`,
    row.ratio === null ? "-" : range(ratios),
    comparison.target,
    row.met === null ? "not run" : row.met ? "yes" : "MISSED",
  ];
  const others = Object.entries(comparison.peers).map(([name, figures]) => [
    "",
    name,
    ...cells(figures, comparison.unit),
  ]);
  return [first, ...others];
}

function cells(figures: Figures, unit: string): string[] {
  return figures === "not run" ? ["not run", ""] : [`${number(median(figures))} ${unit}`, range(figures)];
}

function range(values: readonly number[]): string {
  const { min, max } = spread(values);
  return `${number(min)} - ${number(max)}`;
}

function number(value: number): string {
  return round(value).toLocaleString("en-US", { maximumSignificantDigits: 5 });
}

/** Three significant digits, and whole numbers from 1,000 on: finer than any of these figures repeats. */
function round(value: number): number {
  return Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}
