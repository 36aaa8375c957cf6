import { namedPlace } from "../place/store-place.ts";
import { shellWord } from "./shell-word.ts";

/** Which store a command was given, and where. */
export interface StoreNamed {
  readonly store: string | null;
  readonly io: { readonly cwd: string };
}

/** A command line of ours, to be copied: it means the store that this one means, from any folder. Without what may be secret in its URL. */
export function ownCommand({ store, io }: StoreNamed, ...words: readonly string[]): string {
  const place = store === null ? [] : ["--store", withoutSecrets(namedPlace(store, "option", io.cwd).url)];
  return ["memento", ...words, ...place].map((word) => shellWord(word)).join(" ");
}

/** A store's URL with `***` for its password, and for values of its query that are named like a secret. */
function withoutSecrets(url: string): string {
  return url
    .replace(/(?<=^[a-z][a-z0-9+.-]*:\/\/[^:@/?#]*:).*(?=@)/isu, "***")
    .replace(/(?<=[?&][^=&]*(?:pass|secret|key|sig|token|sas|auth|cred)[^=&]*=)[^&#]*/giu, "***");
}
