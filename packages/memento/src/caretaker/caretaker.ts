import { MementoError, isMementoError } from "../core/errors.ts";
import { checkName, parseMementoId } from "../core/ids.ts";
import type { OriginatorKind } from "../core/memento.ts";
import type { TimelineAddress } from "../core/timeline.ts";
import { mementoQuery, PART_LABEL, type MementoQuery } from "../store/query.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { TimelineWriter } from "../vault/timeline-writer.ts";
import type { Vault } from "../vault/vault.ts";
import { changeSettings, readSettings, type Pin } from "./caretaker-record.ts";
import { infoFrom, infoOf, type MementoInfo } from "./memento-info.ts";
import { demandUnpinned, isInTime, pinMemento, unpinMemento, type PinOptions } from "./pins.ts";
import { checkPolicy, type CaretakerPolicy } from "./policy.ts";
import { holdsPieces, stateFromPieces, stateToPieces } from "./state-pieces.ts";
import type { StreamInput } from "./stream-input.ts";
import { demandState, holdsStream } from "./stream-pieces.ts";
import { MementoStream } from "./stream-reader.ts";
import { saveStream, type StreamOptions } from "./streams.ts";

/** How to save a state. */
export interface SaveOptions {
  /** A name of your own, by which it can be loaded. Same name and same content is the same memento; other content is refused with EXISTS. */
  readonly id?: string;
  /** True: the name moves here; the memento that had it stays. Default false. */
  readonly replace?: boolean;
  /** Clear text, for finding it again. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Sealed. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Sealed. */
  readonly description?: string;
  /** True: everything is written, nothing is shared with earlier mementos. Default false. */
  readonly full?: boolean;
  /** What the state is of; each originator has a timeline of its own. Default `default`. */
  readonly originator?: string;
  readonly kind?: OriginatorKind;
}

/** Which mementos to list, and how. */
export interface ListOptions extends Partial<Omit<MementoQuery, "caretaker" | "timeline" | "removed" | "parts">> {
  /** Keeps those for which it is true; it sees the sealed facts too, so each candidate is opened. */
  readonly where?: (info: MementoInfo) => boolean;
}

/** Counts and sizes of a caretaker's live mementos. */
export interface CaretakerStatistics {
  readonly mementos: number;
  readonly timelines: number;
  /** Bytes that the states have, encoded, each counted whole. */
  readonly logicalBytes: number;
  /** Bytes that were written for them: unchanged pieces count once. */
  readonly heldBytes: number;
  /** ISO 8601; null when there is none. */
  readonly oldest: string | null;
  readonly newest: string | null;
}

const SAVE_ATTEMPTS_MAX = 20;

/** A named collection of mementos: for scripts that keep their own shape and only want a state that they can trust. */
export class Caretaker {
  readonly name: string;
  readonly #vault: Vault;
  readonly #writers = new Map<string, Promise<TimelineWriter>>();

  constructor(vault: Vault, name: string) {
    this.#vault = vault;
    this.name = checkName("The caretaker", name);
  }

  /** Saves a state; when this resolves it is durable and verified on every later read. UNSUPPORTED_VALUE, EXISTS, DISK_FULL. */
  async save(state: unknown, options: SaveOptions = {}): Promise<MementoInfo> {
    const { id, labels = {}, replace = false, originator = "default", kind = "value" } = options;
    checkSaved(id, labels);
    const pieces = stateToPieces(state);
    const known = id === undefined || replace ? null : await this.#sameByName(id, pieces);
    if (known !== null) return infoOf(known);
    const fields = sealedFields(options);
    for (let attempt = 1; ; attempt++) {
      const writer = await this.#writer(originator, kind);
      try {
        const saved = await writer.append({
          reason: "save",
          status: "saved",
          generation: 0,
          labels,
          fields,
          pieces,
          drop: writer.pieceKeys().filter((key) => !pieces.has(key)),
          full: options.full ?? false,
          digestContent: true,
          ...(id === undefined ? {} : { name: id, replaceName: replace }),
        });
        return infoFrom(saved.entry, fields, saved.digest, saved.contentDigest ?? "");
      } catch (error) {
        // Another process saved in between: states do not build on one another, so this one follows it.
        this.#writers.delete(originator);
        if (!isMementoError(error, "CONFLICT") || attempt >= SAVE_ATTEMPTS_MAX) {
          const raced = id !== undefined && isMementoError(error, "EXISTS") ? await this.#sameByName(id, pieces) : null;
          if (raced !== null) return infoOf(raced);
          throw error;
        }
      }
    }
  }

  /**
   * Saves bytes that need not fit in memory: the file at a path, a Readable, or any iterable of Uint8Arrays. When this
   * resolves they are durable; until then nobody sees anything of them, and a crash leaves nothing behind that a later
   * save or garbage collection does not clear away. Chunks that the memento before it on the same originator has are not
   * written again, wherever they have moved. EXISTS, CANCELLED, INPUT_MISSING, DISK_FULL.
   */
  async saveStream(input: StreamInput, options: StreamOptions = {}): Promise<MementoInfo> {
    const { id, labels = {}, originator = "default", kind = "file" } = options;
    checkSaved(id, labels);
    const writer = async (): Promise<TimelineWriter> => {
      this.#writers.delete(originator);
      return await this.#writer(originator, kind);
    };
    const draft = { labels, fields: sealedFields(options) };
    return infoOf(await saveStream({ vault: this.#vault, caretaker: this.name, writer, draft }, input, options));
  }

  /** A saved stream, by its id or its name, to be read as often as wanted; `MementoStream` says what is verified when. NOT_FOUND, INVALID_ARGUMENT for a state, DAMAGED. */
  async openStream(id: string): Promise<MementoStream> {
    return await MementoStream.of(this.#vault, await this.#open(id));
  }

  /** The state of a memento, by its id or its name. NOT_FOUND, INVALID_ARGUMENT for a stream, DAMAGED. */
  async load(id: string): Promise<unknown> {
    return await stateFromPieces(demandState(await this.#open(id)));
  }

  /** The newest state, of one originator where given; undefined when there is none. */
  async latest(originator?: string): Promise<unknown> {
    for await (const row of this.#vault.store.query(
      mementoQuery({ caretaker: this.name, originator: originator ?? null, parts: false }),
    )) {
      const memento = await this.#vault.load(row.entry.id);
      if (!holdsStream(memento)) return await stateFromPieces(memento);
    }
    return undefined;
  }

  /** The facts of all mementos that fit, newest first unless sorted otherwise. */
  async *list(options: ListOptions = {}): AsyncGenerator<MementoInfo> {
    const { where, limit = null, ...filter } = options;
    let left = limit ?? Number.POSITIVE_INFINITY;
    const query = mementoQuery({
      ...filter,
      caretaker: this.name,
      parts: false,
      limit: where === undefined ? limit : null,
    });
    for await (const { entry } of this.#vault.store.query(query)) {
      if (left <= 0) return;
      const info = infoOf(await this.#vault.load(entry.id));
      if (where !== undefined && !where(info)) continue;
      left -= 1;
      yield info;
    }
  }

  /** A memento's facts, by its id or its name. NOT_FOUND, DAMAGED. */
  async info(id: string): Promise<MementoInfo> {
    return infoOf(await this.#open(id));
  }

  /** Removes a memento, by its id or its name; others are not harmed, and its id is never used again. NOT_FOUND, CONFLICT when it is pinned. */
  async delete(id: string): Promise<void> {
    const memento = await this.#open(id);
    await demandUnpinned(this.#vault, this.name, [memento.entry.id]);
    const about = { caretaker: this.name, timeline: memento.entry.timeline, mementos: [memento.entry.id] };
    await this.#vault.store.remove([memento.entry.id], this.#vault.notice("removed", about));
  }

  /** Counts and sizes. */
  async statistics(): Promise<CaretakerStatistics> {
    let [mementos, logicalBytes, heldBytes] = [0, 0, 0];
    let [oldest, newest]: (string | null)[] = [null, null];
    const timelines = new Set<string>();
    for await (const { entry } of this.#vault.store.query(mementoQuery({ caretaker: this.name }))) {
      mementos += 1;
      timelines.add(entry.timeline);
      logicalBytes += entry.sizes.logicalBytes;
      heldBytes += entry.sizes.heldBytes;
      newest ??= entry.created;
      oldest = entry.created;
    }
    return {
      mementos,
      timelines: timelines.size,
      logicalBytes,
      heldBytes,
      oldest: oldest ?? null,
      newest: newest ?? null,
    };
  }

  /** What is done with this caretaker's mementos; empty where nothing was set. */
  async policy(): Promise<CaretakerPolicy> {
    return (await readSettings(this.#vault, this.name)).policy;
  }

  /** Sets the policy, whole; null clears it. It takes effect when garbage is collected. INVALID_ARGUMENT. */
  async setPolicy(policy: CaretakerPolicy | null): Promise<void> {
    const checked = checkPolicy(policy ?? {});
    await changeSettings(this.#vault, this.name, { changed: "policy" }, (present) => ({ ...present, policy: checked }));
  }

  /** Pins a memento, by its id or its name: nothing removes it until it is unpinned. NOT_FOUND. */
  async pin(id: string, options: PinOptions = {}): Promise<Pin> {
    return await pinMemento(this.#vault, this.name, (await this.#open(id)).entry.id, options);
  }

  /** Takes a pin away, by its memento's id or name; false when there is none. */
  async unpin(id: string): Promise<boolean> {
    const named = parseMementoId(id) === undefined ? await this.#vault.store.findByName(this.name, id) : id;
    return named !== null && (await unpinMemento(this.#vault, this.name, named));
  }

  /** The pins that count now, those of restores under way too. */
  async pins(): Promise<readonly Pin[]> {
    const { pins } = await readSettings(this.#vault, this.name);
    return pins.filter((pin) => isInTime(pin, this.#vault.clock.now()));
  }

  async #open(id: string): Promise<OpenedMemento> {
    const named = parseMementoId(id) === undefined ? await this.#vault.store.findByName(this.name, id) : id;
    if (named === null)
      throw new MementoError("NOT_FOUND", `Caretaker ${this.name} has no memento ${JSON.stringify(id)}`);
    const memento = await this.#vault.load(named);
    if (memento.entry.caretaker === this.name && !memento.removed) return memento;
    throw new MementoError("NOT_FOUND", `Caretaker ${this.name} has no memento ${JSON.stringify(id)}`);
  }

  async #sameByName(name: string, pieces: ReadonlyMap<string, unknown>): Promise<OpenedMemento | null> {
    const found = await this.#vault.store.findByName(this.name, name);
    if (found === null) return null;
    const memento = await this.#vault.load(found);
    if (holdsPieces(memento, pieces)) return memento;
    throw new MementoError(
      "EXISTS",
      `Caretaker ${this.name} has a memento named ${JSON.stringify(name)} with other content`,
      { details: { id: found } },
    );
  }

  async #writer(originator: string, kind: OriginatorKind): Promise<TimelineWriter> {
    const open = this.#writers.get(originator) ?? this.#openWriter(originator, kind);
    this.#writers.set(originator, open);
    return await open;
  }

  async #openWriter(originator: string, kind: OriginatorKind): Promise<TimelineWriter> {
    const address: TimelineAddress = {
      caretaker: this.name,
      originator: checkName("The originator", originator),
      partition: "",
      fork: "",
    };
    return await this.#vault.writer(await this.#vault.ensureTimeline(address, kind));
  }
}

function sealedFields({
  metadata,
  description,
}: Pick<SaveOptions, "metadata" | "description">): Record<string, unknown> {
  return { ...(metadata === undefined ? {} : { metadata }), ...(description === undefined ? {} : { description }) };
}

/** A name that looks like one of our ids could never be loaded again, and our own label would hide the memento. */
function checkSaved(id: string | undefined, labels: Readonly<Record<string, string>>): void {
  if (Object.hasOwn(labels, PART_LABEL))
    throw new MementoError("NAME_INVALID", `The label ${PART_LABEL} is Memento's own`);
  if (id === undefined) return;
  checkName("The id", id);
  if (parseMementoId(id) !== undefined)
    throw new MementoError("NAME_INVALID", `The id ${id} has the form of Memento's own ids`);
}
