import { styleText } from "node:util";

import type { MementoStatus } from "@mementojs/memento";

import type { Output } from "../io.ts";

type Paint = (text: string) => string;

/** How text is coloured on one output: every function gives its text back unchanged where colours are off. */
export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly blue: Paint;
  readonly cyan: Paint;
  readonly magenta: Paint;
}

/** The style of an output. */
export function styleOf(output: Pick<Output, "colours">): Style {
  const paint = (format: keyof Style): Paint => {
    if (!output.colours) return (text) => text;
    return (text) => (text === "" ? "" : styleText(format, text, { validateStream: false }));
  };
  return {
    bold: paint("bold"),
    dim: paint("dim"),
    red: paint("red"),
    green: paint("green"),
    yellow: paint("yellow"),
    blue: paint("blue"),
    cyan: paint("cyan"),
    magenta: paint("magenta"),
  };
}

/** A status in its colour; the same in every command. */
export function paintStatus(style: Style, status: MementoStatus): string {
  switch (status) {
    case "completed":
      return style.green(status);
    case "failed":
    case "reverting":
      return style.red(status);
    case "interrupted":
    case "cancelled":
      return style.yellow(status);
    case "paused":
      return style.blue(status);
    case "running":
      return style.cyan(status);
    case "saved":
      return status;
  }
}
