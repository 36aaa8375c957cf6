import type { Io } from "../io.ts";
import { printable } from "./printable.ts";
import { Rate } from "./rate.ts";
import { styleOf, type Style } from "./style.ts";
import { displayWidth, shorten } from "./width.ts";
import { grouped, secondsText } from "./words.ts";

/** How far something long is. */
export interface Progress {
  /** What is going on, for example a stage. */
  readonly label: string;
  readonly done: number;
  /** Null where nobody knows. */
  readonly total: number | null;
  /** True: the total is judged by what is done so far. Default false. */
  readonly isEstimate?: boolean;
  /** What is counted, in the plural. */
  readonly unit: string;
}

const REDRAW_MS = 100;
const CLEAR_LINE = "\r\u001b[2K";
const BAR_COLUMNS = 24;
const LABEL_COLUMNS_MAX = 30;
const SPINNER = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/** The last line of a terminal, on standard error: how far it is, how fast, how long still. Where there is no terminal, only notes are written. */
export class ProgressLine implements Disposable {
  readonly #io: Pick<Io, "err" | "clock">;
  readonly #style: Style;
  readonly #stopRedrawing: () => void;
  #progress: Progress | null = null;
  #rate: Rate;
  #startedMs: number;
  #frame = 0;
  #drawn = false;

  constructor(io: Pick<Io, "err" | "clock">) {
    this.#io = io;
    this.#style = styleOf(io.err);
    this.#startedMs = io.clock.monotonic();
    this.#rate = new Rate();
    this.#stopRedrawing = io.err.isTerminal ? io.clock.every(REDRAW_MS, () => this.#draw()) : () => undefined;
  }

  /** Takes the new state; it is drawn at the next beat. Null: nothing is going on. */
  update(progress: Progress | null): void {
    const now = this.#io.clock.monotonic();
    if (progress?.label !== this.#progress?.label) {
      this.#rate = new Rate();
      this.#startedMs = now;
    }
    if (progress !== null) this.#rate.add(now, progress.done);
    this.#progress = progress;
    if (progress === null) this.#clear();
  }

  /** Writes a line above. */
  note(text: string): void {
    this.#clear();
    this.#io.err.write(`${printable(text)}\n`);
  }

  [Symbol.dispose](): void {
    this.#stopRedrawing();
    this.#clear();
  }

  #draw(): void {
    if (this.#progress === null) return;
    const elapsedMs = this.#io.clock.monotonic() - this.#startedMs;
    const facts = { ...this.#progress, perSecond: this.#rate.perSecond, elapsedMs, frame: this.#frame };
    this.#frame += 1;
    this.#io.err.write(CLEAR_LINE + progressText(facts, this.#style, this.#io.err.columns));
    this.#drawn = true;
  }

  #clear(): void {
    if (this.#drawn) this.#io.err.write(CLEAR_LINE);
    this.#drawn = false;
  }
}

/** What one drawing of the line knows. */
export interface ProgressFacts extends Progress {
  readonly perSecond: number | null;
  readonly elapsedMs: number;
  readonly frame: number;
}

/** The line itself, no wider than the terminal. */
export function progressText(facts: ProgressFacts, style: Style, columns: number): string {
  const { done, total, isEstimate = false, unit, perSecond, elapsedMs, frame } = facts;
  const label = shorten(printable(facts.label), Math.min(LABEL_COLUMNS_MAX, Math.floor(columns / 2)));
  const labelColumns = displayWidth(label);
  const rate = perSecond === null ? [] : [`${grouped(perSecond)}/s`];
  const elapsed = secondsText(Math.floor(elapsedMs / 1_000) * 1_000);
  if (total === null || total <= 0) {
    const parts = [`${grouped(done)} ${unit}`, ...rate, elapsedMs < 1_000 ? "" : elapsed];
    const rest = parts.filter((part) => part !== "").join("  ");
    return `${style.cyan(SPINNER[frame % SPINNER.length] ?? "")} ${style.bold(label)}  ${shorten(rest, columns - labelColumns - 5)}`;
  }
  const share = Math.min(1, Math.max(0, done / total));
  const eta =
    perSecond === null || perSecond <= 0 || done >= total
      ? []
      : [`${secondsText(Math.ceil((total - done) / perSecond) * 1_000)} left`];
  const numbers = [
    `${Math.floor(share * 100)}%`.padStart(4),
    `${grouped(done)} of ${isEstimate ? "about " : ""}${grouped(total)} ${unit}`,
    ...rate,
    ...eta,
  ].join("  ");
  const room = columns - labelColumns - numbers.length - 6;
  const bar = room < 8 ? "" : `${barText(share, Math.min(BAR_COLUMNS, room), style)} `;
  return `${style.bold(label)}  ${bar}${shorten(numbers, columns - labelColumns - 3)}`;
}

function barText(share: number, columns: number, style: Style): string {
  const full = Math.round(share * columns);
  return style.cyan("━".repeat(full)) + style.dim("─".repeat(columns - full));
}
