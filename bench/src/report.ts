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
  /** Empty when the figure is there for information only. */
  readonly target: string;
  readonly isMet: ((ratio: number, ours: number) => boolean) | null;
}

/** One line of the JSON report. Everything is a median; `null` where a peer was left out, or where there is no target. */
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
    met: ratio === null || comparison.isMet === null ? null : comparison.isMet(ratio, ours),
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
  return columns([
    ["work", "measured", "median", "min - max", "ratio", "min - max", "target", "met"],
    ...comparisons.flatMap(linesOf),
  ]);
}

/** The table for many comparisons that have a target: one line for each, medians alone. */
export function renderTargets(comparisons: readonly Comparison[]): string {
  const lines = comparisons
    .filter(({ isMet }) => isMet !== null)
    .map((comparison) => {
      const row = toRow(comparison);
      const others = Object.entries(comparison.peers).map(([name, figures]) =>
        figures === "not run" ? `${name}: not run` : `${name}: ${amount(median(figures), comparison.unit)}`,
      );
      return [
        comparison.work,
        amount(row.ours, comparison.unit),
        others.join(", "),
        ratioCell(row),
        row.ratio === null ? "-" : range(ratioByRound(comparison)),
        comparison.target,
        verdict(comparison, row),
      ];
    });
  if (lines.length === 0) return "No target is for these sizes and numbers.";
  return columns([["work", "ours", "beside", "ratio", "min - max", "target", "met"], ...lines]);
}

/** Lines of cells as text, each column as wide as its widest cell, with a rule below the first line. */
export function columns(lines: readonly (readonly string[])[]): string {
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
    row.ratio === null ? "-" : `${ratioCell(row)}  (${comparison.ratioIs})`,
    row.ratio === null ? "-" : range(ratios),
    comparison.target,
    verdict(comparison, row),
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

function ratioCell({ ratio }: Row): string {
  return ratio === null ? "-" : `${number(ratio)}x`;
}

function verdict({ isMet }: Comparison, { ratio, met }: Row): string {
  if (ratio === null) return "not run";
  if (isMet === null) return "";
  return met === true ? "yes" : "MISSED";
}

/** A figure with its unit; bytes in the unit that people read. */
export function amount(value: number, unit: string): string {
  if (unit !== "B") return `${number(value)} ${unit}`;
  if (value >= 1e6) return `${number(value / 1e6)} MB`;
  return value >= 1e3 ? `${number(value / 1e3)} KB` : `${number(value)} B`;
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
