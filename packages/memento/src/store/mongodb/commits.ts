import { MementoError } from "../../core/errors.ts";
import type { StoredCommit } from "../store.ts";
import { findAll } from "./changes.ts";
import type { Contents } from "./contents.ts";
import type { LogDocument } from "./documents.ts";
import type { StoreAccess, Tail } from "./tail.ts";

const PAGE_MIN = 4;
/** Documents have up to a quarter of a megabyte, so a page has some megabytes. */
const PAGE_MAX = 32;
const LOOKS_MAX = 5;

/** Reads a cursor of the log. INVALID_ARGUMENT for a text that is none. */
export function readCursor(after: string | null): number {
  if (after !== null && !/^[0-9]{1,15}$/u.test(after))
    throw new MementoError("INVALID_ARGUMENT", `${JSON.stringify(after.slice(0, 60))} is not a cursor of this log`);
  return Number(after ?? 0);
}

/**
 * The events behind a number. Numbers are given in the order of the commits, and one is never there before the one below
 * it, so what is read once up to a number is complete up to there.
 */
export async function* readCommits(
  access: StoreAccess,
  tail: Tail,
  contents: Contents,
  after: number,
  checkOpen: () => void,
): AsyncIterable<StoredCommit> {
  let last = after;
  for (let size = PAGE_MIN; ; size = Math.min(2 * size, PAGE_MAX)) {
    checkOpen();
    const end = await tail.settle();
    if (last >= end) return;
    const numbers = Array.from({ length: Math.min(size, end - last) }, (_, index) => last + 1 + index);
    const page = await findAll(access, numbers, { effects: 0 });
    for (const number of numbers) {
      const log = page.get(number) as LogDocument | undefined;
      last = number;
      if (log === undefined) throw new MementoError("DAMAGED", `Commit ${number} is missing from the log`);
      if (log.kind === "hidden") continue;
      yield { cursor: String(number), ...(await bytesOfCommit(access, contents, log)), accepted: [...log.accepted] };
      checkOpen();
    }
  }
}

/** A commit's header and body; read anew where they were replaced or reclaimed meanwhile. */
async function bytesOfCommit(
  access: StoreAccess,
  contents: Contents,
  found: LogDocument,
): Promise<Pick<StoredCommit, "header" | "body">> {
  let log: LogDocument | undefined = found;
  for (let look = 1; look <= LOOKS_MAX && log !== undefined; look++) {
    const header = log.header === null ? null : await contents.fetch(log.header);
    const body = log.body === null ? null : await contents.fetch(log.body);
    if (header !== null && (log.body === null || body !== null)) return { header, body };
    log = (await findAll(access, [found._id], { effects: 0 })).get(found._id) as LogDocument | undefined;
  }
  throw new MementoError("DAMAGED", `The bytes of commit ${found._id} are missing`);
}
