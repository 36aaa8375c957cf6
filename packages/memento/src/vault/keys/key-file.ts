import type { Stats } from "node:fs";
import {
  constants,
  copyFile,
  link,
  open,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  type FileHandle,
} from "node:fs/promises";
import path from "node:path";

import { isMementoError, MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import { isDiskFull, missingFolder, systemCode } from "../../core/path-errors.ts";
import { systemClock, systemRandom, type Clock, type Random } from "../../core/ports.ts";
import { syncFolder } from "../sync-folder.ts";
import { KEY_BYTES, keyNotHeld, rawKeyRing, ringKeyId, type KeyRing } from "./key-ring.ts";
import { formatKey, keyLineId, parseKeys } from "./key-text.ts";

/**
 * The ring of a key file. Whenever it wraps, and when it meets a key that it does not have, the file is read again: a process
 * that goes on follows a rotation made by another. KEY_MISSING when there is none, KEY_WRONG when it holds something else.
 */
export async function keyRingFromFile(file: string): Promise<KeyRing> {
  // The process may go to another folder, in which a relative path would lead to another store's keys.
  const place = path.resolve(file);
  let held = await readRing(place);
  const refresh = async (): Promise<void> => {
    try {
      held = await readRing(place);
    } catch (error) {
      // A process may have given up the right to read the file since: what it holds is not revoked by that.
      if (!isMementoError(error, "KEY_MISSING")) throw error;
    }
  };
  return followFile(() => held, refresh, null);
}

function followFile(held: () => KeyRing, refresh: () => Promise<void>, chosen: string | null): KeyRing {
  const ring = (): KeyRing => (chosen === null ? null : held().withCurrent?.(chosen)) ?? held();
  return {
    keys: () => ring().keys?.() ?? [],
    withCurrent: (id) => ((held().withCurrent?.(id) ?? null) === null ? null : followFile(held, refresh, id)),
    holds: async (id) => {
      await refresh();
      return (await held().holds?.(id)) ?? false;
    },
    isCurrent: async (id) => {
      await refresh();
      return ring().keys?.()[0]?.id === id;
    },
    wrap: async (key, bound) => {
      await refresh();
      return await ring().wrap(key, bound);
    },
    unwrap: async (key, bound) => {
      if ((await held().holds?.(key.ring)) !== true) await refresh();
      return await held().unwrap(key, bound);
    },
  };
}

async function readRing(file: string): Promise<KeyRing> {
  return rawKeyRing(parseKeys(await readKeyText(file), file), systemRandom, { origin: file, file });
}

async function readKeyText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new MementoError("KEY_MISSING", `The key file ${file} cannot be read (${reasonOf(cause)})`, { cause });
  }
}

/** Makes a key file with a fresh key; see `writeKeyFile`. */
export async function createKeyFile(file: string, random: Random = systemRandom): Promise<boolean> {
  const text = `# Whoever has this key can read the store; without it nobody can. Keep a copy elsewhere.\n${formatKey(random.bytes(KEY_BYTES))}\n`;
  return await writeKeyFile(file, text);
}

/** Makes a key file that only its owner may read (mode 0600), durable before it returns. Returns false and changes nothing where one exists. DISK_FULL, IO_FAILED; then there is none. */
export async function writeKeyFile(file: string, text: string): Promise<boolean> {
  try {
    const next = `${file}.${randomText(systemRandom, 12)}`;
    await writeNew(next, text);
    try {
      // All of it at once: another process that makes the same store reads it as soon as it is there.
      await giveName(next, file);
    } finally {
      await rm(next, { force: true });
    }
    await syncFolder(path.dirname(file));
    return true;
  } catch (cause) {
    const reason = reasonOf(cause);
    if (reason === "EEXIST") return false;
    if (reason === "ENOENT") throw missingFolder(path.dirname(file), cause);
    const code = isDiskFull(cause) ? "DISK_FULL" : "IO_FAILED";
    throw new MementoError(code, `The key file ${file} cannot be made (${reason})`, { cause });
  }
}

/** Adds a fresh key to a key file as its current one; the others stay, so that all opens. Returns its id. LOCKED, IO_FAILED, KEY_MISSING, KEY_WRONG. */
export async function addKeyToFile(
  file: string,
  random: Random = systemRandom,
  clock: Clock = systemClock,
): Promise<string> {
  const key = random.bytes(KEY_BYTES);
  await changeKeyFile(file, clock, (lines) => {
    const first = lines.findIndex((line) => keyLineId(line) !== null);
    return lines.toSpliced(Math.max(0, first), 0, formatKey(key));
  });
  return ringKeyId(key);
}

/** Makes a key of the file its current one. NOT_FOUND when the file does not hold it. */
export async function makeKeyCurrent(file: string, id: string, clock: Clock = systemClock): Promise<void> {
  await changeKeyFile(file, clock, (lines) => {
    const line = lines.find((candidate) => keyLineId(candidate) === id);
    if (line === undefined) throw keyNotHeld(file, id);
    const others = lines.filter((candidate) => keyLineId(candidate) !== id);
    const first = others.findIndex((candidate) => keyLineId(candidate) !== null);
    return first < 0 ? lines : others.toSpliced(first, 0, line);
  });
}

/** Takes a key out of a key file. INVALID_ARGUMENT for the only one, NOT_FOUND when the file does not hold it. */
export async function removeKeyFromFile(file: string, id: string, clock: Clock = systemClock): Promise<void> {
  await changeKeyFile(file, clock, (lines) => {
    const others = lines.filter((line) => keyLineId(line) !== id);
    if (others.length === lines.length) throw keyNotHeld(file, id);
    if (others.every((line) => keyLineId(line) === null))
      throw new MementoError("INVALID_ARGUMENT", `${id} is the only key in ${file}`, {
        hint: "Make another one first.",
      });
    return others;
  });
}

/** The file that a path leads to, links followed. KEY_MISSING. */
async function fileBehind(place: string): Promise<string> {
  try {
    return await realpath(place);
  } catch (cause) {
    throw new MementoError("KEY_MISSING", `The key file ${place} cannot be read (${reasonOf(cause)})`, { cause });
  }
}

const LOCK_ATTEMPTS = 50;
const LOCK_WAIT_MS = 100;

/**
 * Replaces a key file by a rename: a crash leaves the old one or the new one, whole, and whoever may read it still may. A lock
 * file keeps two changes apart. Behind a link it is the file itself that is replaced: its old keys are to be gone.
 */
async function changeKeyFile(
  place: string,
  clock: Clock,
  edit: (lines: readonly string[]) => readonly string[],
): Promise<void> {
  const file = await fileBehind(place);
  const lock = `${file}.lock`;
  const next = `${file}.next`;
  await takeLock(lock, clock);
  try {
    const text = await readKeyText(file);
    parseKeys(text, file);
    const lines = edit(text.replace(/\n$/, "").split("\n"));
    // Left by a change that was cut off; the lock is ours.
    await rm(next, { force: true });
    await writeNew(next, `${lines.join("\n")}\n`, await stat(file));
    await rename(next, file);
    await syncFolder(path.dirname(file));
  } catch (cause) {
    if (isMementoError(cause)) throw cause;
    throw new MementoError("IO_FAILED", `The key file ${file} cannot be changed (${reasonOf(cause)})`, { cause });
  } finally {
    await rm(lock, { force: true });
  }
}

async function takeLock(lock: string, clock: Clock): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await writeNew(lock, `${process.pid}\n`);
      return;
    } catch (cause) {
      if (reasonOf(cause) !== "EEXIST")
        throw new MementoError("IO_FAILED", `The lock ${lock} cannot be made (${reasonOf(cause)})`, { cause });
    }
    const dead = await abandonedBy(lock);
    if (dead !== null && (await breakLock(lock, dead))) continue;
    if (attempt >= LOCK_ATTEMPTS)
      throw new MementoError("LOCKED", `Another process is changing the key file, as ${lock} says`, {
        hint: "Wait until it ends. If it ended long ago, on another machine, remove the lock file.",
      });
    await clock.sleep(LOCK_WAIT_MS);
  }
}

/** The process of this machine that a lock names, when it is gone; null otherwise. A lock that says nothing yet is being made. */
async function abandonedBy(lock: string): Promise<number | null> {
  let pid = 0;
  try {
    pid = Number(await readFile(lock, "utf8"));
    if (!Number.isInteger(pid) || pid <= 0) return null;
    process.kill(pid, 0);
    return null;
  } catch (error) {
    // Gone: the lock by now, or the process.
    if (reasonOf(error) === "ENOENT") return null;
    if (reasonOf(error) === "ESRCH") return pid;
    if (reasonOf(error) === "EPERM") return null;
    throw error;
  }
}

/**
 * Removes a dead process's lock; false when another one is at it. Whoever removes it is alone in that and looks again before:
 * a lock that was taken since the first look is somebody else's.
 */
async function breakLock(lock: string, dead: number): Promise<boolean> {
  const mine = `${lock}.${dead}`;
  try {
    await writeNew(mine, `${process.pid}\n`);
  } catch (cause) {
    if (reasonOf(cause) === "EEXIST") return false;
    throw new MementoError("IO_FAILED", `The lock ${lock} cannot be removed (${reasonOf(cause)})`, { cause });
  }
  try {
    if ((await abandonedBy(lock)) === dead) await rm(lock, { force: true });
    return true;
  } finally {
    await rm(mine, { force: true });
  }
}

/** What file systems answer that know no second name of a file. */
const WITHOUT_LINKS: ReadonlySet<string> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/** Gives a file a name that must be free, else EEXIST. */
async function giveName(file: string, name: string): Promise<void> {
  try {
    await link(file, name);
  } catch (error) {
    if (!WITHOUT_LINKS.has(reasonOf(error))) throw error;
    await copyFile(file, name, constants.COPYFILE_EXCL);
  }
}

/** Writes a file that is not there yet: for its owner alone, or for those who may read another one. */
async function writeNew(file: string, text: string, like: Stats | null = null): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    if (like !== null) await giveAccess(handle, like);
    await handle.writeFile(text);
    await handle.sync();
  } catch (error) {
    // A part of a key is none, and would bar its place for good.
    await rm(file, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

async function giveAccess(handle: FileHandle, { uid, gid, mode }: Stats): Promise<void> {
  const own = await handle.stat();
  const isForGroup = (mode & 0o070) !== 0;
  if (own.uid !== uid || (isForGroup && own.gid !== gid)) await handle.chown(uid, gid);
  await handle.chmod(mode & 0o777);
}

const reasonOf = (error: unknown): string => systemCode(error) ?? "unknown reason";
