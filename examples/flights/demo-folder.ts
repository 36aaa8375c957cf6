import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const MARKER = "memento-demo.txt";
const MARKER_TEXT =
  "The files in this folder were made by `memento demo`, which replaces them when it runs here again.\n";

/** Makes a folder ready for the demo: a new or empty one, or one with an earlier demo's files, which are removed. Throws for any other. */
export function claimFolder(folder: string): string {
  mkdirSync(folder, { recursive: true });
  const found = readdirSync(folder);
  if (found.length > 0 && !existsSync(path.join(folder, MARKER))) {
    throw new Error(`${folder} holds files that the demo did not make; name another folder in MEMENTO_DEMO_DIR`);
  }
  writeFileSync(path.join(folder, MARKER), MARKER_TEXT);
  clearFolder(folder);
  return folder;
}

/** Removes what the demo has made in a folder of its own. */
export function clearFolder(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (/^(?:store\.db|warehouse\.db)/u.test(name) || name === "uninterrupted")
      rmSync(path.join(folder, name), { recursive: true });
  }
}
