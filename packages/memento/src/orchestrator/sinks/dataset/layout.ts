import { posix } from "node:path";

import { randomText } from "../../../core/ids.ts";
import type { Random } from "../../../core/ports.ts";

/**
 * Where things are below a dataset's folder:
 *
 * - `files/`: the data files of every version that can still be read. Each is written once and never again.
 * - `current`: a link to the folder in `_memento/views` that holds one version's files, for readers that know nothing of versions.
 * - `_memento/manifests/<version>.json`: what each version changed; there is no other truth than this chain.
 * - `_memento/snapshots/<version>.json`: all that the manifests up to that version add up to, so that older ones can go.
 * - `_memento/kept/`: copies of files that others had changed and a forced rollback took out.
 * - `_memento/views/`, `_memento/temporary/`: folders behind `current`, and files that have no name yet.
 */
export const LAYOUT = {
  files: "files",
  current: "current",
  books: "_memento",
  manifests: "_memento/manifests",
  snapshots: "_memento/snapshots",
  kept: "_memento/kept",
  views: "_memento/views",
  temporary: "_memento/temporary",
} as const;

const VERSION_DIGITS = 12;

/** A version as it stands in names, so that their order is that of the versions. */
export function versionText(version: number): string {
  return String(version).padStart(VERSION_DIGITS, "0");
}

/** The file of a manifest or snapshot, below the dataset's folder. */
export function versionFile(folder: typeof LAYOUT.manifests | typeof LAYOUT.snapshots, version: number): string {
  return posix.join(folder, `${versionText(version)}.json`);
}

/** The version that a manifest's or snapshot's name says; null for any other name. */
export function versionOf(name: string): number | null {
  const [, digits] = /^([0-9]{12})\.json$/.exec(name) ?? [];
  return digits === undefined ? null : Number(digits);
}

/** A name for a new data file: by version and part, so that names sort as rows were written, and by chance, so that none is taken twice. */
export function newFileName(version: number, part: number, random: Random, ending: string): string {
  return `${versionText(version)}-${String(part).padStart(5, "0")}-${randomText(random, 10)}.${ending}`;
}

/** Where a data file of this name lies, below the dataset's folder. */
export function filePath(name: string): string {
  return posix.join(LAYOUT.files, name);
}

/** Where a copy of a data file with other content than ours is kept. */
export function keptPath(name: string, digest: string): string {
  return posix.join(LAYOUT.kept, `${digest.replaceAll(/[^A-Za-z0-9]/g, "x").slice(0, 20)}-${name}`);
}
