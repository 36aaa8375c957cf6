import type { LogRecord } from "./log-reader.ts";

interface Run {
  /** Follow one another without a gap; the first one begins a chapter. */
  records: LogRecord<unknown>[];
  bytes: number;
}

const BYTES_MAX = 16_777_216;

/**
 * The newest entries of logs that are being written, so that a chapter of them need not be read back. All logs of a store
 * together hold 16 MB; beyond that the log that was longest unused loses its entries, and its next chapter is read.
 */
export class RecentEntries {
  readonly #runs = new Map<object, Run>();
  #bytes = 0;

  /** Takes note of a log's newest entry. */
  keep(log: object, record: LogRecord<unknown>, bytes: number, startsChapter: boolean): void {
    const run = this.#runs.get(log) ?? { records: [], bytes: 0 };
    const follows = run.records.at(-1)?.position === record.position - 1;
    if (!startsChapter && !follows) {
      this.#forget(log);
      return;
    }
    if (startsChapter) this.#forget(log);
    const kept = startsChapter ? { records: [], bytes: 0 } : run;
    kept.records.push(record);
    kept.bytes += bytes;
    this.#bytes += bytes;
    this.#runs.delete(log);
    this.#runs.set(log, kept);
    for (const oldest of this.#runs.keys()) {
      if (this.#bytes <= BYTES_MAX) break;
      this.#forget(oldest);
    }
  }

  /** The entries from a position on, where all of them are held; null otherwise. */
  run(log: object, first: number, count: number): readonly LogRecord<unknown>[] | null {
    const records = this.#runs.get(log)?.records;
    return records?.[0]?.position === first && records.length >= count ? records.slice(0, count) : null;
  }

  #forget(log: object): void {
    this.#bytes -= this.#runs.get(log)?.bytes ?? 0;
    this.#runs.delete(log);
  }
}
