/**
 * Runs as `prepack` in a package's folder: copies the licence and the README from the root, where the only
 * versions of them are kept, to where npm looks for them.
 */
import { copyFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";

const root = path.dirname(import.meta.dirname);

for (const file of ["LICENSE", "README.md"]) {
  await copyFile(path.join(root, file), path.join(process.cwd(), file));
}
