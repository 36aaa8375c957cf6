import { stripVTControlCharacters } from "node:util";

// Most text is plain, and Unicode's tables take longer to load than all the rest of a short command.
const PLAIN = /^[\u0020-\u007e]*$/u;
let segmenter: Intl.Segmenter | undefined;

// The blocks that terminals draw two columns wide (Unicode's East Asian Width W and F), coarsely.
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]/u;
const PICTURE = /^\p{Emoji_Presentation}|\ufe0f/u;
const INVISIBLE = /^(?:\p{Mark}|\p{Default_Ignorable_Code_Point}|\p{Cc})+$/u;

/** How many columns a terminal gives the text; colours take none. */
export function displayWidth(text: string): number {
  const visible = text.includes("\u001b") ? stripVTControlCharacters(text) : text;
  if (PLAIN.test(visible)) return visible.length;
  let width = 0;
  for (const segment of graphemesOf(visible)) width += graphemeWidth(segment);
  return width;
}

/** How many lines of a terminal the text takes, which breaks those that are wider than it. */
export function linesOn(text: string, columns: number): number {
  return text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(displayWidth(line) / columns)), 0);
}

/** The text with spaces up to a width; on the left with `start`. */
export function pad(text: string, width: number, side: "start" | "end" = "end"): string {
  const space = " ".repeat(Math.max(0, width - displayWidth(text)));
  return side === "end" ? text + space : space + text;
}

/** The text cut to a width, with an ellipsis where something is missing. Takes text without colours. */
export function shorten(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = "";
  let used = 0;
  for (const segment of graphemesOf(text)) {
    used += graphemeWidth(segment);
    if (used > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

function graphemesOf(text: string): string[] {
  segmenter ??= new Intl.Segmenter("en", { granularity: "grapheme" });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

function graphemeWidth(grapheme: string): number {
  if (INVISIBLE.test(grapheme)) return 0;
  return WIDE.test(grapheme) || PICTURE.test(grapheme) ? 2 : 1;
}
