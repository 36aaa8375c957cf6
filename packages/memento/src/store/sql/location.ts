import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";

import { MementoError } from "../../core/errors.ts";
import { URL_ENCODING_HINT } from "../url-encoding.ts";

/** What the URL of a store on an SQL server says. */
export interface SqlLocation {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** What holds the store inside the database: a schema, or a prefix. */
  readonly place: string | null;
  /** null: a connection without TLS. */
  readonly tls: (ConnectionOptions & { readonly mode: TlsMode }) | null;
  readonly connectionsMax: number | undefined;
}

/** How far the server is to prove who it is: not at all, by a certificate, or by one of its own name. */
export type TlsMode = "require" | "verify-ca" | "verify-full";

/** What an engine's URLs look like. */
export interface SqlUrlForm {
  readonly schemes: readonly string[];
  readonly port: number;
  /** The parameter that names the place inside the database. */
  readonly place: string;
  /** How people are told of the URL; `The store's URL` by default. */
  readonly said?: string;
}

/**
 * Reads `scheme://user:password@host:port/database?PLACE=...&sslmode=verify-full&sslrootcert=FILE&sslcert=FILE&sslkey=FILE&pool=10`.
 * INVALID_ARGUMENT, which never repeats the URL: it may hold a password.
 */
export function readSqlUrl(url: string, { schemes, port, place, said = "The store's URL" }: SqlUrlForm): SqlLocation {
  // Without `//`, all of it would be a path, and the server this machine.
  const parsed = /^\s*[a-z]+:\/\//iu.test(url) && URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !schemes.includes(parsed.protocol.slice(0, -1)))
    throw invalid(`${said} is not of the form ${schemes[0]}://user:password@host:port/database`, {
      hint: URL_ENCODING_HINT,
    });
  const parameters = parsed.searchParams;
  const known = [place, "sslmode", "sslrootcert", "sslcert", "sslkey", "pool"];
  const unknown = [...parameters.keys()].find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw invalid(`${said} has the parameter ${JSON.stringify(unknown)}; known are ${known.join(", ")}`);
  const database = decoded(parsed.pathname.slice(1));
  if (database === "") throw invalid(`${said} names no database`);
  const pool = parameters.get("pool");
  if (pool !== null && !/^[1-9][0-9]{0,3}$/u.test(pool)) throw invalid("The URL's pool is not a number of connections");
  return {
    host: parsed.hostname === "" ? "localhost" : parsed.hostname.replace(/^\[(.*)\]$/u, "$1"),
    port: parsed.port === "" ? port : Number(parsed.port),
    database,
    user: parsed.username === "" ? undefined : decoded(parsed.username),
    password: parsed.password === "" ? undefined : decoded(parsed.password),
    place: parameters.get(place),
    tls: readTls(parameters),
    connectionsMax: pool === null ? undefined : Number(pool),
  };
}

/** A URL for people: without user, password and everything but the place. */
export function shownSqlUrl(
  { schemes, place: parameter }: SqlUrlForm,
  { host, port, database }: Pick<SqlLocation, "host" | "port" | "database">,
  place: string,
): string {
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return `${schemes[0]}://${shownHost}:${port}/${encodeURIComponent(database)}?${parameter}=${place}`;
}

/** A name that stands in statements and in the URL, or INVALID_ARGUMENT. */
export function checkPlace(what: string, name: string, lengthMax: number): string {
  if (/^[a-z_][a-z0-9_]*$/u.test(name) && name.length <= lengthMax && !name.startsWith("pg_")) return name;
  throw invalid(
    `${JSON.stringify(name.slice(0, 80))} cannot be a ${what}: use lower-case letters, digits and _, ${lengthMax} at most`,
  );
}

function readTls(parameters: URLSearchParams): SqlLocation["tls"] {
  const mode = parameters.get("sslmode") ?? "disable";
  if (mode === "disable") return null;
  if (mode !== "require" && mode !== "verify-ca" && mode !== "verify-full")
    throw invalid(`The URL's sslmode is ${JSON.stringify(mode)}; known are disable, require, verify-ca, verify-full`);
  const [ca, cert, key] = ["sslrootcert", "sslcert", "sslkey"].map((name) => {
    const path = parameters.get(name);
    return path === null ? undefined : readTlsFile(name, path);
  });
  return {
    mode,
    rejectUnauthorized: mode !== "require",
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function readTlsFile(parameter: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw invalid(`The file that ${parameter} names cannot be read: ${path}`, { cause });
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid("A part of the store's URL is not percent-encoded as it should be", { hint: URL_ENCODING_HINT });
  }
}

const invalid = (message: string, why: { readonly cause?: unknown; readonly hint?: string } = {}): MementoError =>
  new MementoError("INVALID_ARGUMENT", message, why);
