import type { Bucket } from "@google-cloud/storage";

import type { Clock } from "../../../core/ports.ts";
import { readAll } from "../../../store/blobs/object-bytes.ts";
import { parseObjectUrl, shownUrl } from "../../../store/blobs/object-url.ts";
import { answerOf } from "../../../store/gcs/blobs.ts";
import { gcsFailure } from "../../../store/gcs/errors.ts";
import { bucketOf } from "../../../store/gcs/store.ts";
import { type BucketPlace, changedObject, type ObjectBucket, readingRequests } from "./bucket.ts";

const SILENCE_MS_MAX = 30_000;

interface Listing {
  readonly items?: readonly { readonly name: string; readonly size: string; readonly generation: string }[];
  readonly nextPageToken?: string;
}

/** The place that a `gs:` URL names; credentials are the machine's own, unless a bucket is handed in. */
export function gcsPlace(url: string, given?: Bucket): BucketPlace {
  const { host, segments, parameters } = parseObjectUrl(url, "gs", ["endpoint"]);
  const endpoint = parameters.get("endpoint");
  const shown = shownUrl("gs", [host, ...segments], { endpoint });
  const open = async (clock: Clock): Promise<ObjectBucket> => {
    const bucket = given ?? (await bucketOf({ bucket: host, endpoint }, SILENCE_MS_MAX));
    const requests = readingRequests(clock, (error, doing) => gcsFailure(error, doing, "blob"));
    return {
      page: async (prefix, token) =>
        await requests.send(`list the objects of ${shown}`, async () => {
          try {
            const more = token === undefined ? {} : { pageToken: token };
            const fields = "nextPageToken,items/name,items/size,items/generation";
            const [, , answer] = await bucket.getFiles({ prefix, autoPaginate: false, fields, ...more });
            const { items = [], nextPageToken } = answer as Listing;
            const objects = items.map(({ name, size, generation }) => ({
              key: name,
              bytes: Number(size),
              tag: generation,
            }));
            return { objects, next: nextPageToken === "" ? undefined : nextPageToken };
          } catch (error) {
            throw gcsFailure(error, `list the objects of ${shown}`, "bucket");
          }
        }),
      range: async (object, start, end) =>
        await requests.send(`read the object ${object.key} of ${shown}`, async ({ signal, alive }) => {
          const file = bucket.file(object.key, { generation: object.tag });
          const answer = await answerOf(file, { Range: `bytes=${start}-${end - 1}` });
          signal.addEventListener("abort", () => void answer.destroy(signal.reason as Error), { once: true });
          const isRange = answer.statusCode === 206 || answer.statusCode === 200;
          const body = await readAll(answer, isRange ? end - start : null, alive);
          const generation = answer.headers["x-goog-generation"] ?? object.tag;
          if (isRange && generation === object.tag) return body;
          if (isRange || [404, 412, 416].includes(answer.statusCode)) throw changedObject(object);
          throw Object.assign(new Error(Buffer.from(body).toString("utf8")), { code: answer.statusCode });
        }),
      close: async () => await Promise.resolve(),
    };
  };
  return { prefix: segments.length === 0 ? "" : `${segments.join("/")}/`, shown, open };
}
