import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { styleText } from "node:util";

/** Where the demo's story is told: chapters, sentences, commands and small tables. */
export interface Screen {
  /** Begins a chapter; on a terminal after a moment in which the one before can be read. */
  chapter(title: string): Promise<void>;
  /** Sentences, as one paragraph. */
  say(text: string): void;
  command(line: string): void;
  /** Text of another program, indented. */
  quote(text: string): void;
  table(rows: readonly (readonly string[])[]): void;
}

const WIDTH = 92;
const INDENT = "   ";
const MOMENT_MS = 1_000;

/** A screen on standard output, coloured only on a terminal. */
export function terminalScreen(): Screen {
  let chapters = 0;
  const write = (text: string): void => void process.stdout.write(`${text}\n`);
  const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
    styleText(style, text, { stream: process.stdout });
  return {
    chapter: async (title) => {
      chapters += 1;
      if (chapters > 1 && process.stdout.isTTY) await sleep(MOMENT_MS);
      write(`\n${paint(["bold", "cyan"], `${chapters}. ${title}`)}`);
    },
    say: (text) => write(`\n${wrap(text).join("\n")}`),
    command: (line) => write(`\n${INDENT}${paint("bold", `$ ${line}`)}`),
    quote: (text) => write(clipped(text.trimEnd()).join("\n")),
    table: (rows) =>
      write(
        `\n${aligned(rows)
          .map((line, index) => INDENT + (index === 0 ? paint("bold", line) : line))
          .join("\n")}`,
      ),
  };
}

/** A screen that shows nothing: for `--json`. */
export const silentScreen: Screen = {
  chapter: async () => undefined,
  say: () => undefined,
  command: () => undefined,
  quote: () => undefined,
  table: () => undefined,
};

/** Lines of another program's output; on a terminal none longer than it is wide. */
function clipped(text: string): string[] {
  const columns = process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY;
  return text.split("\n").map((line) => {
    const whole = `${INDENT}  ${line}`.trimEnd();
    return whole.length <= columns ? whole : `${whole.slice(0, columns - 1)}…`;
  });
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = INDENT;
  for (const word of text.split(" ")) {
    if (line.length + word.length + 1 > WIDTH && line.trim() !== "") {
      lines.push(line);
      line = INDENT;
    }
    line += line.trim() === "" ? word : ` ${word}`;
  }
  return [...lines, line];
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_head, place) => Math.max(...rows.map((row) => row[place]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, place) => (place === 0 ? cell.padEnd(widths[place] ?? 0) : cell.padStart(widths[place] ?? 0)))
      .join("   ")
      .trimEnd(),
  );
}
