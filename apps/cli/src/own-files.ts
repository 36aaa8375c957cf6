import { fileURLToPath } from "node:url";

const PACKAGE = new URL("../", import.meta.url);
const [FOLDER, EXTENSION] = import.meta.url.endsWith(".ts") ? ["src", ".ts"] : ["dist", ".js"];

/** The folder of this package. */
export const PACKAGE_FOLDER = fileURLToPath(PACKAGE);

/** A file by its place in this package. */
export function packageFile(place: string): URL {
  return new URL(place, PACKAGE);
}

/** A module of this package that is loaded by its URL, by its place below `src`, without the extension. */
export function ownProgram(place: string): URL {
  return new URL(`${FOLDER}/${place}${EXTENSION}`, PACKAGE);
}
