import process from "node:process";

import type * as Identity from "@azure/identity";
import type { TokenCredential } from "@azure/identity";
import type * as StorageBlob from "@azure/storage-blob";
import type { ContainerClient } from "@azure/storage-blob";

import { MementoError } from "../../core/errors.ts";
import { systemClock, systemRandom, type Clock, type Random } from "../../core/ports.ts";
import { OBJECT_TUNING, type BlobPlace, type BlobTuning } from "../blobs/blob-port.ts";
import { endpointOf, parseObjectUrl, segmentsOf, shownUrl } from "../blobs/object-url.ts";
import { Requests, type RequestBounds } from "../blobs/requests.ts";
import { BlobStore } from "../blobs/store.ts";
import { loadPeer } from "../optional-peer.ts";
import { AzureBlobs } from "./blobs.ts";
import { accountOf, credentialsOf, secretsOf, type AzureAccess, type AzureCredentials } from "./credentials.ts";
import { azureFailure } from "./errors.ts";

/** What every way of opening takes. */
interface AzureSettings {
  /** What stands before every blob's name; empty for the whole container. */
  readonly prefix?: string;
  /** How long and how often the service is asked. */
  readonly requests?: RequestBounds;
  /** Numbers that differ from `OBJECT_TUNING`. */
  readonly tuning?: Partial<BlobTuning>;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A container by name, with credentials of one's own; without any, those of the machine (`DefaultAzureCredential`). */
export interface AzureAddress extends AzureSettings, AzureCredentials {
  readonly account: string;
  readonly container: string;
  /** `https://ACCOUNT.blob.core.windows.net` by default. */
  readonly endpoint?: string | undefined;
}

/** A container's client that stays the caller's; its own retries come on top. */
export interface AzureHandedIn extends AzureSettings {
  readonly containerClient: ContainerClient;
}

export type AzureStoreOptions = AzureAddress | AzureHandedIn;

type Peer = typeof StorageBlob;

const BODY_BYTES_MAX = 2 ** 30;

/**
 * A store in a container of Azure Blob Storage, which must be there. It rests on `If-None-Match: *` alone, proved before
 * the first write. Bodies past 8 MiB are sent in blocks. A request is given up after 30 s of silence and repeated three
 * times (`RequestBounds`). Where the container keeps versions or deleted blobs, what was dropped stays until they go.
 */
export class AzureStore extends BlobStore {
  private constructor(place: BlobPlace, { clock = systemClock, random = systemRandom }: AzureSettings) {
    super(place, { clock, random });
  }

  /** Opens a container, and sends nothing before the first call. PEER_MISSING without @azure/storage-blob (or @azure/identity). */
  static async open(options: AzureStoreOptions): Promise<AzureStore> {
    if ("containerClient" in options) return new AzureStore(placeIn(options.containerClient, options, []), options);
    const { account, container } = options;
    const { access, endpoint: fromCredentials } = accountOf(account, options);
    const endpoint = endpointOf(options.endpoint ?? fromCredentials ?? defaultEndpoint(account));
    const peer = await loadPeer<Peer>("@azure/storage-blob", "^12.26.0", "A store on Azure Blob Storage");
    const containerClient = await clientOf(peer, { account, container, endpoint, access });
    return new AzureStore(placeIn(containerClient, options, secretsOf(access)), options);
  }

  /**
   * Opens `azure://ACCOUNT/CONTAINER/PREFIX?endpoint=ADDRESS`. Credentials are AZURE_STORAGE_CONNECTION_STRING,
   * AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN of the environment, else the machine's own (`DefaultAzureCredential`).
   */
  static async openUrl(url: string): Promise<AzureStore> {
    const { host: account, segments, parameters } = parseObjectUrl(url, "azure", ["endpoint"]);
    const [container, ...prefix] = segments;
    if (container === undefined) {
      throw new MementoError(
        "INVALID_ARGUMENT",
        "An azure: URL is azure://ACCOUNT/CONTAINER or azure://ACCOUNT/CONTAINER/PREFIX",
      );
    }
    const endpoint = parameters.get("endpoint");
    return await AzureStore.open({
      account,
      container,
      endpoint,
      prefix: prefix.join("/"),
      ...credentialsOf(process.env),
    });
  }
}

function placeIn(container: ContainerClient, settings: AzureSettings, secrets: readonly string[]): BlobPlace {
  const { clock = systemClock, random = systemRandom, requests: bounds } = settings;
  const prefix = prefixOf(settings.prefix ?? "");
  const requests = new Requests({
    clock,
    random,
    bounds,
    failureOf: (error, doing) => azureFailure(error, `${doing} of the container ${container.containerName}`, secrets),
  });
  // The client's own URL ends with the container, and with a signature where one was given.
  const service = new URL(container.url);
  const { containerName } = container;
  // A domain of one's own does not tell the account.
  const account = container.accountName === "" ? service.hostname : container.accountName;
  const endpoint = `${service.origin}${service.pathname.replace(/\/[^/]*\/?$/, "")}`;
  return {
    blobs: new AzureBlobs({ container, requests, random }),
    root: prefix.join("/"),
    url: shownUrl("azure", [account, containerName, ...prefix], {
      endpoint: endpoint === defaultEndpoint(account) ? undefined : endpoint,
    }),
    supports: { durable: true, sharedBy: "network", bodyBytesMax: BODY_BYTES_MAX, reclaimsSpace: true },
    tuning: { ...OBJECT_TUNING, ...settings.tuning },
    createCondition: "If-None-Match: *",
    close: async () => {},
  };
}

/** The names of a prefix. INVALID_ARGUMENT for those that would be others once they are written. */
function prefixOf(prefix: string): readonly string[] {
  if (prefix.includes("\\")) {
    throw new MementoError("INVALID_ARGUMENT", "A store's prefix on Azure has no \\, which the service takes for a /");
  }
  return segmentsOf(prefix);
}

/** Where an account is, unless it is said. */
export function defaultEndpoint(account: string): string {
  return `https://${account}.blob.core.windows.net`;
}

/** A container, and how it is entered. */
export interface ClientAddress {
  readonly account: string;
  readonly container: string;
  readonly endpoint: string;
  readonly access: AzureAccess;
}

/** A client that repeats nothing by itself. */
export async function clientOf(
  peer: Peer,
  { account, container, endpoint, access }: ClientAddress,
): Promise<ContainerClient> {
  const options = { retryOptions: { maxTries: 1 } };
  const address = `${endpoint}/${encodeURIComponent(container)}`;
  switch (access.kind) {
    case "key":
      return new peer.ContainerClient(
        address,
        new peer.StorageSharedKeyCredential(account, access.accountKey),
        options,
      );
    case "sas":
      return new peer.ContainerClient(`${address}?${access.sasToken}`, new peer.AnonymousCredential(), options);
    case "token": {
      const credential = access.credential ?? (await machineCredential());
      return new peer.ContainerClient(address, credential, options);
    }
  }
}

async function machineCredential(): Promise<TokenCredential> {
  const purpose = "A store on Azure Blob Storage without a key";
  const identity = await loadPeer<typeof Identity>("@azure/identity", "^4.0.0", purpose);
  return new identity.DefaultAzureCredential();
}
