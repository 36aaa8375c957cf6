import { sha256 } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import type { RowMove } from "../memory-table.ts";
import type { SinkReverted } from "../sink.ts";
import type { Columns } from "./format/columns.ts";
import type { DatasetFormat } from "./options.ts";

/** The version of the form that manifests and snapshots are written in. */
const FORMAT = 1;

/** A data file as a version lists it. Its name in the list says what it is; the path, where its content lies. */
export interface FileEntry {
  /** Below the dataset's folder. */
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  /** SHA-256 of the content. */
  readonly digest: string;
  /** Which of the dataset's lists of columns it was written with; -1 for none. */
  readonly schema: number;
  /** The version in which it came. */
  readonly version: number;
  /** How often what it holds was merged: 0 for a file of one write. */
  readonly level: number;
  /** The names of the files that were merged into it. */
  readonly of?: readonly string[];
}

/** A name and what it stands for. */
export type Listed = readonly [name: string, entry: FileEntry];

/** What one version did. `stream` is the timeline and the sink's name. */
export type DatasetChange =
  | { readonly kind: "fence"; readonly stream: string; readonly epoch: number }
  | {
      readonly kind: "write";
      readonly stream: string;
      readonly epoch: number;
      readonly token: string;
      readonly records: number;
      readonly files: readonly Listed[];
      /** The columns of the files, where the dataset has not met them before. */
      readonly columns: Columns | null;
    }
  | {
      readonly kind: "revert";
      readonly stream: string;
      readonly epoch: number;
      readonly token: string;
      readonly back: number;
      readonly complete: boolean;
      readonly moves: readonly RowMove<FileEntry>[];
      /** What is answered, but for the mark and the records, which follow. */
      readonly result: Pick<SinkReverted, "removed" | "restored" | "kept">;
    }
  | { readonly kind: "merge"; readonly stream: string; readonly out: readonly string[]; readonly file: Listed }
  | { readonly kind: "trim"; readonly stream: string; readonly oldest: number }
  /** Files that go away right after this version. */
  | { readonly kind: "collect"; readonly paths: readonly string[] };

/** One version's record. */
export interface Manifest {
  readonly version: number;
  /** The digest of the manifest before; empty for the first. */
  readonly previous: string;
  /** When it was made, in milliseconds since 1970, by the writer's clock. */
  readonly at: number;
  /** The dataset's own name, which no other has, and its format: in the first manifest. */
  readonly dataset?: { readonly place: string; readonly format: DatasetFormat };
  readonly change: DatasetChange;
}

const BEFORE = '{"sha256":"';
const BETWEEN = `","format":${FORMAT},\n"content":`;
const AFTER = "}\n";
const DIGEST_LENGTH = 43;

/** Content as the text of a JSON file that names its own digest. */
export function sealedJson(content: unknown): { readonly bytes: Uint8Array; readonly digest: string } {
  const text = JSON.stringify(content);
  const digest = sha256(text);
  return { bytes: Buffer.from(BEFORE + digest + BETWEEN + text + AFTER), digest };
}

/** The content of such a file. DAMAGED where its digest is another one, FORMAT_UNKNOWN where a later release wrote it. */
export function openSealedJson(
  bytes: Uint8Array,
  path: string,
): { readonly content: unknown; readonly digest: string } {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  const format = /^\{"sha256":"[^"]*","format":([0-9]+),\n/.exec(text)?.[1];
  if (format !== undefined && Number(format) !== FORMAT) {
    throw new MementoError("FORMAT_UNKNOWN", `${path} is of format ${format}, and this release knows format ${FORMAT}`);
  }
  const start = BEFORE.length + DIGEST_LENGTH + BETWEEN.length;
  const digest = text.slice(BEFORE.length, BEFORE.length + DIGEST_LENGTH);
  const content = text.slice(start, -AFTER.length);
  const sound = text === BEFORE + digest + BETWEEN + content + AFTER && sha256(content) === digest;
  if (!sound)
    throw new MementoError("DAMAGED", `${path} is not what was written: its digest does not fit`, {
      details: { path },
    });
  return { content: JSON.parse(content) as unknown, digest };
}
