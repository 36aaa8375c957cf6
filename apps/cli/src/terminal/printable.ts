/** Characters that could move a terminal's cursor or turn the direction of text round, as a class of regular expressions; not the line feed. */
export const CONTROLS = String.raw`[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]`;

// What styles write: ESC [ numbers m. Everything else that starts with a control character could move the cursor, change
// the title or answer for the user, and texts in a store come from anywhere.
const COLOUR = String.raw`\u001b\[[0-9;]*m`;
const CONTROL = new RegExp(`(${COLOUR})|${CONTROLS}`, "gu");

/** The text with every control character shown instead of obeyed; line feeds and our own colours stay. */
export function printable(text: string): string {
  return text.replaceAll(CONTROL, (match, colour: string | undefined) => colour ?? escaped(match));
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (character === "\t") return "  ";
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** The text in one line, whatever it holds. */
export function oneLine(text: string): string {
  return text.replaceAll("\n", "\\n");
}
