import { isMementoError, MementoError } from "../../../core/errors.ts";
import type { Json } from "../../../core/json.ts";
import type { SinkContext } from "../sink.ts";
import { type CallEntry, type CallJournal, type CallRow, type CallStream, keyOf } from "./journal.ts";
import type { Call, CallOutcome, CallsOptions, MadeCall } from "./options.ts";

/** What came of a call: what the journal is to say of it, or why that is not known. */
interface Outcome {
  readonly call: CallRow;
  readonly error: unknown;
}

/** True where the far end says that nothing was made. */
export function isRefusal(error: unknown): boolean {
  return isMementoError(error) && ["RECORD_INVALID", "UNSUPPORTED_VALUE", "ACCESS_DENIED"].includes(error.code);
}

/** Makes the calls of the journal, and takes them back; each is written down before it is made, and after it was answered. */
export class CallMaker<Row> {
  readonly #journal: CallJournal;
  readonly #options: CallsOptions<Row>;
  readonly #context: SinkContext;

  constructor(journal: CallJournal, options: CallsOptions<Row>, context: SinkContext) {
    this.#journal = journal;
    this.#options = options;
    this.#context = context;
  }

  /**
   * Makes the calls of a write that are not made yet. What the far end refuses stays planned, and its error is thrown after the
   * others that are under way have ended.
   */
  async make(entry: CallEntry, epoch: number): Promise<void> {
    const all = await this.#journal.read((stream) => this.#journal.callsOf(demand(stream), entry.position));
    const left = all.filter(({ state }) => state === "asked" || state === "planned");
    await this.#inSlices(left, epoch, async (slice) => await this.#makeSlice(entry, slice, epoch));
  }

  /** Learns what became of the calls of a write whose answers were lost: each is made after that, or planned again. */
  async settle(entry: CallEntry, epoch: number): Promise<void> {
    const all = await this.#journal.read((stream) => this.#journal.callsOf(demand(stream), entry.position));
    const asked = all.filter(({ state }) => state === "asked");
    await this.#inSlices(asked, epoch, async (slice) => {
      const outcomes = await this.#makeSlice(entry, slice, epoch);
      // What was refused was not made, and that is all that is asked here.
      return outcomes.map((outcome) => (outcome.call.state === "planned" ? { ...outcome, error: null } : outcome));
    });
  }

  /** Finishes a revert: takes back what is to be taken back, the newest first, and makes again what is to be made again. */
  async turn(entries: readonly CallEntry[], epoch: number, repeated: boolean): Promise<void> {
    for (const entry of entries.toReversed()) {
      const calls = await this.#journal.read((stream) => this.#journal.callsOf(demand(stream), entry.position));
      const undoing = calls.filter(({ state }) => state === "undoing").toReversed();
      await this.#inSlices(undoing, epoch, async (slice) => {
        return await Promise.all(slice.map(async (call) => await this.#undo(entry, call, epoch, repeated)));
      });
    }
    for (const entry of entries) {
      const calls = await this.#journal.read((stream) => this.#journal.callsOf(demand(stream), entry.position));
      const redoing = calls.filter(({ state }) => state === "redoing");
      await this.#inSlices(redoing, epoch, async (slice) => {
        return await Promise.all(slice.map(async (call) => await this.#redo(entry, call, epoch, repeated)));
      });
    }
  }

  async #inSlices(
    calls: readonly CallRow[],
    epoch: number,
    run: (slice: readonly CallRow[]) => Promise<readonly Outcome[]>,
  ): Promise<void> {
    const { callsAtOnce = 1 } = this.#options;
    for (let start = 0; start < calls.length; start += callsAtOnce) {
      const outcomes = await run(calls.slice(start, start + callsAtOnce));
      await this.#note(
        epoch,
        outcomes.map(({ call }) => call),
      );
      const failed = outcomes.filter(({ error }) => error !== null);
      const worst = failed.find(({ error }) => isRefusal(error)) ?? failed[0];
      if (worst !== undefined) throw worst.error;
    }
  }

  async #note(epoch: number, calls: readonly CallRow[]): Promise<void> {
    await this.#journal.write(epoch, (stream) => {
      for (const call of calls) this.#journal.setCall(stream, call);
    });
  }

  async #makeSlice(entry: CallEntry, slice: readonly CallRow[], epoch: number): Promise<Outcome[]> {
    await this.#note(
      epoch,
      slice.map((call) => ({ ...call, state: "asked" as const })),
    );
    return await Promise.all(slice.map(async (call) => await this.#make(entry, call, epoch)));
  }

  async #make(entry: CallEntry, call: CallRow, epoch: number): Promise<Outcome> {
    let repeated = call.state === "asked";
    const made = (answer: Json | void): Outcome => ({ call: this.#made(call, call.turn, answer), error: null });
    const asked = this.#call(entry, call, { turn: call.turn, epoch, repeated });
    try {
      if (repeated) {
        const outcome = await this.#outcome(asked);
        if (outcome?.made === true) return made(outcome.answer);
        repeated = outcome?.made !== false;
      }
      return made(await this.#options.write({ ...asked, repeated }));
    } catch (error) {
      // Whoever is denied access is not told what became of the call when it was made before.
      const isNotMade = isRefusal(error) && !(repeated && isMementoError(error, "ACCESS_DENIED"));
      return { call: { ...call, state: isNotMade ? "planned" : "asked" }, error };
    }
  }

  /** What is known of a call whose answer was lost; null where it is to be made again. */
  async #outcome(call: Call<Row>): Promise<CallOutcome | null> {
    const { unanswered = "repeat", name } = this.#options;
    if (unanswered === "repeat") return null;
    if (unanswered === "skip") return { made: true };
    if (typeof unanswered === "function") return await unanswered(call);
    throw new MementoError(
      "CALL_UNANSWERED",
      `${name}: the answer to a call of ${call.token} was lost (idempotency key ${call.key})`,
      { details: { token: call.token, key: call.key } },
    );
  }

  async #undo(entry: CallEntry, call: CallRow, epoch: number, repeated: boolean): Promise<Outcome> {
    const turn = call.turn + 1;
    const undone: MadeCall<Row> = {
      ...this.#call(entry, call, { turn, epoch, repeated }),
      madeWith: keyOf(this.#context, entry, call.number, call.turn),
      answer: JSON.parse(call.answer ?? "null") as Json,
    };
    try {
      const stays = (await this.#options.compensate?.(undone)) === "stays";
      return { call: stays ? { ...call, state: "stays" } : { ...call, state: "undone", turn }, error: null };
    } catch (error) {
      return { call, error };
    }
  }

  async #redo(entry: CallEntry, call: CallRow, epoch: number, repeated: boolean): Promise<Outcome> {
    const turn = call.turn + 1;
    try {
      const answer = await this.#options.write(this.#call(entry, call, { turn, epoch, repeated }));
      return { call: this.#made(call, turn, answer), error: null };
    } catch (error) {
      return { call, error };
    }
  }

  #made(call: CallRow, turn: number, answer: Json | void): CallRow {
    return { ...call, state: "made", turn, answer: JSON.stringify(answer ?? null) };
  }

  #call(
    entry: CallEntry,
    call: CallRow,
    { turn, epoch, repeated }: { readonly turn: number; readonly epoch: number; readonly repeated: boolean },
  ): Call<Row> {
    const { clock, signal } = this.#context;
    const key = keyOf(this.#context, entry, call.number, turn);
    const rows = JSON.parse(call.rows ?? "[]") as Row[];
    return { rows, token: entry.token, key, epoch, repeated, clock, signal };
  }
}

/** The stream of a write that was journaled. */
export function demand(stream: CallStream | null): CallStream {
  if (stream !== null) return stream;
  throw new MementoError("DAMAGED", "The journal of calls was emptied while it was open");
}
