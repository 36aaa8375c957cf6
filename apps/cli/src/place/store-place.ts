import { accessSync, constants, existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { ERROR_CATALOGUE, isMementoError, Memento, MementoError } from "@mementojs/memento";
import { systemCode } from "@mementojs/memento/core";

import type { Invocation } from "../invocation.ts";
import type { Io } from "../io.ts";

/** The folder that holds a project's store, and the store's file in it. */
const STORE_FOLDER = ".memento";
const STORE_FILE = "store.db";

/** Where a command's store is, or would be made. */
export interface StorePlace {
  readonly url: string;
  /** How it was named: by `--store`, by `MEMENTO_STORE`, or by being in this folder or above. */
  readonly by: "option" | "environment" | "folder";
  /** The `.memento` folder of a store that is found by folder; null for one that was named. */
  readonly folder: string | null;
  /** The file or folder of an embedded store; null for others. */
  readonly path: string | null;
  /** False: nothing is there yet. True also where that cannot be seen from here. */
  readonly exists: boolean;
}

/** Finds the store that is meant: `--store`, else `MEMENTO_STORE`, else `.memento` here or above, else here. */
export function findStore({ io, store }: Pick<Invocation, "io" | "store">): StorePlace {
  if (store !== null) return namedPlace(store, "option", io.cwd);
  const fromEnvironment = io.env["MEMENTO_STORE"] ?? "";
  if (fromEnvironment !== "") return namedPlace(fromEnvironment, "environment", io.cwd);
  for (let folder = path.resolve(io.cwd); ; folder = path.dirname(folder)) {
    const place = folderPlace(folder);
    if (place.exists) return place;
    if (folder === path.dirname(folder)) return folderPlace(path.resolve(io.cwd));
  }
}

/**
 * Where the store is in a folder above, that folder is the project's, and code runs in it: sources and sinks with relative paths
 * are then the same ones from wherever a command is typed. Returns it; null where nothing is to be entered.
 */
export function enterProject({ folder, by, exists }: StorePlace, io: Io): string | null {
  if (by !== "folder" || !exists || folder === null) return null;
  const project = path.dirname(folder);
  if (project === path.resolve(io.cwd)) return null;
  io.enter(project);
  return project;
}

/** The place of a project's store below its folder. */
export function folderPlace(project: string): StorePlace {
  const folder = path.join(project, STORE_FOLDER);
  const file = path.join(folder, STORE_FILE);
  return { url: `sqlite:${file}`, by: "folder", folder, path: file, exists: existsSync(file) || isClosed(folder) };
}

/** Opens the store that is meant, in its project's folder; NOT_A_STORE, with the way to make one, where there is none. */
export async function openMemento({ io, store }: Pick<Invocation, "io" | "store">): Promise<Memento> {
  const place = findStore({ io, store });
  enterProject(place, io);
  return await openAt(place, io);
}

/** Opens the store at a place; NOT_A_STORE, with the way to make one, where there is none. */
export async function openAt(place: StorePlace, io: Pick<Io, "env">): Promise<Memento> {
  // Looked at first, so that a wrong path leaves no empty database behind.
  if (!place.exists) throw noStore(place);
  return await orBackup(async () => await Memento.open(place.url, { create: false, environment: io.env }));
}

/** Opens a store. What cannot even be opened can be neither verified nor repaired: where it is damaged, that is not the way out. */
export async function orBackup<T>(open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (!isMementoError(error, "DAMAGED") || error.hint !== ERROR_CATALOGUE.DAMAGED.hint) throw error;
    throw new MementoError("DAMAGED", error.message, {
      cause: error,
      details: error.details,
      hint: "It cannot be opened, and so not repaired in its place. Keep its files, and make it anew elsewhere: `memento restore-backup` of a backup, or `memento copy` from a replica.",
    });
  }
}

function noStore(place: StorePlace): MementoError {
  if (place.by === "folder") {
    const hint = "Make one here with `memento init`, or by the first `memento run`; or name one with --store URL.";
    return new MementoError("NOT_A_STORE", "There is no store in this folder or above it", { hint });
  }
  return noStoreAt(place, place.by === "option" ? "--store" : "MEMENTO_STORE");
}

/** The error for a named place without a store; `named` is what names it. NOT_A_STORE, with the way out. */
export function noStoreAt(place: Pick<StorePlace, "path" | "url">, named: string): MementoError {
  const message = `There is no store at ${place.path ?? place.url}, which ${named} names`;
  if (place.path === null) return new MementoError("NOT_A_STORE", message);
  const folder = path.dirname(place.path);
  if (!existsSync(folder))
    return new MementoError("NOT_A_STORE", message, { hint: `There is no folder ${folder}: check the URL.` });
  if (!existsSync(`${place.path}.key`)) return new MementoError("NOT_A_STORE", message);
  return new MementoError("NOT_A_STORE", `${message}; its key is there`, {
    hint: "A store was there: bring it back, by `memento restore-backup` where there is a backup. Keep the key.",
  });
}

/** The place that a URL names; `by` says how it came here. */
export function namedPlace(url: string, by: "option" | "environment", cwd: string): StorePlace {
  const [, scheme, rest = ""] = /^(sqlite|file):(.+)$/su.exec(url) ?? [];
  // Other kinds, and what is no URL at all, are for the library to judge.
  if (scheme === undefined) return { url, by, folder: null, path: null, exists: true };
  const named = rest.startsWith("///") ? decodedPath(rest) : rest.replace(/^\/\//u, "");
  // The library says what is wrong with it.
  if (named === null) return { url, by, folder: null, path: null, exists: true };
  const absolute = path.resolve(cwd, named);
  return { url: `${scheme}:${absolute}`, by, folder: null, path: absolute, exists: isTaken(absolute) };
}

function decodedPath(rest: string): string | null {
  try {
    return fileURLToPath(`file:${rest}`);
  } catch {
    return null;
  }
}

/** True for a folder that is there and may not be looked into: what is in it is no reason to pass it over, or to make another. */
function isClosed(folder: string): boolean {
  try {
    accessSync(folder, constants.X_OK);
    return false;
  } catch (error) {
    return systemCode(error) === "EACCES" && existsSync(folder);
  }
}

/** False where nothing is, and for an empty file or folder: a volume's own folder does not count. */
function isTaken(place: string): boolean {
  try {
    const found = statSync(place);
    if (!found.isDirectory()) return found.size > 0;
    return readdirSync(place).some((name) => name !== "lost+found");
  } catch (error) {
    // What may not be looked into is for the library to judge.
    return systemCode(error) === "EACCES" || existsSync(place);
  }
}
