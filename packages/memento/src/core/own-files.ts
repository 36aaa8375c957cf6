const FOLDER = new URL("../", import.meta.url);
const EXTENSION = import.meta.url.endsWith(".ts") ? ".ts" : ".js";

/** A file that stands among the library's modules and is published with them, by its place below `src`. */
export function ownFile(place: string): URL {
  return new URL(place, FOLDER);
}

/** A module of the library that is a program of its own, by its place below `src`, without the extension. */
export function ownProgram(place: string): URL {
  return new URL(`${place}${EXTENSION}`, FOLDER);
}
