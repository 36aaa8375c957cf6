import type { MongoClient } from "mongodb";

import { MementoError } from "../../../core/errors.ts";
import type { Random } from "../../../core/ports.ts";

/** What `mongodbCollection` takes. */
export interface MongodbCollectionOptions {
  /** `mongodb://user:password@host:port/database` or `mongodb+srv://…`; all its parameters are the driver's. */
  readonly url?: string;
  /** In place of a URL: a client of the `mongodb` package, which is left open, and the name of a database. */
  readonly client?: MongoClient;
  readonly database?: string;
  readonly collection: string;
  /**
   * The fields by which a document is found again; `_id` by default. Their values are strings, numbers, booleans, dates, ids or
   * bytes. Other fields than `_id` need a unique index, which is made where there is none.
   */
  readonly key?: string | readonly string[];
  /** `append` refuses a key that is there already, and gives an `_id` to rows without one; `upsert` replaces the document. */
  readonly mode: "append" | "upsert";
  /**
   * `transaction`: each write is one transaction, which replica sets and clusters have. `staged`: each write is planned in the
   * sink's books, decided by one document, then done, and completed by whoever comes next where its writer died. `auto`,
   * the default, takes transactions where the server has them.
   */
  readonly commit?: "auto" | "transaction" | "staged";
  /** What the names of the sink's own collections begin with; `memento_sink_` by default. */
  readonly books?: string;
  /** How long others' transactions may stand in the way before LOCKED; default 30,000. After half of it they are ended. */
  readonly lockTimeoutMs?: number;
  /** How long the server may take for one command; default 30,000. */
  readonly commandTimeoutMs?: number;
  readonly random?: Random;
}

/** The fields that name a document. */
export function keyFields({ key = "_id" }: MongodbCollectionOptions): readonly string[] {
  return typeof key === "string" ? [key] : key;
}

/** What the names of the books begin with. */
export const booksPrefix = ({ books = "memento_sink_" }: MongodbCollectionOptions): string => books;

/** Throws INVALID_ARGUMENT for options that cannot work, before anything is opened. */
export function checkOptions(options: MongodbCollectionOptions): void {
  const { url, client, database, collection, mode, commit = "auto", lockTimeoutMs = 0, commandTimeoutMs = 1 } = options;
  if (url === undefined && (client === undefined || database === undefined))
    throw invalid("mongodbCollection needs a url, or a client and the name of a database");
  const books = booksPrefix(options);
  if (collection === "" || /^system\.|[$\0]/u.test(collection) || collection.startsWith(books))
    throw invalid(`${JSON.stringify(collection)} cannot be the sink's collection`);
  if (!/^[A-Za-z0-9_.-]{1,60}$/u.test(books) || books.startsWith("system."))
    throw invalid("books has 1 to 60 letters, digits, _ . and - only");
  if (mode !== "append" && mode !== "upsert") throw invalid(`mode is append or upsert, not ${JSON.stringify(mode)}`);
  if (commit !== "auto" && commit !== "transaction" && commit !== "staged")
    throw invalid(`commit is auto, transaction or staged, not ${JSON.stringify(commit)}`);
  if (!(lockTimeoutMs >= 0)) throw invalid(`lockTimeoutMs is ${lockTimeoutMs} and must not be negative`);
  if (!(commandTimeoutMs > 0)) throw invalid(`commandTimeoutMs is ${commandTimeoutMs} and must be positive`);
  const fields = keyFields(options);
  const strange = fields.find((field) => field === "" || /[.$\0]/u.test(field));
  if (fields.length === 0 || strange !== undefined || new Set(fields).size < fields.length)
    throw invalid(`The key of ${collection} is one or more fields of the document itself`);
}

function invalid(message: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", message);
}
