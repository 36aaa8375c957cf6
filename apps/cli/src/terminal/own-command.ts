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

/** Parameters that are named like a secret and are none. */
const OPEN_PARAMETERS = "authSource|authMechanism|sslkey";

/** A store's URL with `***` for its password, and for values of its query that are named like a secret. */
function withoutSecrets(url: string): string {
  const parameter = new RegExp(
    `(?<=[?&](?!(?:${OPEN_PARAMETERS})=)[^=&]*(?:pass|secret|key|sig|token|sas|auth|cred)[^=&]*=)[^&#]*`,
    "giu",
  );
  return withoutPassword(url).replace(parameter, "***");
}

function withoutPassword(url: string): string {
  const parts = /^(?<scheme>[a-z][a-z0-9+.-]*:\/\/)(?<authority>[^/?#]*)(?<path>[^?#]*)(?<rest>.*)$/isu.exec(
    url,
  )?.groups;
  const { scheme = "", authority = "", path = "", rest = "" } = parts ?? {};
  if (authority.includes("@")) return `${scheme}${authority.replace(/:.*@/su, ":***@")}${path}${rest}`;
  // A password with a slash in it, which should have been written %2F.
  if (authority.includes(":") && path.includes("@"))
    return `${scheme}${authority.replace(/:.*$/su, ":***")}${path.slice(path.lastIndexOf("@"))}${rest}`;
  return url;
}
