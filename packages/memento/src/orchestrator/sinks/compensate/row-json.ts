import { MementoError } from "../../../core/errors.ts";

/** The JSON text of each row. UNSUPPORTED_VALUE, naming the path, for what JSON would lose or change; fields of `undefined` are left out. */
export function jsonOfRows(rows: readonly unknown[]): string[] {
  return rows.map((row, index) => {
    check(row, `rows[${index}]`, 0);
    return JSON.stringify(row);
  });
}

const DEPTH_MAX = 100;

function check(value: unknown, path: string, depth: number): void {
  if (depth > DEPTH_MAX) throw unsupported(path, `is nested more than ${DEPTH_MAX} deep`);
  switch (typeof value) {
    case "string":
    case "boolean":
      return;
    case "number":
      if (!Number.isFinite(value)) throw unsupported(path, `is ${value}`);
      return;
    case "object":
      break;
    default:
      throw unsupported(path, `is a ${typeof value}`);
  }
  if (value === null) return;
  if (Array.isArray(value)) {
    for (const [index, each] of value.entries()) check(each, `${path}[${index}]`, depth + 1);
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) throw unsupported(path, "is an instance of a class");
  for (const [name, each] of Object.entries(value)) {
    if (each !== undefined) check(each, `${path}.${name}`, depth + 1);
  }
}

function unsupported(path: string, what: string): MementoError {
  return new MementoError("UNSUPPORTED_VALUE", `${path} ${what}, which JSON cannot hold`, { details: { item: path } });
}
