import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { stat, statfs } from "node:fs/promises";
import path from "node:path";
import process from "node:process";

import type { Clock } from "@mementojs/memento/core";

import type { KeyPlace } from "../place/make-store.ts";
import { bytesText } from "../terminal/words.ts";
import { advise, bad, good, type Finding } from "./finding.ts";

const NODE_MAJOR_MIN = 24;
const FREE_BYTES_LOW = 1_000_000_000;
const FREE_BYTES_BAD = 50_000_000;
const WRITES = 15;
const WRITE_BYTES = 4_096;
const WRITE_MS_SLOW = 20;

/** Which Node.js this is. */
export function checkNode(version: string = process.versions.node): Finding {
  const major = Number(version.split(".")[0]);
  if (major >= NODE_MAJOR_MIN) return good("Node.js", version);
  return bad("Node.js", version, `Use Node.js ${NODE_MAJOR_MIN} or newer.`);
}

/** Whether the key is there, and who may read it. */
export async function checkKey(key: KeyPlace): Promise<readonly Finding[]> {
  if (key.kind === "unknown") return [good("key", "no key was named; whether the store is sealed was not seen")];
  if (key.kind === "none")
    return [advise("key", "the store is not sealed", "Whoever can read its files can read what it holds.")];
  if (key.kind === "environment") return [good("key", `in ${key.where ?? ""}`)];
  const file = key.where ?? "";
  if (!key.exists)
    return [
      bad(
        "key",
        `${file} is not there`,
        "Bring it back, or set MEMENTO_KEY_FILE or MEMENTO_KEY: without its key nobody can read the store.",
      ),
    ];
  const mode = (await stat(file)).mode & 0o777;
  const found = good("key", file);
  const shown = mode.toString(8).padStart(4, "0");
  // Windows has no such modes: every file looks as if all might read it.
  if (process.platform === "win32" || (mode & 0o077) === 0) return [found, good("key's permissions", shown)];
  return [found, bad("key's permissions", `${shown}: others may read it`, `chmod 600 ${file}`)];
}

/** How long a small write takes until it is safe from power loss, beside the store; the middle one of some. */
export function checkDurableWrite(folder: string, clock: Clock): Finding {
  const file = path.join(folder, `.memento-doctor-${process.pid}`);
  const times: number[] = [];
  const descriptor = openSync(file, "wx", 0o600);
  try {
    for (let write = 0; write < WRITES; write++) {
      const startedMs = clock.monotonic();
      writeSync(descriptor, Buffer.alloc(WRITE_BYTES, write));
      fsyncSync(descriptor);
      times.push(clock.monotonic() - startedMs);
    }
  } finally {
    closeSync(descriptor);
    rmSync(file);
  }
  const median = times.toSorted((a, b) => a - b)[Math.floor(WRITES / 2)] ?? 0;
  const finding = `${median < 10 ? median.toFixed(2) : Math.round(median)} ms`;
  if (median <= WRITE_MS_SLOW) return good("durable write", finding);
  return advise(
    "durable write",
    finding,
    "Each checkpoint waits at least so long: a faster disk, or fewer checkpoints, make runs faster.",
  );
}

/** How much room is left where the store is. */
export async function checkFreeSpace(folder: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const finding = `${bytesText(free)} free`;
  if (free < FREE_BYTES_BAD) return bad("disk", finding, "Free some space: saves will soon be refused with DISK_FULL.");
  return free < FREE_BYTES_LOW ? advise("disk", finding, "Free some space before long.") : good("disk", finding);
}
