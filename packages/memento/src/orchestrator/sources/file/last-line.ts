import { MementoError } from "../../../core/errors.ts";
import type { InputFile } from "./input-file.ts";

/**
 * What becomes of a last line without a line end. `take`: it is a record if it parses, else INPUT_CUT. `wait`: it is
 * left for a later read, as its writer may not be done with it. `refuse`: INPUT_CUT, as every line must have its end.
 */
export type LastLine = "take" | "wait" | "refuse";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Where to go on after a record that ends at `byte`. A record that was taken without its line end, as the last of the
 * file, may have got one since; SOURCE_MOVED where it has got anything else, because then only a part of it was taken.
 */
export async function nextLineStart(file: InputFile, byte: number): Promise<number> {
  if (byte === 0) return 0;
  const around = new Uint8Array(3);
  const filled = await file.readAt(byte - 1, around);
  const [before, next, second] = around;
  if (filled < 2 || before === LINE_FEED) return byte;
  if (next === LINE_FEED) return byte + 1;
  if (next === CARRIAGE_RETURN && (filled === 2 || second === LINE_FEED)) return byte + filled - 1;
  throw new MementoError("SOURCE_MOVED", `${file.path}: the last line has grown since it was taken as a record`, {
    details: { path: file.path, byte },
    hint: 'Roll back to before it was read, and read with lastLine: "wait" while the file is being written.',
  });
}
