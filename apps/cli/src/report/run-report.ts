import type { RunEvent } from "@mementojs/memento";

import type { Io } from "../io.ts";
import { toJsonLine } from "../json-text.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import { styleOf, type Style } from "../terminal/style.ts";
import { counted, durationText, listText } from "../terminal/words.ts";
import { TotalEstimate } from "./total-estimate.ts";

/** A stage that was done in this process. */
export interface StageDone {
  readonly name: string;
  readonly records: number;
  /** True: the records come from a source. */
  readonly reads: boolean;
}

/** What a crash had left in a sink, and was taken back. */
export interface SinkTakenBack {
  readonly sink: string;
  readonly rows: number;
  readonly records: number;
}

type Resumed = Extract<RunEvent, { readonly type: "run-resumed" }>;

/** Tells a run as it goes on, on standard error, and keeps what the result must say of it. */
export class RunReport implements Disposable {
  readonly stages: StageDone[] = [];
  readonly takenBack: SinkTakenBack[] = [];
  mementos = 0;
  /** The memento at which the run was taken up; null for a new run. */
  resumedFrom: string | null = null;
  /** The memento of an unfinished rollback that was finished first; null when there was none. */
  restored: string | null = null;
  readonly #io: Pick<Io, "err" | "clock">;
  readonly #style: Style;
  readonly #line: ProgressLine;
  readonly #begun = new Map<string, number>();
  #position = "";
  #estimate = new TotalEstimate();

  constructor(io: Pick<Io, "err" | "clock">) {
    this.#io = io;
    this.#style = styleOf(io.err);
    this.#line = new ProgressLine(io);
  }

  /** Says something beside the run's own events. */
  note(text: string): void {
    this.#line.note(text);
  }

  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]();
  }

  /** Receives the run's events. */
  readonly listener = (event: RunEvent): void => {
    switch (event.type) {
      case "run-started":
        this.note(`run ${event.run} started`);
        this.#noteTakenBack();
        break;
      case "run-resumed":
        this.resumedFrom = event.from;
        this.note(resumedText(event, this.takenBack));
        this.#noteTakenBack();
        break;
      case "sink-reverted":
        this.takenBack.push({ sink: event.sink, rows: event.rows, records: event.records });
        break;
      case "sink-kept":
        this.note(`sink ${event.sink} keeps what the last memento does not cover: ${counted(event.records, "record")}`);
        break;
      case "sink-moved":
        this.note(
          `sink ${event.sink}: nothing of this timeline is in ${event.where}; what it wrote before is elsewhere, and is not read again`,
        );
        break;
      case "pause-dropped":
        this.note("a pause was asked for, and the worker before ended without having seen it: it counts no more");
        break;
      case "restore-finished":
        this.restored = event.memento;
        this.note(
          `a rollback to ${event.target} stood unfinished and was finished first: the head is now ${event.memento}`,
        );
        break;
      case "stage-started":
        this.#stageStarted(event.stage, event.index, event.of);
        break;
      case "stage-completed":
        this.#stageCompleted(event);
        break;
      case "stage-skipped":
        this.#line.update(null);
        this.note(`stage ${event.index + 1}/${event.of} ${event.stage} skipped`);
        break;
      case "stage-retry":
        this.note(
          `stage ${event.stage} failed (attempt ${event.failed} of ${event.attempts}), tried again in ${durationText(event.delayMs)}: ${event.error}`,
        );
        break;
      case "stage-sleeps":
        this.note(`stage ${event.stage} sleeps until ${event.until} (${event.name})`);
        break;
      case "approval-wanted":
        this.note(`stage ${event.stage} waits for approval${event.message === "" ? "" : `: ${event.message}`}`);
        break;
      case "progress":
        this.#progress(event);
        break;
      case "saved":
        this.mementos += 1;
        break;
      case "log":
        this.note(`${this.#style.dim(`${event.stage}:`)} ${event.message}${fieldsText(event.fields)}`);
        break;
      // The command says how a run ended, and with what.
      case "save-failed":
      case "run-ended":
        break;
    }
  };

  #progress({ stage, records, total, share }: Extract<RunEvent, { readonly type: "progress" }>): void {
    const estimate = total ?? this.#estimate.after(records, share);
    const label = `${stage} ${this.#position}`;
    this.#line.update({ label, done: records, total: estimate, isEstimate: total === null, unit: "records" });
  }

  #stageStarted(stage: string, index: number, of: number): void {
    this.#begun.set(stage, this.#io.clock.monotonic());
    this.#position = `${index + 1}/${of}`;
    this.#estimate = new TotalEstimate();
    if (this.#io.err.isTerminal)
      this.#line.update({ label: `${stage} ${this.#position}`, done: 0, total: null, unit: "records" });
    else this.note(`stage ${this.#position} ${stage} started`);
  }

  #stageCompleted({ stage, index, of, records, reads }: Extract<RunEvent, { readonly type: "stage-completed" }>): void {
    this.stages.push({ name: stage, records, reads });
    this.#line.update(null);
    const begun = this.#begun.get(stage);
    // Stages further down a flow begin and end with its first one: a time of their own would be made up.
    const time = begun === undefined ? [] : [durationText(this.#io.clock.monotonic() - begun)];
    const facts = [...(records > 0 ? [counted(records, "record")] : []), ...time].join(" in ");
    const mark = this.#io.err.isTerminal
      ? `${this.#style.green("✓")} ${stage}`
      : `stage ${index + 1}/${of} ${stage} done`;
    this.note(facts === "" ? mark : `${mark}: ${facts}`);
  }

  #noteTakenBack(): void {
    for (const { sink, rows } of this.takenBack) {
      if (rows > 0)
        this.note(
          `  sink ${sink}: ${counted(rows, "row")} that no memento covered ${rows === 1 ? "was" : "were"} taken back`,
        );
    }
  }
}

/** What a resumed run skips, and what it reads again. */
function resumedText({ run, from, skipped, stage }: Resumed, takenBack: readonly SinkTakenBack[]): string {
  const records = Math.max(0, ...takenBack.map((each) => each.records));
  const [noun, verb] = skipped.length === 1 ? ["stage", "skipped"] : ["stages", "skipped"];
  const what = skipped.length === 0 ? "no stage was done yet" : `${noun} ${listText(skipped)} ${verb}`;
  const where = stage === null ? "" : `, in the middle of ${stage}`;
  const again =
    records === 0
      ? "nothing had been written past the checkpoint"
      : `${counted(records, "record")} had been read past the checkpoint and ${records === 1 ? "is" : "are"} read again`;
  return `resumed run ${run} at memento ${from}${where}: ${what}; ${again}`;
}

function fieldsText(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(
      ([key, value]) => ` ${key}=${typeof value === "string" || typeof value === "bigint" ? value : toJsonLine(value)}`,
    )
    .join("");
}
