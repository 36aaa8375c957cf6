import { MementoError } from "../../core/errors.ts";
import { decodeHeader } from "../header.ts";
import type { CaretakerRecord } from "../store.ts";
import type { NoticeEntry } from "./caretaker-log.ts";
import type { CaretakerLog, Catalogue, StoreParts } from "./catalogue.ts";
import { headSequence } from "./timeline-log.ts";
import { concurrently, inOrder } from "./turns.ts";

/** Caretakers' records and notices: all of them entries of the caretakers' logs. */
export class Caretakers {
  readonly #parts: StoreParts;
  readonly #catalogue: Catalogue;

  constructor(parts: StoreParts, catalogue: Catalogue) {
    this.#parts = parts;
    this.#catalogue = catalogue;
  }

  async get(name: string): Promise<CaretakerRecord | null> {
    const { state } = await this.#catalogue.caretaker(name).refresh();
    return structuredClone(state.record);
  }

  /** Every caretaker that has a record, in the order in which they were made. */
  async all(): Promise<readonly CaretakerRecord[]> {
    const names = await this.#catalogue.caretakerNames();
    const found: { readonly record: CaretakerRecord; readonly since: number }[] = [];
    await concurrently(names, this.#parts.tuning.requestsAtOnce, async (name) => {
      const { record, since } = (await this.#catalogue.caretaker(name).refresh()).state;
      if (record !== null) found.push({ record, since });
    });
    return found.toSorted((a, b) => a.since - b.since).map(({ record }) => structuredClone(record));
  }

  async save(record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
    const log = await this.#writable(record.name);
    return await log.commit<boolean>(({ state }) =>
      (state.record?.version ?? 0) === record.version - 1
        ? { entry: noticeEntry(notice, { caretaker: record }), result: true }
        : { entry: null, result: false },
    );
  }

  async remove(name: string, notice: Uint8Array): Promise<boolean> {
    const log = this.#catalogue.caretaker(name);
    if ((await log.refresh()).state.record === null) return false;
    // A save that comes after this look is as good as one after the removal, which takes saves as well.
    const heads: { readonly key: string; readonly sequence: number }[] = [];
    const { requestsAtOnce } = this.#parts.tuning;
    const looks = inOrder(this.#catalogue.all(name), requestsAtOnce, async ({ record: { key }, log: its }) => {
      return { key, sequence: headSequence((await its.refresh()).state) };
    });
    for await (const head of looks) heads.push(head);
    return await log.commit<boolean>(({ state }) => {
      const isLive = heads.some(({ key, sequence }) => (state.removed.get(key)?.size ?? 0) < sequence);
      return state.record === null || isLive
        ? { entry: null, result: false }
        : { entry: noticeEntry(notice, { caretaker: null }), result: true };
    });
  }

  /** Logs a notice with the caretaker that it names. */
  async note(notice: Uint8Array): Promise<void> {
    const header = decodeHeader(notice, "the notice");
    if (header.type !== "notice") throw new MementoError("INVALID_ARGUMENT", `That is no notice but a ${header.type}`);
    const log = await this.#writable(header.notice.caretaker);
    await log.commit(() => ({ entry: noticeEntry(notice, {}), result: null }));
  }

  /** A caretaker's log, its folder made. */
  async #writable(name: string): Promise<CaretakerLog> {
    await this.#parts.files.ensureFolder(this.#parts.paths.caretaker(name));
    return this.#catalogue.caretaker(name);
  }
}

/** A notice as an entry, with what it does. */
export function noticeEntry(notice: Uint8Array, does: Omit<NoticeEntry, "kind" | "header">): NoticeEntry {
  return { kind: "notice", header: Buffer.from(notice).toString("base64"), ...does };
}
