import { describe, expect, onTestFinished, test } from "vitest";

import { MementoError } from "../../../core/errors.ts";
import { Memento } from "../../../memento.ts";
import { MemoryStore } from "../../../store/memory/index.ts";
import { definePipeline, type Pipeline } from "../../pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../../sinks/index.ts";
import { iterableSource } from "../../sources/index.ts";
import type { PipelineParticipant } from "./pipeline-participant.ts";

/** What has been entered, at each position; outlives the runs. */
interface Book {
  readonly pages: string[][];
  readonly answers: Map<string, unknown>;
  epoch: number;
  lost: boolean;
}

/** A ledger into an array: each entry is a new page, and going back is one too. */
class ArrayLedger implements PipelineParticipant {
  readonly kind = "ledger";
  readonly #book: Book;
  #epoch = 0;

  constructor(book: Book) {
    this.#book = book;
  }

  describe(): string {
    return "the ledger of the test";
  }

  async open(): Promise<void> {
    this.#epoch = 0;
  }

  async fence(epoch: number): Promise<void> {
    this.#epoch = epoch;
    this.#admit();
  }

  /** What a stage calls. */
  enter(file: string): void {
    this.#admit();
    this.#book.pages.push([...(this.#book.pages.at(-1) ?? []), file]);
  }

  async mark(): Promise<number | null> {
    return this.#book.pages.length === 0 ? null : this.#book.pages.length;
  }

  async inspect(mark: unknown): ReturnType<PipelineParticipant["inspect"]> {
    const [now, then] = [this.#book.pages.at(-1) ?? [], this.#page(mark)];
    return {
      remove: now.filter((file) => !then.includes(file)).length,
      restore: then.filter((file) => !now.includes(file)).length,
      foreign: [],
      foreignTotal: 0,
      problem: this.#book.lost ? "its pages were lost" : "",
      fingerprint: JSON.stringify([now, then]),
    };
  }

  async revertTo(
    mark: unknown,
    { epoch, token }: { epoch: number; token: string },
  ): ReturnType<PipelineParticipant["revertTo"]> {
    this.#epoch = epoch;
    this.#admit();
    const { remove: removed, restore: restored } = await this.inspect(mark);
    if (!this.#book.answers.has(token) && this.#book.pages.length > 0) this.#book.pages.push([...this.#page(mark)]);
    const answer = { removed, restored, kept: [], mark: await this.mark() };
    this.#book.answers.set(token, this.#book.answers.get(token) ?? answer);
    return this.#book.answers.get(token) as typeof answer;
  }

  async close(): Promise<void> {
    this.#epoch = 0;
  }

  #page(mark: unknown): readonly string[] {
    return typeof mark === "number" ? (this.#book.pages[mark - 1] ?? []) : [];
  }

  #admit(): void {
    if (this.#epoch < this.#book.epoch) throw new MementoError("FENCED", "The ledger was taken over");
    this.#book.epoch = this.#epoch;
  }
}

interface Bench {
  readonly memento: Memento;
  readonly rows: MemoryTable<number>;
  readonly book: Book;
  readonly pipeline: (count: number, failAt?: number) => Pipeline;
}

async function bench(): Promise<Bench> {
  const memento = await Memento.open(await MemoryStore.open());
  onTestFinished(async () => await memento.close());
  const rows = new MemoryTable<number>();
  const book: Book = { pages: [], answers: new Map(), epoch: 0, lost: false };
  const pipeline = (count: number, failAt = 0): Pipeline =>
    definePipeline({
      name: "ingest",
      version: "1",
      batchRecords: 2,
      checkpoint: { records: 4 },
      sources: {
        files: () =>
          iterableSource<number>({
            name: "files",
            async *records(from) {
              for (let id = Number(from ?? 0) + 1; id <= count; id++) yield { record: id, offset: id };
            },
          }),
      },
      sinks: { rows: () => memorySink<number>({ table: rows }) },
      participants: { ledger: () => new ArrayLedger(book) },
      stages: (stage) => [
        stage.task("load", async (context) => {
          for await (const { records } of context.read("files")) {
            await context.write("rows", records);
            for (const id of records as number[]) (context.participants["ledger"] as ArrayLedger).enter(`file ${id}`);
            if ((records as number[]).includes(failAt)) throw new Error("in the middle of a batch");
          }
        }),
      ],
    });
  return { memento, rows, book, pipeline };
}

const files = (count: number): string[] => Array.from({ length: count }, (_, index) => `file ${index + 1}`);

async function headOf(memento: Memento): Promise<string> {
  for await (const { id } of memento.history({ name: "ingest" })) return id;
  throw new Error("no head");
}

describe("a participant of a pipeline", () => {
  test("is taken back with data and offsets by a resume, so that every file is entered once", async () => {
    const { memento, rows, book, pipeline } = await bench();
    await expect(memento.run(pipeline(10, 6))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    expect(book.pages.at(-1)).toEqual(files(6));
    await memento.run(pipeline(10));
    expect(book.pages.at(-1)).toEqual(files(10));
    expect([...rows.rows]).toHaveLength(10);
  });

  test("goes back by a rollback, as the plan says, and forth again when that is rolled back", async () => {
    const { memento, book, pipeline } = await bench();
    await memento.run(pipeline(4));
    const first = await headOf(memento);
    await memento.run(pipeline(10));
    const plan = await memento.plan(pipeline(10), first);
    expect(plan.participants).toMatchObject([{ name: "ledger", kind: "ledger", verdict: "revert", remove: 6 }]);
    const { undo, head, evidence } = await memento.rollback(pipeline(10), first, { plan: plan.hash });
    expect(book.pages.at(-1)).toEqual(files(4));
    expect(evidence).toMatchObject({
      parts: [
        { kind: "ledger", name: "ledger", verdict: "reverted" },
        { kind: "sink", name: "rows", verdict: "reverted" },
        { kind: "source", name: "files", verdict: "reverted" },
      ],
    });
    expect(await (await memento.vault.load(head)).value("participant/ledger")).toBe(book.pages.length);
    const { hash } = await memento.plan(pipeline(10), undo);
    await memento.rollback(pipeline(10), undo, { plan: hash });
    expect(book.pages.at(-1)).toEqual(files(10));
  });

  test("refuses a plan that it cannot follow, unless it is forced by name, and then stays as it is", async () => {
    const { memento, book, pipeline } = await bench();
    await memento.run(pipeline(4));
    const first = await headOf(memento);
    await memento.run(pipeline(10));
    book.lost = true;
    const { hash, refused } = await memento.plan(pipeline(10), first);
    expect(refused).toEqual(["ledger"]);
    await expect(memento.rollback(pipeline(10), first, { plan: hash })).rejects.toMatchObject({
      code: "NOT_REVERTIBLE",
      message: expect.stringContaining("its pages were lost") as string,
    });
    const { evidence } = await memento.rollback(pipeline(10), first, { plan: hash, force: ["ledger:ledger"] });
    expect(evidence).toMatchObject({ parts: [{ name: "ledger", verdict: "not revertible" }, {}, {}] });
    expect(book.pages.at(-1)).toEqual(files(10));
  });

  test("belongs to its timeline: a fork begins with nothing of it", async () => {
    const { memento, pipeline } = await bench();
    await memento.run(pipeline(4));
    const { entry } = await memento.fork(await headOf(memento), { name: "try" });
    expect((await memento.vault.load(entry.id)).has("participant/ledger")).toBe(false);
  });
});
