import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";

import { MementoError } from "../../core/errors.ts";

/** What a `postgres://` URL says. */
export interface PostgresLocation {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly schema: string;
  readonly tls: boolean | ConnectionOptions;
  readonly connectionsMax: number | undefined;
}

const PARAMETERS = ["schema", "sslmode", "sslrootcert", "sslcert", "sslkey", "pool"];
const NAME = /^[a-z_][a-z0-9_]{0,50}$/u;

/**
 * Reads `postgres://user:password@host:port/database?schema=memento&sslmode=verify-full&sslrootcert=FILE&pool=10`. What
 * it leaves out is PostgreSQL's own default (PGUSER, PGPASSWORD). INVALID_ARGUMENT, which never repeats the URL.
 */
export function readPostgresUrl(url: string): PostgresLocation {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^postgres(?:ql)?:$/u.test(parsed.protocol))
    throw invalid("The store's URL is not of the form postgres://user:password@host:port/database");
  const parameters = parsed.searchParams;
  const unknown = [...parameters.keys()].find((key) => !PARAMETERS.includes(key));
  if (unknown !== undefined)
    throw invalid(`The URL has the parameter ${JSON.stringify(unknown)}; known are ${PARAMETERS.join(", ")}`);
  const database = decodeURIComponent(parsed.pathname.slice(1));
  if (database === "") throw invalid("The store's URL names no database");
  const pool = parameters.get("pool");
  if (pool !== null && !/^[1-9][0-9]{0,3}$/u.test(pool)) throw invalid("The URL's pool is not a number of connections");
  return {
    host: parsed.hostname === "" ? "localhost" : parsed.hostname.replace(/^\[(.*)\]$/u, "$1"),
    port: parsed.port === "" ? 5432 : Number(parsed.port),
    database,
    user: parsed.username === "" ? undefined : decodeURIComponent(parsed.username),
    password: parsed.password === "" ? undefined : decodeURIComponent(parsed.password),
    schema: checkSchema(parameters.get("schema") ?? "memento"),
    tls: readTls(parameters),
    connectionsMax: pool === null ? undefined : Number(pool),
  };
}

/** A schema's name, or INVALID_ARGUMENT: it stands in statements. */
export function checkSchema(schema: string): string {
  if (NAME.test(schema) && !schema.startsWith("pg_")) return schema;
  throw invalid(
    `${JSON.stringify(schema)} cannot be a schema's name: use lower-case letters, digits and _, 50 at most`,
  );
}

/** The URL for people: without user, password and everything but the schema. */
export function shownUrl({
  host,
  port,
  database,
  schema,
}: Pick<PostgresLocation, "host" | "port" | "database" | "schema">): string {
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return `postgres://${shownHost}:${port}/${encodeURIComponent(database)}?schema=${schema}`;
}

function readTls(parameters: URLSearchParams): boolean | ConnectionOptions {
  const mode = parameters.get("sslmode") ?? "disable";
  const file = (name: string): { [key: string]: Buffer } => {
    const path = parameters.get(name);
    if (path === null) return {};
    try {
      return { [{ sslrootcert: "ca", sslcert: "cert", sslkey: "key" }[name] ?? name]: readFileSync(path) };
    } catch (cause) {
      throw invalid(`The file of ${name} cannot be read`, cause);
    }
  };
  const files = { ...file("sslrootcert"), ...file("sslcert"), ...file("sslkey") };
  switch (mode) {
    case "disable":
      return false;
    case "require":
    case "no-verify":
      return { ...files, rejectUnauthorized: false };
    case "verify-ca":
      return { ...files, rejectUnauthorized: true, checkServerIdentity: () => undefined };
    case "verify-full":
      return { ...files, rejectUnauthorized: true };
    default:
      throw invalid(`The URL's sslmode is ${JSON.stringify(mode)}; known are disable, require, verify-ca, verify-full`);
  }
}

const invalid = (message: string, cause?: unknown): MementoError =>
  new MementoError("INVALID_ARGUMENT", message, cause === undefined ? {} : { cause });
