import { existsSync } from "node:fs";
import { mkdir, readdir, rm, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";

import { Memento, MementoError } from "@mementojs/memento";
import { isDiskFull, systemCode } from "@mementojs/memento/core";

import type { Io } from "../io.ts";
import { orBackup, type StorePlace } from "./store-place.ts";

/** Where a store's key is. */
export interface KeyPlace {
  /** `none`: the store is not sealed; `unknown`: nobody could see whether it is. */
  readonly kind: "file" | "environment" | "none" | "unknown";
  /** The file's path, or the variable's name. */
  readonly where: string | null;
  readonly exists: boolean;
}

/** A store that was opened, and perhaps made. */
export interface MadeStore {
  readonly memento: Memento;
  readonly created: boolean;
  readonly key: KeyPlace;
}

/** Opens the store at a place and makes it, with its folder and its key file, where there is none. */
export async function makeStore(place: StorePlace, io: Pick<Io, "env">): Promise<MadeStore> {
  const created = place.path !== null && !place.exists;
  const madeFolder = created && place.folder !== null && !existsSync(place.folder) ? place.folder : null;
  try {
    if (created && place.folder !== null) await makeFolder(place.folder);
    const memento = await orBackup(async () => await Memento.open(place.url, { environment: io.env }));
    return { memento, created, key: keyPlaceOf(place, io.env, memento.vault.meta.sealed) };
  } catch (error) {
    if (madeFolder !== null) await removeUnusedFolder(madeFolder);
    throw error;
  }
}

/** Where the key that wraps is looked for: MEMENTO_KEY, MEMENTO_KEY_FILE, MEMENTO_KEY_URL, MEMENTO_PASSPHRASE, then beside the store. */
export function keyPlaceOf(place: StorePlace, env: Io["env"], sealed: boolean | null): KeyPlace {
  if (sealed === false) return { kind: "none", where: null, exists: false };
  if ((env["MEMENTO_KEY"] ?? "") !== "") return { kind: "environment", where: "MEMENTO_KEY", exists: true };
  const named = env["MEMENTO_KEY_FILE"] ?? "";
  if (named !== "") return { kind: "file", where: named, exists: existsSync(named) };
  const variable = ["MEMENTO_KEY_URL", "MEMENTO_PASSPHRASE"].find((name) => (env[name] ?? "") !== "");
  if (variable !== undefined) return { kind: "environment", where: variable, exists: true };
  if (place.path === null) return { kind: sealed === null ? "unknown" : "none", where: null, exists: false };
  const beside = `${place.path}.key`;
  return { kind: "file", where: beside, exists: existsSync(beside) };
}

/** What everybody who makes a store must be told of its key. */
export function keyAdvice(key: KeyPlace): string {
  if (key.where === "MEMENTO_PASSPHRASE")
    return "It is sealed by the passphrase in MEMENTO_PASSPHRASE.\nKeep it elsewhere too: without it nobody can read the store.";
  if (key.where === "MEMENTO_KEY_URL") return "It is sealed by the key that MEMENTO_KEY_URL names.";
  if (key.kind === "environment") return `It is sealed by the key in ${key.where ?? ""}.`;
  if (key.kind === "none") return "It is not sealed.";
  return `It is sealed by the key in ${key.where ?? ""}\nKeep a copy of that file elsewhere: without it nobody can read the store.`;
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Neither the store nor its key belongs into a repository.
    await writeFile(path.join(folder, ".gitignore"), "*\n", { flag: "wx" });
  } catch (cause) {
    const reason = systemCode(cause) ?? "unknown reason";
    if (reason === "EEXIST" && existsSync(path.join(folder, ".gitignore"))) return;
    if (isDiskFull(cause))
      throw new MementoError("DISK_FULL", `There is no space to make the folder ${folder}`, { cause });
    const hint = "Check the folder's permissions, or name a store elsewhere with --store URL.";
    throw new MementoError("IO_FAILED", `The folder ${folder} cannot be made (${reason})`, { cause, hint });
  }
}

/** What failed leaves no trace; but whatever the library put there may be another process's store by now. */
async function removeUnusedFolder(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  const names = await readdir(folder);
  if (names.some((name) => name !== ".gitignore")) return;
  await rm(path.join(folder, ".gitignore"), { force: true });
  await rmdir(folder);
}
