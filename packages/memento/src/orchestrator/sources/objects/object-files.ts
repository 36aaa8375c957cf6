import type { S3Client } from "@aws-sdk/client-s3";
import type { ContainerClient } from "@azure/storage-blob";
import type { Bucket } from "@google-cloud/storage";

import { sha256 } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import { type Clock, systemClock } from "../../../core/ports.ts";
import { throwIfCancelled, unlessCancelled } from "../cancellation.ts";
import { formatOf } from "../file/file-source.ts";
import { FilesSource, type FilesPlace, type GoneFiles, type ListedFile } from "../files/files-source.ts";
import { checkGone } from "../files/folder-files.ts";
import { globFilter } from "../files/glob.ts";
import { recordsFile } from "../records-file.ts";
import type { Source } from "../source.ts";
import { azurePlace } from "./azure-bucket.ts";
import type { BucketPlace, ListedObject, ObjectBucket } from "./bucket.ts";
import { gcsPlace } from "./gcs-bucket.ts";
import { identityOf, ObjectFile } from "./object-file.ts";
import { s3Place } from "./s3-bucket.ts";

/** How to read the objects under a prefix. */
export interface ObjectFilesOptions<Row> {
  /** `s3://BUCKET/PREFIX`, `azure://ACCOUNT/CONTAINER/PREFIX` or `gs://BUCKET/PREFIX`, with a store's parameters; credentials come from where a store's come from. */
  readonly url: string;
  /** The client to use in place of one's own: an `S3Client`, a `ContainerClient` or a `Bucket`, as the URL is. It stays open. */
  readonly client?: S3Client | ContainerClient | Bucket;
  /** Which objects, by their key behind the prefix; as for `folderFiles`. */
  readonly files?: string;
  /** How an object is read: what `csvFile`, `jsonFile`, `jsonlFile` or `parquetFile` gives for its name. By its ending by default. */
  readonly read?: (name: string) => Source<Row>;
  /** As for `folderFiles`; objects that were read to their end may always go. */
  readonly gone?: GoneFiles;
  /** `1` by default. */
  readonly schemaVersion?: string;
}

/**
 * A source of the records of all objects under a prefix on S3, Azure Blob Storage or Google Cloud Storage, by their names. Each object
 * is a partition, and new ones are read by the next run, wherever they stand in the order. An object is read in pieces of up to 4 MiB, each
 * asked for with the ETag or generation that was listed: one that is written anew while it is read, or afterwards, is SOURCE_MOVED,
 * even with the same bytes. One that was read to its end costs no request but the listing. Names that begin with a dot are left out.
 */
export function objectFiles<Row = Record<string, unknown>>(options: ObjectFilesOptions<Row>): Source<Row> {
  const { files = "**/*", read = recordsFile<Row>, gone = "refuse" } = options;
  checkGone(gone);
  return new FilesSource<Row>({
    place: new ObjectsPlace(placeOf(options), files),
    schemaVersion: options.schemaVersion ?? "1",
    formatOf: (name) => formatOf(read(name)),
    gone,
  });
}

function placeOf<Row>({ url, client }: ObjectFilesOptions<Row>): BucketPlace {
  if (url.startsWith("s3:")) return s3Place(url, client as S3Client | undefined);
  if (url.startsWith("azure:")) return azurePlace(url, client as ContainerClient | undefined);
  if (url.startsWith("gs:")) return gcsPlace(url, client as Bucket | undefined);
  throw new MementoError("INVALID_ARGUMENT", "The URL of objects begins with s3://, azure:// or gs://");
}

class ObjectsPlace implements FilesPlace {
  readonly kind = "object-files";
  readonly #place: BucketPlace;
  readonly #pattern: string;
  readonly #fits: (name: string) => boolean;
  #clock: Clock = systemClock;
  #bucket: Promise<ObjectBucket> | null = null;
  #listed = new Map<string, ListedObject>();

  constructor(place: BucketPlace, pattern: string) {
    this.#place = place;
    this.#pattern = pattern;
    this.#fits = globFilter(pattern);
  }

  describe(): string {
    return `objects ${this.#pattern} of ${this.#place.shown}`;
  }

  pathOf(name: string): string {
    return `${name} of ${this.#place.shown}`;
  }

  async open({ clock }: { readonly clock: Clock }): Promise<void> {
    this.#clock = clock;
    await (await this.#opened()).page(this.#place.prefix, undefined);
  }

  async list(signal: AbortSignal): Promise<readonly ListedFile[]> {
    const { prefix } = this.#place;
    const bucket = await this.#opened();
    const listed = new Map<string, ListedObject>();
    let token: string | undefined;
    do {
      throwIfCancelled(signal, this.describe());
      const page = await unlessCancelled(bucket.page(prefix, token), signal, this.describe());
      for (const object of page.objects) {
        const name = object.key.slice(prefix.length);
        const isHidden = /(?:^|\/)\.|\/$|^$/u.test(name);
        if (!isHidden && this.#fits(name)) listed.set(name, object);
      }
      token = page.next;
    } while (token !== undefined);
    this.#listed = listed;
    return [...listed].map(([name, object]) => ({
      name,
      bytes: object.bytes,
      fingerprint: sha256(identityOf(object)),
    }));
  }

  async openFile({ name }: ListedFile, signal: AbortSignal): Promise<ObjectFile> {
    const object = this.#listed.get(name);
    if (object === undefined) throw new MementoError("INPUT_MISSING", `There is no object ${this.pathOf(name)}`);
    return new ObjectFile(await this.#opened(), object, { path: this.pathOf(name), signal });
  }

  async close(): Promise<void> {
    const bucket = this.#bucket;
    this.#bucket = null;
    // One that could not be opened has nothing to close, and was told of when it was opened.
    const opened = await bucket?.catch(() => null);
    await opened?.close();
  }

  async #opened(): Promise<ObjectBucket> {
    const bucket = (this.#bucket ??= this.#place.open(this.#clock));
    try {
      return await bucket;
    } catch (error) {
      if (this.#bucket === bucket) this.#bucket = null;
      throw error;
    }
  }
}
