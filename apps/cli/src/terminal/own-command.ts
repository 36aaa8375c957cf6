import { shownUrl } from "@mementojs/memento/core";

import { namedPlace } from "../place/store-place.ts";
import { shellWord } from "./shell-word.ts";

/** Which store a command was given, and where. */
export interface StoreNamed {
  readonly store: string | null;
  readonly io: { readonly cwd: string };
}

/** The option with which a command was given a value, for the commands that follow on it; nothing where it was not. */
export function asGiven(option: string, value: string | undefined): readonly string[] {
  return value === undefined ? [] : [option, value];
}

/** A command line of ours, to be copied: it means the store that this one means, from any folder. Without what may be secret in its URL. */
export function ownCommand({ store, io }: StoreNamed, ...words: readonly string[]): string {
  const place = store === null ? [] : ["--store", shownUrl(namedPlace(store, "option", io.cwd).url)];
  return ["memento", ...words, ...place].map((word) => shellWord(word)).join(" ");
}
