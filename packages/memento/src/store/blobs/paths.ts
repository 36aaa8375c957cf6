import { createHash } from "node:crypto";
import { posix as nodePath } from "node:path";

import type { TimelineAddress } from "../../core/timeline.ts";

const PLAIN = /^[0-9a-z]{1,60}$/;
const LOG_FILE = /^([0-9]{12})\.json$/;
const INLINE_PACK = /^([0-9a-z]{1,60})\.([1-9][0-9]{0,11})$/;
const CHAPTER_FILE = /^chapter-([0-9]{9})\.json$/;

/**
 * Where everything of a store lies:
 *
 *     store.json                       the store's facts; its creation makes the store
 *     keys/HASH.GENERATION.json        a wrapped key; the highest generation counts
 *     packs/ID                         a pack of sealed mementos, or what is left of a reclaimed one; a small one may lie
 *                                      behind the log entry that speaks of it, in the entry's own file: see packs.ts
 *     successors/ID.NUMBER             the pack that takes the place of the one before it; see packs.ts
 *     caretakers/HASH/                 the log of a caretaker, below
 *     timelines/KEY/timeline.json      a timeline's facts
 *     timelines/KEY/lease-EPOCH.json   the last renewal of the lease with this epoch
 *     timelines/KEY/                   the log of a timeline, below
 *     names/HASH/GENERATION.json       who asked for a name; see names.ts
 *
 * A log is POSITION.json for each entry, state.json (where it stood a while ago) and chapter-N.json (256 entries in one).
 *
 * On a file system there is a folder `temporary/` besides, for files that have no name yet.
 *
 * Text that users chose never becomes a file name: it is hashed, so that length, alphabet, case and reserved names of the
 * file system do not matter.
 */
export class StorePaths {
  readonly root: string;
  readonly store: string;
  readonly keys: string;
  readonly packs: string;
  /** Made by the first replacement. */
  readonly successors: string;
  readonly caretakers: string;
  readonly timelines: string;
  readonly names: string;

  constructor(root: string) {
    this.root = root;
    this.store = nodePath.join(root, "store.json");
    this.keys = nodePath.join(root, "keys");
    this.packs = nodePath.join(root, "packs");
    this.successors = nodePath.join(root, "successors");
    this.caretakers = nodePath.join(root, "caretakers");
    this.timelines = nodePath.join(root, "timelines");
    this.names = nodePath.join(root, "names");
  }

  /** The folders that every store has. */
  get folders(): readonly string[] {
    return [this.keys, this.packs, this.caretakers, this.timelines, this.names];
  }

  key(id: string, generation: number): string {
    return nodePath.join(this.keys, `${hashed(id)}.${generation}.json`);
  }

  /** `number`: how many packs of this id have been before it. Of a pack that lies in a log entry: the entry's file. */
  pack(id: string, number = 0): string {
    if (number > 0) return nodePath.join(this.successors, `${id}.${number}`);
    const [, timeline, position] = INLINE_PACK.exec(id) ?? [];
    if (timeline === undefined) return nodePath.join(this.packs, id);
    return logFile(nodePath.join(this.timelines, timeline), Number(position));
  }

  /** The id of the pack that lies in an entry of a timeline's log. */
  inlinePack(key: string, position: number): string {
    return `${nodePath.basename(this.timeline(key))}.${position}`;
  }

  caretaker(name: string): string {
    return nodePath.join(this.caretakers, hashed(JSON.stringify(name)));
  }

  timeline(key: string): string {
    return nodePath.join(this.timelines, PLAIN.test(key) ? key : hashed(key));
  }

  timelineFacts(key: string): string {
    return nodePath.join(this.timeline(key), "timeline.json");
  }

  lease(key: string, epoch: number): string {
    return nodePath.join(this.timeline(key), `lease-${epoch}.json`);
  }

  name(caretaker: string, name: string): string {
    return nodePath.join(this.names, hashed(JSON.stringify([caretaker, name])));
  }
}

/** The file of a log's entry. */
export function logFile(folder: string, position: number): string {
  return nodePath.join(folder, `${String(position).padStart(12, "0")}.json`);
}

/** The position that a file name of a log stands for; null for its other files. */
export function logPosition(file: string): number | null {
  const digits = LOG_FILE.exec(file)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The file of a log's chapter; the first is number 1. */
export function chapterFile(folder: string, number: number): string {
  return nodePath.join(folder, `chapter-${String(number).padStart(9, "0")}.json`);
}

/** The number that a file name of a chapter stands for; null for other files. */
export function chapterNumber(file: string): number | null {
  const digits = CHAPTER_FILE.exec(file)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The file of a log's state. */
export function stateFile(folder: string): string {
  return nodePath.join(folder, "state.json");
}

/** The file of a name's claim. */
export function claimFile(folder: string, generation: number): string {
  return nodePath.join(folder, `${String(generation).padStart(12, "0")}.json`);
}

/** One text for each address. */
export function addressText({ caretaker, originator, partition, fork }: TimelineAddress): string {
  return JSON.stringify([caretaker, originator, partition, fork]);
}

/** True for the id of a pack that lies in a log entry. */
export function isInline(pack: string): boolean {
  return INLINE_PACK.test(pack);
}

/** 160 bits of a SHA-256 as lower-case hex: safe on every file system. */
export function hashed(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 40);
}
