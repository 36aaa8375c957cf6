import type * as Sdk from "@aws-sdk/client-s3";
import type { S3Client } from "@aws-sdk/client-s3";

import { systemClock, systemRandom, type Clock, type Random } from "../../core/ports.ts";
import { OBJECT_TUNING, type BlobPlace, type BlobTuning } from "../blobs/blob-port.ts";
import { BlobStore, type BlobStoreOptions } from "../blobs/store.ts";
import { loadPeer } from "../optional-peer.ts";
import type { EngineFacts } from "../store.ts";
import { checkS3Address, readS3Url, s3UrlOf, type S3Address } from "./address.ts";
import { S3Blobs } from "./blobs.ts";

/** How to open a store in a bucket. */
export interface S3StoreOptions {
  readonly bucket: string;
  /** What stands before every key; empty by default: the whole bucket is the store's. */
  readonly prefix?: string;
  /** Another server than Amazon's, `http://...` or `https://...`. */
  readonly endpoint?: string;
  readonly region?: string;
  /** True: the bucket stands in the path. True by default where an endpoint is given. */
  readonly pathStyle?: boolean;
  /** A client to use; it is not destroyed, and endpoint, region and pathStyle only stand in the store's URL then. */
  readonly client?: S3Client;
  /** How long a request may take with all of its repeats, in milliseconds; a second more for each MB that it sends, and as long for each piece of an answer. 30,000 by default. */
  readonly requestMsMax?: number;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Numbers that differ from `OBJECT_TUNING`. */
  readonly tuning?: Partial<BlobTuning>;
}

/** Well below the 5 GB that S3 takes in parts of 8 MB: one body is held in memory. */
const BODY_BYTES_MAX = 2 ** 30;
const REQUEST_MS_MAX = 30_000;
const CONNECT_MS_MAX = 5_000;
const SILENCE_MS_MAX = 30_000;
const SOCKETS_MAX = 64;

/**
 * A store in a bucket of S3, or of a server that speaks it and keeps `If-None-Match: *`; that is proved before the first
 * write, and ENGINE_UNSUITABLE says so of a server that does not. Credentials come by the SDK's own chain (environment,
 * profile, role) or with a client. A small save is one PUT, a large one two.
 *
 * A connection is given up after 5 s, a request after 30 s and a second more for each MB that it sends, an answer after
 * 30 s in which nothing of it came, and one that is cut is asked for again; PLACE_MISSING, ACCESS_DENIED and
 * STORE_UNREACHABLE are told at the first call, because opening sends nothing. A bucket that keeps versions keeps wrapped
 * keys that a secure delete has written over: give it a rule that expires noncurrent versions.
 */
export class S3Store extends BlobStore {
  readonly #blobs: S3Blobs;

  private constructor(place: BlobPlace & { readonly blobs: S3Blobs }, options: BlobStoreOptions) {
    super(place, options);
    this.#blobs = place.blobs;
  }

  /** Opens a place in a bucket, and sends nothing before the first call. PEER_MISSING without the package of the client. */
  static async open(options: S3StoreOptions): Promise<S3Store> {
    const { clock = systemClock, random = systemRandom, requestMsMax = REQUEST_MS_MAX, client } = options;
    const address = addressOf(options);
    const sdk = await loadPeer<typeof Sdk>("@aws-sdk/client-s3", "^3.700.0", "A store on S3");
    const own = client ?? newClient(sdk, address);
    const place: BlobPlace & { readonly blobs: S3Blobs } = {
      blobs: new S3Blobs({ sdk, client: own, address, requestMsMax, clock, random }),
      root: address.prefix,
      url: s3UrlOf(address),
      supports: { durable: true, sharedBy: "network", bodyBytesMax: BODY_BYTES_MAX, reclaimsSpace: true },
      tuning: { ...OBJECT_TUNING, ...options.tuning },
      createCondition: "If-None-Match: * of PutObject",
      close: async () => {
        if (client === undefined) own.destroy();
      },
    };
    return new S3Store(place, { clock, random });
  }

  /** Opens the place that `s3://BUCKET/PREFIX?endpoint=URL&region=NAME&pathStyle=true` names. INVALID_ARGUMENT for another form. */
  static async openUrl(url: string): Promise<S3Store> {
    const { endpoint, region, ...address } = readS3Url(url);
    return await S3Store.open({
      ...address,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
    });
  }

  /** One request. Servers of S3 tell their names and no versions, and nobody tells what a prefix takes up without listing it. */
  async engine(): Promise<EngineFacts> {
    return { name: "S3", version: (await this.#blobs.serverName()) ?? "unnamed", bytes: null, freeBytes: null };
  }
}

function addressOf({ bucket, prefix = "", endpoint, region, pathStyle }: S3StoreOptions): S3Address {
  return checkS3Address({ bucket, prefix, endpoint, region, pathStyle: pathStyle ?? endpoint !== undefined });
}

/** A client with bounded waits for the bucket of an address. */
export function newClient(sdk: typeof Sdk, { endpoint, region, pathStyle }: S3Address): S3Client {
  return new sdk.S3Client({
    ...(endpoint === undefined ? {} : { endpoint }),
    // Other servers take any region; Amazon's comes from the environment or the profile.
    ...(region === undefined ? (endpoint === undefined ? {} : { region: "us-east-1" }) : { region }),
    forcePathStyle: pathStyle,
    maxAttempts: 4,
    // Some servers never answer `Expect: 100-continue`.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: CONNECT_MS_MAX,
      socketTimeout: SILENCE_MS_MAX,
      httpAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
      httpsAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
    },
  });
}
