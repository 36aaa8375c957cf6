import type { Style } from "../terminal/style.ts";
import { shortValueText, valueText } from "../terminal/value-text.ts";
import { bytesText, counted } from "../terminal/words.ts";
import { PARTS, type MementoDifference, type Part, type PieceDifference } from "./memento-difference.ts";
import type { ValueDifference } from "./value-difference.ts";

/** How a difference is written. */
export interface DifferenceOptions {
  readonly style: Style;
  readonly columns: number;
  /** True: every place, however many. */
  readonly full: boolean;
}

const PLACES_MAX = 20;
const LINES_MAX = 8;

/** A difference for a person: what was there in red after a minus, what is there now in green after a plus. */
export function differenceText(difference: MementoDifference, options: DifferenceOptions): string {
  const { style } = options;
  const { before, after, facts, parts, same } = difference;
  const head = [
    `${style.red(`--- ${before.id}`)}  ${before.originator} #${before.sequence}`,
    `${style.green(`+++ ${after.id}`)}  ${after.originator} #${after.sequence}`,
  ].join("\n");
  const sections = [
    ...(facts.length === 0 ? [] : [section("facts", placesText(facts, "", options), style)]),
    ...PARTS.filter((part) => parts[part].length > 0).map((part) =>
      section(part, partText(part, parts[part], options), style),
    ),
  ];
  const end = same ? [style.dim("They hold the same content.")] : [];
  return [head, ...sections, ...end].join("\n\n");
}

function section(title: string, text: string, style: Style): string {
  return `${style.bold(title)}\n${text}`;
}

function partText(part: Part, pieces: readonly PieceDifference[], options: DifferenceOptions): string {
  return pieces.map((piece) => pieceText(part, piece, options)).join("\n");
}

function pieceText(
  part: Part,
  { name, kind, differences, bytes }: PieceDifference,
  options: DifferenceOptions,
): string {
  if (differences !== null) return placesText(differences, name, options, part === "progress" || part === "outputs");
  const sizes = [bytes.before, bytes.after].map((size) => (size === null ? "nothing" : bytesText(size))).join(" -> ");
  const where = name === "" ? part : name;
  return `  ${where} ${kind}: ${sizes}; --full compares it`;
}

/** What follows from the counts beside it, or would fill the screen. */
const QUIET = /(?:^|\.)(?:inputDigest|outputDigest|invalidSamples)(?:\[|$)/u;

function placesText(
  places: readonly ValueDifference[],
  root: string,
  options: DifferenceOptions,
  quietly = false,
): string {
  const loud = quietly && !options.full ? places.filter(({ path }) => !QUIET.test(path)) : places;
  const shown = options.full ? places : loud.slice(0, PLACES_MAX);
  const rest = places.length - shown.length;
  const lines = shown.map((place) => placeText(place, root, options));
  return [
    ...lines,
    ...(rest > 0 ? [options.style.dim(`  … ${counted(rest, "more place")}; --full shows them`)] : []),
  ].join("\n");
}

function placeText(
  { path, kind, before, after }: ValueDifference,
  root: string,
  { style, columns, full }: DifferenceOptions,
): string {
  const where =
    root === ""
      ? path
      : path === "" || path.startsWith("[") || path.startsWith("<")
        ? `${root}${path}`
        : `${root}.${path}`;
  const lines = full ? null : LINES_MAX;
  if (kind === "changed" && isShort(before) && isShort(after)) {
    const room = Math.max(12, Math.floor((columns - where.length - 8) / 2));
    return `  ${where}${where === "" ? "" : ": "}${style.red(shortValueText(before, room))} -> ${style.green(shortValueText(after, room))}`;
  }
  const side = (sign: string, value: unknown, paint: (text: string) => string): string[] =>
    valueText(value, { columns: columns - 6, lines })
      .split("\n")
      .map((line) => paint(`  ${sign} ${line}`));
  return [
    ...(where === "" ? [] : [`  ${where}`]),
    ...(kind === "added" ? [] : side("-", before, style.red)),
    ...(kind === "removed" ? [] : side("+", after, style.green)),
  ].join("\n");
}

/** True for what fits into half a line, such as numbers, dates and short texts. */
function isShort(value: unknown): boolean {
  if (typeof value === "string") return value.length <= 60;
  return typeof value !== "object" || value === null || value instanceof Date;
}
