import { posix as nodePath } from "node:path";

import { isMementoError, MementoError } from "../../core/errors.ts";
import type { Random } from "../../core/ports.ts";
import type { Lease, TimelineAddress, TimelineRecord } from "../../core/timeline.ts";
import type { BlobPort, BlobTuning } from "./blob-port.ts";
import { caretakerMeaning, type CaretakerEntry, type CaretakerStanding } from "./caretaker-log.ts";
import { damagedFile, frameJson, missingFile, openJson } from "./frame.ts";
import type { WrittenRecord } from "./log-reader.ts";
import { Log } from "./log.ts";
import { addressText, logFile, logPosition, stateFile, type StorePaths } from "./paths.ts";
import type { RecentEntries } from "./recent-entries.ts";
import type { Stamps } from "./stamps.ts";
import { timelineMeaning, type TimelineEntry, type TimelineStanding } from "./timeline-log.ts";
import { concurrently, inOrder } from "./turns.ts";

/** The log of a caretaker. */
export type CaretakerLog = Log<CaretakerEntry, CaretakerStanding>;

/** A timeline of the store, and the logs that say how it stands. */
export interface OpenTimeline {
  readonly record: TimelineRecord;
  readonly log: Log<TimelineEntry, TimelineStanding>;
  readonly caretaker: CaretakerLog;
}

/** What a timeline is made with. */
export interface TimelineFacts {
  readonly record: TimelineRecord;
  readonly lease: Lease;
}

/** What every part of the driver works with. */
export interface StoreParts {
  readonly paths: StorePaths;
  readonly files: BlobPort;
  readonly tuning: BlobTuning;
  readonly recent: RecentEntries;
  /** Where the store is, for people. */
  readonly url: string;
  readonly stamps: Stamps;
  readonly random: Random;
}

/** Timelines beyond this are forgotten, the longest unused first, and looked up again when they are needed. */
const TIMELINES_HELD_MAX = 2_048;

/** Which caretakers and timelines there are, and their logs. */
export class Catalogue {
  readonly #parts: StoreParts;
  readonly #confirm: () => Promise<void>;
  readonly #caretakers = new Map<string, CaretakerLog>();
  readonly #timelines = new Map<string, OpenTimeline>();
  readonly #names = new Map<string, string>();

  /** `confirm` throws where the store itself is gone: it is asked before anybody is told that there is nothing. */
  constructor(parts: StoreParts, confirm: () => Promise<void>) {
    this.#parts = parts;
    this.#confirm = confirm;
  }

  /** A caretaker's log; an empty one when nothing was written for it yet. */
  caretaker(name: string): CaretakerLog {
    const known = this.#caretakers.get(name);
    if (known !== undefined) return known;
    const folder = this.#parts.paths.caretaker(name);
    const log = new Log({ ...this.#parts, place: { kind: "caretaker", id: name, folder }, meaning: caretakerMeaning });
    this.#caretakers.set(name, log);
    return log;
  }

  /** The names of all caretakers that have a log. */
  async caretakerNames(): Promise<readonly string[]> {
    const { files, paths, tuning } = this.#parts;
    const folders = await Array.fromAsync(files.list(paths.caretakers));
    const names = await concurrently(folders, tuning.requestsAtOnce, (folder) =>
      this.nameOf(nodePath.join(paths.caretakers, folder)),
    );
    if (names.length === 0) await this.#confirm();
    return names.filter((name) => name !== null).toSorted();
  }

  /** The timeline with this key; null when there is none. */
  async timeline(key: string): Promise<OpenTimeline | null> {
    const known = this.#timelines.get(key);
    if (known !== undefined) return this.#remember(known);
    const facts = await this.#soundFacts(key);
    if (facts === null) return await this.#none();
    if (facts === "unusable") return await this.#searched(key);
    const caretaker = this.caretaker(facts.record.caretaker);
    if (caretaker.known?.state.timelines.has(key) !== true) await caretaker.refresh();
    if (caretaker.known?.state.timelines.has(key) !== true) return null;
    return await this.#open(facts, caretaker);
  }

  /** The timeline with this address; null when there is none. */
  async find(address: TimelineAddress): Promise<OpenTimeline | null> {
    return (await this.#at(address)) ?? (await this.#none());
  }

  async #at(address: TimelineAddress): Promise<OpenTimeline | null> {
    const caretaker = this.caretaker(address.caretaker);
    const { state } = await caretaker.refresh();
    return await this.#listed(caretaker, state.addresses.get(addressText(address)) ?? "");
  }

  /** Makes a timeline, or gives the one that has the address. INVALID_ARGUMENT for a key that another one has. */
  async make(facts: TimelineFacts): Promise<OpenTimeline> {
    const { record, lease } = facts;
    const existing = await this.#at(record);
    if (existing !== null) return existing;
    const { files, paths } = this.#parts;
    await files.ensureFolder(paths.timeline(record.key));
    const file = paths.timelineFacts(record.key);
    if (!(await files.createIfAbsent(file, await frameJson("timeline", facts)))) {
      const other = await this.writtenFacts(record.key);
      if (addressText(other?.record ?? record) !== addressText(record)) {
        throw new MementoError("INVALID_ARGUMENT", `The timeline key ${record.key} is taken`);
      }
    }
    await files.ensureFolder(paths.caretaker(record.caretaker));
    const caretaker = this.caretaker(record.caretaker);
    const { key, isMine } = await caretaker.commit<{ readonly key: string; readonly isMine: boolean }>(({ state }) => {
      const taken = state.addresses.get(addressText(record));
      return taken === undefined
        ? { entry: { kind: "timeline", record, lease }, result: { key: record.key, isMine: true } }
        : { entry: null, result: { key: taken, isMine: false } };
    });
    if (isMine) {
      const timeline = await this.#open(facts, caretaker);
      timeline.log.beginEmpty();
      return timeline;
    }
    const made = await this.#listed(caretaker, key);
    if (made === null) throw missingFile(file);
    return made;
  }

  /** All timelines, or a caretaker's, in the order of their making. */
  async *all(caretaker: string | null): AsyncIterable<OpenTimeline> {
    const made: { readonly name: string; readonly key: string; readonly stamp: number }[] = [];
    const { requestsAtOnce } = this.#parts.tuning;
    const names = caretaker === null ? await this.caretakerNames() : [caretaker];
    await concurrently(names, requestsAtOnce, async (name) => {
      const { state } = await this.caretaker(name).refresh();
      for (const [key, { stamp }] of state.timelines) made.push({ name, key, stamp });
    });
    if (made.length === 0) await this.#confirm();
    if (caretaker === null) made.sort((a, b) => a.stamp - b.stamp || (a.key < b.key ? -1 : 1));
    const opened = inOrder(made, requestsAtOnce, ({ name, key }) => this.#listed(this.caretaker(name), key));
    for await (const timeline of opened) if (timeline !== null) yield timeline;
  }

  async #none(): Promise<null> {
    await this.#confirm();
    return null;
  }

  /** Writes down where the logs stand that this process has moved. */
  async saveStates(): Promise<void> {
    const logs = [...this.#timelines.values()].map(({ log }) => log);
    const all = [...logs, ...this.#caretakers.values()];
    await concurrently(all, this.#parts.tuning.requestsAtOnce, (log) => log.saveState());
  }

  /** Forgets all that was read: after logs were mended, nothing of it may be as it was. */
  forget(): void {
    this.#caretakers.clear();
    this.#timelines.clear();
    this.#names.clear();
  }

  /** The timeline that a caretaker's log lists, without a look at its own file; null when it lists none. */
  async #listed(caretaker: CaretakerLog, key: string): Promise<OpenTimeline | null> {
    const known = this.#timelines.get(key);
    if (known !== undefined) return this.#remember(known);
    const made = caretaker.known?.state.timelines.get(key);
    if (made === undefined) return null;
    const { entry } = await caretaker.reader.demand(made.position);
    return entry.kind === "timeline" ? await this.#open(entry, caretaker) : null;
  }

  async #open({ record, lease }: TimelineFacts, caretaker: CaretakerLog): Promise<OpenTimeline> {
    // What is written to a timeline must not outlive the entry that says that there is one.
    await caretaker.settle();
    const folder = this.#parts.paths.timeline(record.key);
    const place = { kind: "timeline", id: record.key, folder } as const;
    const log = new Log({ ...this.#parts, place, meaning: timelineMeaning(lease) });
    return this.#remember({ record, log, caretaker });
  }

  #remember(timeline: OpenTimeline): OpenTimeline {
    const { key } = timeline.record;
    const known = this.#timelines.get(key) ?? timeline;
    this.#timelines.delete(key);
    this.#timelines.set(key, known);
    if (this.#timelines.size > TIMELINES_HELD_MAX) {
      for (const oldest of this.#timelines.keys()) {
        this.#timelines.delete(oldest);
        break;
      }
    }
    return known;
  }

  /** The timeline's own file, which says whose it is; null when nothing of this key was ever made. */
  async #soundFacts(key: string): Promise<TimelineFacts | null | "unusable"> {
    const { paths, files } = this.#parts;
    try {
      const facts = await this.writtenFacts(key);
      if (facts !== null) return facts;
      return (await files.read(logFile(paths.timeline(key), 1))) === null ? null : "unusable";
    } catch (error) {
      if (isMementoError(error, "DAMAGED")) return "unusable";
      throw error;
    }
  }

  /** Looks for a timeline in every caretaker's log, where its own file is of no use. */
  async #searched(key: string): Promise<OpenTimeline> {
    for await (const timeline of this.all(null)) if (timeline.record.key === key) return timeline;
    throw missingFile(this.#parts.paths.timelineFacts(key), { timeline: key });
  }

  /** The facts as the timeline's own file has them. DAMAGED, naming it. */
  async writtenFacts(key: string): Promise<TimelineFacts | null> {
    const file = this.#parts.paths.timelineFacts(key);
    const bytes = await this.#parts.files.read(file);
    return bytes === null ? null : (await openJson<TimelineFacts>(bytes, "timeline", file)).value;
  }

  /** Whose log a folder is; null for one without entries. DAMAGED when its entries no longer say so. */
  async nameOf(folder: string): Promise<string | null> {
    const name = this.#names.get(folder) ?? (await this.#writtenName(folder));
    if (name !== null) return name;
    if (!(await this.#hasEntries(folder))) return null;
    // The first entry may have come since the look at it.
    const late = await this.#writtenName(folder);
    if (late === null) throw missingFile(logFile(folder, 1));
    return late;
  }

  /** The name in a log's first entry, or in its state when that entry is gone or damaged; null when neither is there. */
  async #writtenName(folder: string): Promise<string | null> {
    const { files } = this.#parts;
    const sources = [
      [logFile(folder, 1), "caretaker-log"],
      [stateFile(folder), "caretaker-state"],
    ] as const;
    let damage: MementoError | undefined;
    for (const [file, kind] of sources) {
      try {
        const bytes = await files.read(file);
        if (bytes === null) continue;
        const { log } = (await openJson<Pick<WrittenRecord<unknown>, "log">>(bytes, kind, file)).value;
        if (nodePath.basename(this.#parts.paths.caretaker(log)) !== nodePath.basename(folder)) {
          throw damagedFile(file, "it belongs to another place");
        }
        this.#names.set(folder, log);
        return log;
      } catch (error) {
        if (!isMementoError(error, "DAMAGED")) throw error;
        damage ??= error;
      }
    }
    if (damage !== undefined) throw damage;
    return null;
  }

  async #hasEntries(folder: string): Promise<boolean> {
    for await (const name of this.#parts.files.list(folder)) if (logPosition(name) !== null) return true;
    return false;
  }
}
