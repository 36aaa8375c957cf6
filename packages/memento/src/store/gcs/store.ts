import type * as GoogleStorage from "@google-cloud/storage";
import type { Bucket, Storage } from "@google-cloud/storage";

import { MementoError } from "../../core/errors.ts";
import { systemClock, systemRandom, type Clock, type Random } from "../../core/ports.ts";
import { OBJECT_TUNING, type BlobPlace, type BlobTuning } from "../blobs/blob-port.ts";
import { endpointOf, parseObjectUrl, segmentsOf, shownUrl } from "../blobs/object-url.ts";
import { Requests, type RequestBounds } from "../blobs/requests.ts";
import { BlobStore } from "../blobs/store.ts";
import { loadPeer } from "../optional-peer.ts";
import { GcsBlobs } from "./blobs.ts";
import { gcsFailure } from "./errors.ts";

/** How to open a store in a bucket of Google Cloud Storage. */
export interface GcsStoreOptions {
  /** The bucket's name; or its client, which stays the caller's and repeats on top as it is set. */
  readonly bucket: string | Bucket;
  /** What stands before every blob's name; empty for the whole bucket. */
  readonly prefix?: string;
  /** A client to find the bucket with; without one, one is made with the machine's own credentials. */
  readonly storage?: Storage;
  /** Another address than Google's. Credentials are sent to it over https only. */
  readonly endpoint?: string | undefined;
  /** How long and how often the service is asked. */
  readonly requests?: RequestBounds;
  /** Numbers that differ from `OBJECT_TUNING`. */
  readonly tuning?: Partial<BlobTuning>;
  readonly clock?: Clock;
  readonly random?: Random;
}

const BODY_BYTES_MAX = 2 ** 30;
const GOOGLE = "https://storage.googleapis.com";

/**
 * A store in a bucket of Google Cloud Storage, which must be there. It rests on `ifGenerationMatch=0` of uploads alone,
 * proved before the first write. A request is given up after 30 s of silence and repeated three times (`RequestBounds`).
 * Where the bucket keeps versions or deleted objects, what was dropped stays until they go.
 */
export class GcsStore extends BlobStore {
  private constructor(place: BlobPlace, { clock = systemClock, random = systemRandom }: GcsStoreOptions) {
    super(place, { clock, random });
  }

  /** Opens a bucket, and sends nothing before the first call. PEER_MISSING without @google-cloud/storage. */
  static async open(options: GcsStoreOptions): Promise<GcsStore> {
    const { clock = systemClock, random = systemRandom, requests: bounds } = options;
    const failureOf = (error: unknown, doing: string): MementoError => gcsFailure(error, doing, "blob");
    const requests = new Requests({ clock, random, bounds, failureOf });
    const bucket = await bucketOf(options, requests.patienceMs(0));
    const prefix = segmentsOf(options.prefix ?? "");
    const endpoint = bucket.storage.apiEndpoint;
    const place: BlobPlace = {
      blobs: new GcsBlobs({ bucket, requests }),
      root: prefix.join("/"),
      url: shownUrl("gs", [bucket.name, ...prefix], { endpoint: endpoint === GOOGLE ? undefined : endpoint }),
      supports: { durable: true, sharedBy: "network", bodyBytesMax: BODY_BYTES_MAX, reclaimsSpace: true },
      tuning: { ...OBJECT_TUNING, ...options.tuning },
      createCondition: "ifGenerationMatch=0 of an upload",
      close: async () => {},
    };
    return new GcsStore(place, options);
  }

  /**
   * Opens `gs://BUCKET/PREFIX?endpoint=ADDRESS`. Credentials are the machine's own (application default credentials: the
   * file that GOOGLE_APPLICATION_CREDENTIALS names, `gcloud auth application-default login`, the service account).
   */
  static async openUrl(url: string): Promise<GcsStore> {
    const { host: bucket, segments, parameters } = parseObjectUrl(url, "gs", ["endpoint"]);
    return await GcsStore.open({ bucket, prefix: segments.join("/"), endpoint: parameters.get("endpoint") });
  }
}

/** The bucket of the options, with a client that repeats nothing by itself. */
export async function bucketOf(
  options: Pick<GcsStoreOptions, "bucket" | "storage" | "endpoint">,
  timeout: number,
): Promise<Bucket> {
  const { bucket, storage, endpoint } = options;
  if (typeof bucket !== "string") return bucket;
  if (!/^[\w.-]{1,222}$/.test(bucket)) {
    throw new MementoError("INVALID_ARGUMENT", "A bucket's name has letters, digits, dots, dashes and underscores");
  }
  if (storage !== undefined) return storage.bucket(bucket);
  const peer = await loadPeer<typeof GoogleStorage>(
    "@google-cloud/storage",
    "^7.14.0",
    "A store on Google Cloud Storage",
  );
  const apiEndpoint = endpoint === undefined ? undefined : endpointOf(endpoint);
  const client = new peer.Storage({
    timeout,
    // Requests are repeated here, where each is bounded.
    retryOptions: { autoRetry: false, maxRetries: 0 },
    ...(apiEndpoint === undefined ? {} : { apiEndpoint, useAuthWithCustomEndpoint: apiEndpoint.startsWith("https:") }),
  });
  return client.bucket(bucket);
}
