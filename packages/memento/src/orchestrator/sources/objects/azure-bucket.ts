import process from "node:process";

import type * as StorageBlob from "@azure/storage-blob";
import type { ContainerClient } from "@azure/storage-blob";

import { MementoError } from "../../../core/errors.ts";
import type { Clock } from "../../../core/ports.ts";
import { accountOf, credentialsOf, secretsOf } from "../../../store/azure/credentials.ts";
import { azureFailure } from "../../../store/azure/errors.ts";
import { clientOf, defaultEndpoint } from "../../../store/azure/store.ts";
import { readAll } from "../../../store/blobs/object-bytes.ts";
import { endpointOf, parseObjectUrl, shownUrl } from "../../../store/blobs/object-url.ts";
import { loadPeer } from "../../../store/optional-peer.ts";
import { type BucketPlace, changedObject, type ObjectBucket, readingRequests } from "./bucket.ts";

/** The place that an `azure:` URL names; credentials are found as for a store there, unless a client is handed in. */
export function azurePlace(url: string, client?: ContainerClient): BucketPlace {
  const { host: account, segments, parameters } = parseObjectUrl(url, "azure", ["endpoint"]);
  const [container, ...prefix] = segments;
  if (container === undefined)
    throw new MementoError(
      "INVALID_ARGUMENT",
      "An azure: URL is azure://ACCOUNT/CONTAINER or azure://ACCOUNT/CONTAINER/PREFIX",
    );
  const given = parameters.get("endpoint");
  const shown = shownUrl("azure", [account, container, ...prefix], { endpoint: given });
  const open = async (clock: Clock): Promise<ObjectBucket> => {
    const { access, endpoint } = accountOf(account, client === undefined ? credentialsOf(process.env) : {});
    const secrets = client === undefined ? secretsOf(access) : [];
    const address = endpointOf(given ?? endpoint ?? defaultEndpoint(account));
    const purpose = "A source of objects in Azure Blob Storage";
    const own =
      client ??
      (await clientOf(await loadPeer<typeof StorageBlob>("@azure/storage-blob", "^12.26.0", purpose), {
        account,
        container,
        endpoint: address,
        access,
      }));
    return containerBucket(own, clock, { shown, secrets });
  };
  return { prefix: prefix.length === 0 ? "" : `${prefix.join("/")}/`, shown, open };
}

function containerBucket(
  container: ContainerClient,
  clock: Clock,
  { shown, secrets }: { readonly shown: string; readonly secrets: readonly string[] },
): ObjectBucket {
  const requests = readingRequests(clock, (error, doing) => azureFailure(error, doing, secrets));
  return {
    page: async (prefix, token) =>
      await requests.send(`list the objects of ${shown}`, async ({ signal }) => {
        const more = token === undefined ? {} : { continuationToken: token };
        const pages = container.listBlobsFlat({ prefix, abortSignal: signal }).byPage(more);
        const { value } = (await pages.next()) as { readonly value?: StorageBlob.ContainerListBlobFlatSegmentResponse };
        const blobs = value?.segment.blobItems ?? [];
        const objects = blobs.map(({ name, properties }) => ({
          key: name,
          bytes: properties.contentLength ?? 0,
          tag: properties.etag,
        }));
        const next = value?.continuationToken;
        return { objects, next: next === undefined || next === "" ? undefined : next };
      }),
    range: async (object, start, end) =>
      await requests.send(`read the object ${object.key} of ${shown}`, async ({ signal, alive }) => {
        try {
          const options = { abortSignal: signal, conditions: { ifMatch: quoted(object.tag) } };
          const answer = await container.getBlobClient(object.key).download(start, end - start, options);
          return await readAll(answer.readableStreamBody as AsyncIterable<Uint8Array>, end - start, alive);
        } catch (error) {
          const { status } = azureFailure(error, "read", secrets).details;
          if (status === 412 || status === 404 || status === 416) throw changedObject(object);
          throw error;
        }
      }),
    close: async () => await Promise.resolve(),
  };
}

/** Listings say the tag without the quotes that a condition has to have. */
const quoted = (tag: string): string => (tag.startsWith('"') ? tag : `"${tag}"`);
