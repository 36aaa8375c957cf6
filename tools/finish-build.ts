/**
 * What `tsc` leaves undone: copies the `.sql` files that stand beside sources and are read at run time, and removes
 * outputs whose source is gone, so that a deleted module can be neither imported nor packed.
 */
import { copyFile, mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";

const root = path.dirname(import.meta.dirname);
const buildState = ".tsbuildinfo";

async function finish(folder: string): Promise<void> {
  const from = path.join(root, folder, "src");
  const to = path.join(root, folder, "dist");
  const sources = new Set(await filesBelow(from));
  for (const file of sources) {
    if (!file.endsWith(".sql")) continue;
    await mkdir(path.dirname(path.join(to, file)), { recursive: true });
    await copyFile(path.join(from, file), path.join(to, file));
  }
  for (const file of await filesBelow(to)) {
    if (file !== buildState && !sources.has(sourceOf(file))) await rm(path.join(to, file));
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

function sourceOf(output: string): string {
  return output.replace(/\.(?:d\.ts|js)(?:\.map)?$/u, ".ts");
}

for (const folder of ["packages/memento", "apps/cli"]) await finish(folder);
