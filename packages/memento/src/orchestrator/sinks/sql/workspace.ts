import type { SinkDialect } from "./dialect.ts";
import type { SinkSession } from "./session.ts";
import type { Shape } from "./shapes.ts";
import type { Target, TargetColumn } from "./target.ts";

/** What the statements of one transaction work with. */
export interface Workspace {
  readonly session: SinkSession;
  readonly dialect: SinkDialect;
  readonly target: Target;
  /** The columns that rows are given in. */
  readonly written: readonly TargetColumn[];
  /** The shape that rows of the target have now. */
  readonly shape: Shape;
  /** Every shape that rows of the target were written with, by its id. */
  readonly shapes: ReadonlyMap<number, Shape>;
  /** Throws the signal's reason when the work was stopped. */
  readonly pace: () => void;
}

/** `a.x = b.y AND ...`. */
export function matching(
  left: string,
  leftColumns: readonly string[],
  right: string,
  rightColumns: readonly string[],
): string {
  return leftColumns.map((column, index) => `${left}.${column} = ${right}.${rightColumns[index] ?? ""}`).join(" AND ");
}

/** The key's columns as the target has them, quoted. */
export function keySql({ dialect, target }: Workspace): readonly string[] {
  return target.key.map((name) => dialect.quote(name));
}

/** `k0, k1`: the key's columns in temporary tables. */
export function netKeys({ target }: Workspace): readonly string[] {
  return target.key.map((_, index) => `k${index}`);
}

/** `t.a, t.b`. */
export function prefixed(alias: string, columns: readonly string[]): string {
  return columns.map((column) => `${alias}.${column}`).join(", ");
}
