import { MementoError, isMementoError } from "../core/errors.ts";
import { checkName, parseMementoId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { OriginatorKind } from "../core/memento.ts";
import type { TimelineAddress } from "../core/timeline.ts";
import { isStream, mementoQuery } from "../store/query.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { CapturedPiece, PieceCapture } from "../vault/piece-capture.ts";
import type { MementoDraft, SavedMemento, TimelineWriter } from "../vault/timeline-writer.ts";
import type { Vault } from "../vault/vault.ts";
import { changeSettings, followCodec, readSettings, type Pin } from "./caretaker-record.ts";
import { letOthersPass, SAVE_ATTEMPTS_MAX } from "./let-others-pass.ts";
import { selectMementos, type Selection } from "./listing.ts";
import { infoFrom, infoOf, type MementoInfo } from "./memento-info.ts";
import { isInTime, pinMemento, removeUnpinned, unpinMemento, type PinOptions } from "./pins.ts";
import { checkPolicy, type CaretakerPolicy } from "./policy.ts";
import { clearMetadata } from "./queryable.ts";
import { ownSaveOptions, type SaveOptions } from "./save-options.ts";
import { SaveTurns } from "./save-turns.ts";
import { holdsPieces, stateFromPieces, stateToPieces } from "./state-pieces.ts";
import type { MementoStatistics } from "./statistics-sum.ts";
import type { StreamInput } from "./stream-input.ts";
import { demandState } from "./stream-pieces.ts";
import { MementoStream } from "./stream-reader.ts";
import { saveStream, type StreamOptions } from "./streams.ts";

/** Which mementos to list, and how: any filter and sort of a query, by labels and metadata paths too. */
export type ListOptions = Omit<Selection, "caretaker" | "timeline">;

/** A named collection of mementos: for scripts that keep their own shape and only want a state that they can trust. */
export class Caretaker {
  readonly name: string;
  readonly #vault: Vault;
  readonly #writers = new Map<string, TimelineWriter>();
  readonly #turns = new SaveTurns();
  readonly #capture: PieceCapture;

  constructor(vault: Vault, name: string) {
    this.#vault = vault;
    this.#capture = vault.newCapture();
    this.name = checkName("The caretaker", name);
  }

  /** Saves a state; when this resolves it is durable and verified on every later read. UNSUPPORTED_VALUE, EXISTS, CONFLICT where other processes always come first, INVALID_ARGUMENT, NAME_INVALID, DISK_FULL. */
  async save(state: unknown, given: SaveOptions = {}): Promise<MementoInfo> {
    const options = ownSaveOptions(given);
    const { id, labels = {}, replace = false, originator = "default", kind = "value" } = options;
    const pieces = this.#capture.capture(stateToPieces(state), originator);
    const known = id === undefined || replace ? null : await this.#sameByName(id, pieces);
    if (known !== null) return infoOf(known);
    const fields = sealedFields(options);
    const metadata = await this.#clear(options.metadata);
    const draft = {
      reason: "save",
      status: "saved",
      generation: 0,
      labels,
      metadata,
      fields,
      captured: pieces,
      full: options.full ?? false,
      digestContent: true,
      ...(id === undefined ? {} : { name: id, replaceName: replace }),
    } as const;
    try {
      const saved = await this.#turns.take(originator, async () => await this.#append(draft, originator, kind));
      return infoFrom(saved.entry, fields, saved.digest, saved.contentDigest ?? "");
    } catch (error) {
      const raced = id !== undefined && isMementoError(error, "EXISTS") ? await this.#sameByName(id, pieces) : null;
      if (raced !== null) return infoOf(raced);
      throw error;
    }
  }

  /** Appends a state behind whatever is there; to be called for one state of an originator after the other. */
  async #append(
    draft: MementoDraft & { readonly captured: ReadonlyMap<string, CapturedPiece> },
    originator: string,
    kind: OriginatorKind,
  ): Promise<SavedMemento> {
    for (let attempt = 1; ; attempt++) {
      const writer = await this.#writer(originator, kind);
      try {
        // What the state before it holds, and this one does not, must not be taken for this one's.
        const drop = writer.pieceKeys().filter((key) => !draft.captured.has(key));
        return await writer.append({ ...draft, drop });
      } catch (error) {
        // Another process saved in between: states do not build on one another, so this one follows it.
        this.#writers.delete(originator);
        if (!isMementoError(error, "CONFLICT") || attempt >= SAVE_ATTEMPTS_MAX) throw error;
        await letOthersPass(this.#vault, attempt);
      }
    }
  }

  /**
   * Saves bytes that need not fit in memory: the file at a path, a Readable, or any iterable of Uint8Arrays. When this
   * resolves they are durable; until then nobody sees anything of them, and a crash leaves nothing behind that a later
   * save or garbage collection does not clear away. Chunks that the memento before it on the same originator has are not
   * written again, wherever they have moved. EXISTS, CANCELLED, INPUT_MISSING, DISK_FULL.
   */
  async saveStream(input: StreamInput, given: StreamOptions = {}): Promise<MementoInfo> {
    const options = ownSaveOptions(given);
    const { labels = {}, originator = "default", kind = "file" } = options;
    // A writer of its own: what goes on beside it must be met as a conflict, for chunks of the old head may be gone by then.
    const writer = async (): Promise<TimelineWriter> => await this.#openWriter(originator, kind);
    const inTurn = async <T>(work: () => Promise<T>): Promise<T> =>
      await this.#turns.take(originator, async () => {
        // The state that comes next follows the stream.
        this.#writers.delete(originator);
        return await work();
      });
    const draft = { labels, fields: sealedFields(options), metadata: await this.#clear(options.metadata) };
    return infoOf(
      await saveStream({ vault: this.#vault, caretaker: this.name, writer, inTurn, draft }, input, options),
    );
  }

  /** A saved stream, by its id or its name, to be read as often as wanted; `MementoStream` says what is verified when. NOT_FOUND, INVALID_ARGUMENT for a state, DAMAGED. */
  async openStream(id: string): Promise<MementoStream> {
    return await MementoStream.of(this.#vault, await this.#open(id));
  }

  /** The state of a memento, by its id or its name. NOT_FOUND, INVALID_ARGUMENT for a stream, DAMAGED. */
  async load(id: string): Promise<unknown> {
    const found = await this.#state(await this.#idOf(id));
    if (found === null) throw this.#hasNo(id);
    return found.state;
  }

  /** The newest state, of one originator where given; undefined when there is none. What pipelines and streams keep is passed over. */
  async latest(originator?: string): Promise<unknown> {
    for (;;) {
      const id = await this.#newest(originator ?? null);
      if (id === null) return undefined;
      const found = await this.#state(id);
      // Where it was removed since it was found, there may well be a newer one by now.
      if (found !== null) return found.state;
    }
  }

  async #newest(originator: string | null): Promise<string | null> {
    for await (const { entry } of this.#vault.store.query(
      mementoQuery({ caretaker: this.name, originator, parts: false }),
    ))
      if (!isStream(entry) && entry.kind !== "pipeline") return entry.id;
    return null;
  }

  /** The facts of all mementos that fit, newest first unless sorted otherwise. */
  async *list(options: ListOptions = {}): AsyncGenerator<MementoInfo> {
    for await (const { entry, opened } of selectMementos(this.#vault, { ...options, caretaker: this.name })) {
      const memento = opened ?? (await this.#vault.loadLive(entry.id));
      if (memento !== null) yield infoOf(memento);
    }
  }

  /** A memento's facts, by its id or its name. NOT_FOUND, DAMAGED. */
  async info(id: string): Promise<MementoInfo> {
    return infoOf(await this.#open(id));
  }

  /** Removes a memento, by its id or its name; others are not harmed, and its id is never used again. NOT_FOUND, CONFLICT when it is pinned. */
  async delete(id: string): Promise<void> {
    const memento = await this.#open(id);
    const ids = [memento.entry.id];
    const about = { caretaker: this.name, timeline: memento.entry.timeline, mementos: ids };
    await removeUnpinned(this.#vault, this.name, { ids, notice: this.#vault.notice("removed", about) });
  }

  /** Counts, sizes and times of this caretaker's mementos; `Memento.statistics` groups them. */
  async statistics(): Promise<MementoStatistics> {
    const { collectStatistics } = await import("./statistics.ts");
    return (await collectStatistics(this.#vault, { caretaker: this.name })).total;
  }

  /** What is done with this caretaker's mementos; empty where nothing was set. */
  async policy(): Promise<CaretakerPolicy> {
    return (await readSettings(this.#vault, this.name)).policy;
  }

  /** Sets the policy, whole; null clears it. It takes effect when garbage is collected. INVALID_ARGUMENT. */
  async setPolicy(policy: CaretakerPolicy | null): Promise<void> {
    const checked = checkPolicy(policy ?? {});
    await changeSettings(this.#vault, this.name, { changed: "policy" }, (present) => ({ ...present, policy: checked }));
    await followCodec(this.#vault, this.name);
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
    const memento = await this.#vault.loadLive(await this.#idOf(id));
    if (memento?.entry.caretaker === this.name) return memento;
    throw this.#hasNo(id);
  }

  /** The id of a memento that is named by it, or by its name. NOT_FOUND for an unknown name. */
  async #idOf(id: string): Promise<string> {
    if (parseMementoId(id) !== undefined) return id;
    const named = await this.#vault.store.findByName(this.name, id);
    if (named === null) throw this.#hasNo(id);
    return named;
  }

  #hasNo(id: string): MementoError {
    return new MementoError("NOT_FOUND", `Caretaker ${this.name} has no memento ${JSON.stringify(id)}`);
  }

  async #sameByName(name: string, pieces: ReadonlyMap<string, CapturedPiece>): Promise<OpenedMemento | null> {
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

  /** What a save keeps of its metadata in the clear. */
  async #clear(metadata: SaveOptions["metadata"]): Promise<JsonObject> {
    if (metadata === undefined) return {};
    const { queryable = [] } = (await readSettings(this.#vault, this.name)).policy;
    return clearMetadata(metadata, queryable);
  }

  /** Reads the whole state of a live memento of this caretaker, and says how long that took; null where there is none. */
  async #state(id: string): Promise<{ readonly state: unknown } | null> {
    const { clock, timings } = this.#vault;
    const began = clock.monotonic();
    return await this.#vault.readLive(id, async (memento) => {
      if (memento.entry.caretaker !== this.name) return null;
      const state = await stateFromPieces(demandState(memento));
      timings.add("load", memento.entry, clock.monotonic() - began);
      return { state };
    });
  }

  async #writer(originator: string, kind: OriginatorKind): Promise<TimelineWriter> {
    const writer = this.#writers.get(originator) ?? (await this.#openWriter(originator, kind));
    this.#writers.set(originator, writer);
    return writer;
  }

  async #openWriter(originator: string, kind: OriginatorKind): Promise<TimelineWriter> {
    const address: TimelineAddress = {
      caretaker: this.name,
      originator: checkName("The originator", originator),
      partition: "",
      fork: "",
    };
    await followCodec(this.#vault, this.name);
    return await this.#vault.writer(await this.#vault.ensureTimeline(address, kind));
  }
}

function sealedFields({
  metadata,
  description,
}: Pick<SaveOptions, "metadata" | "description">): Record<string, unknown> {
  return { ...(metadata === undefined ? {} : { metadata }), ...(description === undefined ? {} : { description }) };
}
