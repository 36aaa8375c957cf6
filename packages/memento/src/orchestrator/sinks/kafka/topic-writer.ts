import { MementoError } from "../../../core/errors.ts";
import { failureOf, isBrokerFenced } from "../../kafka/failure.ts";
import type { SentBooks } from "./books.ts";
import type { MarksTopic } from "./marks-topic.ts";
import type { OutgoingRecord } from "./record.ts";
import { type Sending, TransactionLost, type Transactions } from "./transactions.ts";

/** What one transaction is to be. */
export interface Change<Result> {
  readonly result: Result;
  /** Records for the marks topic; without any, nothing is sent and nothing changes. */
  readonly notes: readonly OutgoingRecord[];
}

/** Another one of the same epoch may seize the id between two attempts; more often than that it is no accident. */
const ATTEMPTS_MAX = 4;

/** Sends data and marks in one transaction, by right of an epoch. */
export class TopicWriter {
  readonly #marks: MarksTopic;
  readonly #transactions: Transactions;
  readonly #where: string;

  constructor(marks: MarksTopic, transactions: Transactions, where: string) {
    this.#marks = marks;
    this.#transactions = transactions;
    this.#where = where;
  }

  /** Keeps every earlier producer of the sink out, in the broker and by the epoch. FENCED, without touching anything, when a higher one was there. */
  async fence(epoch: number): Promise<void> {
    await this.#transactions.drop();
    await this.commit(epoch, async (_sending, books) => ({
      result: undefined,
      notes: books.epoch < epoch ? [this.#marks.headRecord(epoch, books.oldest)] : [],
    }));
  }

  /**
   * Does `work` in one transaction together with the notes that it gives, which are in the books afterwards. It may be called
   * again, with the books as they are by then: when the broker has fenced a producer of ours by another one with no higher epoch,
   * and when the answer to a commit was lost (`mayBeDone`). FENCED, LOCKED, STORE_UNREACHABLE.
   */
  async commit<Result>(
    epoch: number,
    work: (sending: Sending, books: SentBooks, mayBeDone: boolean) => Promise<Change<Result>>,
  ): Promise<Result> {
    let mayBeDone = false;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#admit(epoch);
        return await this.#attempt(epoch, async (sending, books) => await work(sending, books, mayBeDone));
      } catch (error) {
        if (!(error instanceof TransactionLost)) throw failureOf(error, this.#where);
        const mayRepeat = error.mayBeCommitted || isBrokerFenced(error.cause);
        if (!mayRepeat || attempt === ATTEMPTS_MAX) throw failureOf(error.cause, this.#where);
        mayBeDone ||= error.mayBeCommitted;
      }
    }
  }

  async #attempt<Result>(
    epoch: number,
    work: (sending: Sending, books: SentBooks) => Promise<Change<Result>>,
  ): Promise<Result> {
    const { books } = this.#marks;
    const { result, notes } = await this.#transactions.run(async (sending) => {
      const change = await work(sending, books);
      if (change.notes.length > 0) await sending.send(change.notes);
      return change;
    });
    for (const note of notes) this.#marks.apply(note);
    // Nothing was sent, and so no broker has said yet that nobody has come after us.
    if (notes.length === 0) await this.#demandNow(epoch);
    return result;
  }

  async #admit(epoch: number): Promise<void> {
    if (this.#transactions.isHeld) {
      this.#demand(epoch);
      return;
    }
    await this.#marks.ensure();
    // A producer of ours would fence the rightful one, if only for a moment: whoever is too late is told before.
    await this.#demandNow(epoch);
    await this.#transactions.seize();
    await this.#demandNow(epoch);
  }

  async #demandNow(epoch: number): Promise<void> {
    await this.#marks.refresh();
    this.#demand(epoch);
  }

  #demand(epoch: number): void {
    const { highestEpoch } = this.#marks;
    if (epoch >= highestEpoch) return;
    throw new MementoError(
      "FENCED",
      `${this.#where} is held with epoch ${highestEpoch}, and epoch ${epoch} was offered`,
    );
  }
}
