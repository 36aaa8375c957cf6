import { median } from "../measure.ts";
import { amount, columns, toRow, type Comparison, type Figures } from "../report.ts";

/** The suite `stores` for people: one line for each engine, size and number of writers, saves and loads side by side. */
export function renderStores(comparisons: readonly Comparison[]): string {
  const lines = new Map<string, string[]>();
  for (const comparison of comparisons) {
    const [work = ""] = comparison.work.replace("stores/", "").split(": ");
    const [[, bare] = ["", "not run" as Figures]] = Object.entries(comparison.peers);
    const { ratio } = toRow(comparison);
    const cells = [
      amount(median(comparison.ours), "/s"),
      bare === "not run" ? "not run" : amount(median(bare), "/s"),
      ratio === null ? "-" : `${ratio}x`,
    ];
    const line = lines.get(work) ?? work.split("/");
    lines.set(work, [...line, ...cells]);
  }
  return columns([
    ["engine", "state", "at once", "saves", "bare", "ratio", "loads", "bare", "ratio"],
    ...lines.values(),
  ]);
}
