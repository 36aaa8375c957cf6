import type { DuckDBValue } from "@duckdb/node-api";

import { sha256 } from "../../../core/digest.ts";
import type { ForeignChange } from "../sink.ts";
import type { Workspace } from "./connection.ts";
import { numbered } from "./names.ts";
import { NET } from "./net.ts";

/** The most foreign changes that are named one by one. */
const FOREIGN_NAMED_MAX = 100;

/** What others did to the rows of a net. */
export interface ForeignChanges {
  /** The first 100, in the order of their keys. */
  readonly named: readonly ForeignChange[];
  readonly total: number;
  /** Over all of them: what was done to which row, and the hash of what stands there now. */
  readonly digest: string;
}

/** Reads the foreign changes of the net that was found last. */
export async function readForeign({ session, target }: Workspace): Promise<ForeignChanges> {
  const keys = numbered("k", target.key.length);
  const said = keys.map((key) => `${key}::VARCHAR`).join(", ");
  // The sum and the exclusive or of the rows' own digests: the same in whatever order they are read.
  const row = md5Of(`to_json([${said}, alien, actual::VARCHAR])::VARCHAR`);
  const facts = await session.get(
    `SELECT count(*) AS total, coalesce(sum(${row}), 0)::VARCHAR AS sum, coalesce(bit_xor(${row}), 0)::VARCHAR AS mixed
     FROM ${NET} WHERE alien IS NOT NULL`,
  );
  const rows = await session.all(
    `SELECT ${keys.join(", ")}, alien FROM ${NET} WHERE alien IS NOT NULL ORDER BY ${keys.join(", ")} LIMIT ${FOREIGN_NAMED_MAX}`,
  );
  const named = rows.map((one) => ({
    item: `${target.table}[${target.key.map(({ name }, index) => `${name}=${nameValue(one[`k${index}`] ?? null)}`).join(", ")}]`,
    change: one["alien"] as ForeignChange["change"],
  }));
  return {
    named,
    total: Number(facts?.["total"] ?? 0),
    digest: sha256(`${String(facts?.["sum"])} ${String(facts?.["mixed"])}`),
  };
}

function md5Of(text: string): string {
  return `md5_number_lower(${text})`;
}

function nameValue(value: DuckDBValue): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
