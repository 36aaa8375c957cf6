import { MementoError, type ErrorCode } from "../../../core/errors.ts";

/** DuckDB's client throws plain errors whose text begins with their kind, but for those of an appender. */
const KIND = /^(?:([A-Z][\w ]*?) Error|Failed to \w+): /;

/** Kinds that speak of the data itself. */
const REFUSED_DATA: ReadonlySet<string> = new Set(["Constraint", "Conversion", "Out of Range"]);

/** After these an instance answers nothing any more. */
const FATAL_KINDS: ReadonlySet<string> = new Set(["FATAL", "INTERNAL"]);

/** What the texts of errors mean, the first that fits. */
const MEANINGS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/Could not set lock|being used by another process|Conflicting lock/, "LOCKED"],
  [/[Tt]ransaction conflict|[Cc]onflict on (?:update|tuple deletion)|write-write conflict/, "LOCKED"],
  [
    /No space left on device|[Dd]isk (?:is )?full|Could not write all|temp_directory.*max_temp_directory_size/s,
    "DISK_FULL",
  ],
  [/version number \d+/, "FORMAT_UNKNOWN"],
  [/[Cc]orrupt|not a valid DuckDB database|checksum|WAL file .* wrong|replaying WAL/, "DAMAGED"],
];

const SENTENCES: Partial<Record<ErrorCode, string>> = {
  LOCKED: "is open in another process, or was changed by another connection meanwhile",
  DISK_FULL: "could not grow: its disk is full",
  DAMAGED: "is damaged, or is not a DuckDB database",
  FORMAT_UNKNOWN: "was written by a newer DuckDB",
};

function kindOf(error: unknown): string | null {
  if (!(error instanceof Error) || error instanceof MementoError) return null;
  const found = KIND.exec(error.message);
  if (found === null) return null;
  return found[1] ?? (/constraint/i.test(error.message) ? "Constraint" : "Appender");
}

/** True where the file's lock, or a row, is held by somebody else. */
export function isLocked(error: unknown): boolean {
  return kindOf(error) !== null && meaningOf(error as Error) === "LOCKED";
}

/** True where the file cannot be read as what it should be. */
export function isDamaged(error: unknown): error is Error {
  return kindOf(error) !== null && meaningOf(error as Error) === "DAMAGED";
}

/** True where the data itself was refused: a constraint, a value that a column cannot hold. */
export function isRefusedData(error: unknown): boolean {
  return REFUSED_DATA.has(kindOf(error) ?? "");
}

/** True where a query was stopped by `interrupt`. */
export function isInterrupt(error: unknown): boolean {
  return kindOf(error) === "INTERRUPT";
}

/** True where the instance cannot be used any more. */
export function isFatal(error: unknown): boolean {
  return FATAL_KINDS.has(kindOf(error) ?? "");
}

/** What DuckDB said of refused data: names of tables, columns and constraints, never values. */
export function refusalOf(error: unknown): string {
  const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
  const said = line.replace(KIND, "");
  if (/foreign key/i.test(said)) return "it violates a foreign key constraint";
  const hidden = said.replace(/duplicate key ".*"/is, "a key that is there already");
  return kindOf(error) === "Constraint" ? hidden : "a value cannot be held by its column";
}

function meaningOf(error: Error): ErrorCode | null {
  return MEANINGS.find(([pattern]) => pattern.test(error.message))?.[1] ?? null;
}

/**
 * What an error of DuckDB means here: LOCKED, DISK_FULL, DAMAGED, FORMAT_UNKNOWN or IO_FAILED, naming the file. Refused data
 * becomes `refused`, and its values are not repeated. Anything that is not DuckDB's is returned as it is.
 */
export function duckdbFailure(error: unknown, path: string, refused: ErrorCode): unknown {
  const kind = kindOf(error);
  if (kind === null || !(error instanceof Error)) return error;
  const details = { path };
  if (isRefusedData(error)) return new MementoError(refused, `${path}: ${refusalOf(error)}`, { details });
  const code = meaningOf(error) ?? "IO_FAILED";
  return new MementoError(code, `${path} ${SENTENCES[code] ?? "was refused"}: ${error.message}`, {
    cause: error,
    details,
  });
}
