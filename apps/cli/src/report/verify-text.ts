import type { Damage, VerifyReport } from "@mementojs/memento";

import type { Style } from "../terminal/style.ts";
import { bytesText, counted, durationText } from "../terminal/words.ts";
import { pieceName } from "./piece-name.ts";

/** What a report is shown with. */
export interface VerifyTextOptions {
  readonly style: Style;
  readonly url: string;
  readonly durationMs: number;
  /** The command that says what can be mended. */
  readonly repair: string;
}

const PIECES_SHOWN = 6;

const READ: Readonly<Record<VerifyReport["depth"], string>> = {
  everything: "every byte was read and checked",
  index: "the index, the checks and every pack's header and length agree",
  sample: "every memento of the sample is whole",
  memento: "the memento is whole",
};

/** A report for people: what was read, what was not, and each damage with what it costs. */
export function verifyText(report: VerifyReport, { style, url, durationMs, repair }: VerifyTextOptions): string {
  const { sound, depth, mementos, bytes, damages, notRead, seed } = report;
  const size = bytes === 0 ? "" : `, ${bytesText(bytes)}`;
  const read = `${counted(mementos, "memento")}${size}, in ${durationText(durationMs)}`;
  const left = [
    ...(notRead === null ? [] : [style.yellow(`Not read: ${notRead}.`)]),
    ...(seed === null ? [] : [style.dim(`Seed: ${seed} (the same one draws the same mementos)`)]),
  ];
  if (sound) {
    const what = depth === "everything" ? `every byte of ${url} was read and checked` : `${READ[depth]} in ${url}`;
    return [`${style.green("Sound:")} ${what} (${read}).`, ...left].join("\n");
  }
  const head = `${style.red("Damaged:")} ${counted(damages.length, "damage")} found in ${url} (read ${read}).`;
  const end = style.dim(`What can be mended, and how: ${repair}`);
  return [[head, ...left].join("\n"), ...damages.map((damage) => damageText(damage, style)), end].join("\n\n");
}

function damageText({ problem, mementos, nearestGood, lost }: Damage, style: Style): string {
  const affected = mementos.flatMap((id) => {
    const good = nearestGood[id];
    const nearest =
      good === null || good === undefined
        ? "no good memento is left on its timeline"
        : `nearest good: ${style.green(good)}`;
    const what = lostText(lost[id]);
    return [`  ${style.bold(id)}  ${nearest}`, ...(what === null ? [] : [`    lost: ${what}`])];
  });
  return [problem, ...(affected.length === 0 ? ["  No live memento is affected."] : affected)].join("\n");
}

function lostText(keys: readonly string[] | null | undefined): string | null {
  if (keys === null) return "all that its own record holds";
  if (keys === undefined || keys.length === 0) return null;
  const shown = [...new Set(keys)].map(pieceName);
  const rest = shown.length - PIECES_SHOWN;
  return [...shown.slice(0, PIECES_SHOWN), ...(rest > 0 ? [`and ${rest} more`] : [])].join(", ");
}
