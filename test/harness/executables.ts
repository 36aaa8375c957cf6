import { accessSync, constants, statSync } from "node:fs";
import path from "node:path";
import process from "node:process";

/** Every executable file of that name on PATH, in the order in which a shell would find them. */
export function findExecutables(name: string): readonly string[] {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter).filter((folder) => folder !== "");
  return [...new Set(folders)].map((folder) => path.join(folder, name)).filter(isExecutable);
}

function isExecutable(file: string): boolean {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) return false;
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EACCES") return false;
    throw error;
  }
}
