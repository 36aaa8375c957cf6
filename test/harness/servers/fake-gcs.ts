import path from "node:path";

import { Storage } from "@google-cloud/storage";

import { answers } from "./s3-server.ts";
import { enginesFolder, programIsThere, type Server, startServer } from "./server.ts";

const program = path.join(enginesFolder, "fake-gcs-server-v1.56.1");

/** A private server that speaks the JSON API of Google Cloud Storage. It asks for no credentials. */
export interface GcsServer extends Server {
  readonly endpoint: string;
  readonly projectId: string;
  /** Makes an empty bucket; returns its name. */
  bucket(): Promise<string>;
  /** `gs://bucket/prefix?endpoint=...`; through another port where one is given (a proxy's). */
  url(bucket: string, prefix?: string, port?: number): string;
}

/** For `requireEngine("fake-gcs-server", fakeGcsIsThere)`. */
export const fakeGcsIsThere = (): true | string => programIsThere(program);

/** Starts a private fake-gcs-server on a folder: what it acknowledged outlives kill -9. It honours conditions on uploads only. */
export async function startFakeGcs(): Promise<GcsServer> {
  const server = await startServer({
    name: "fake-gcs",
    command: ({ port, folder }) => [
      program,
      "-scheme=http",
      "-host=127.0.0.1",
      `-port=${port}`,
      `-external-url=http://127.0.0.1:${port}`,
      `-public-host=127.0.0.1:${port}`,
      "-log-level=warn",
      "-backend=filesystem",
      `-filesystem-root=${folder}/data`,
    ],
    isReady: async (place) => await answers(place, "/_internal/healthcheck"),
  });
  const endpoint = `http://127.0.0.1:${server.port}`;
  const projectId = "memento-test";
  let buckets = 0;
  return Object.assign(server, {
    endpoint,
    projectId,
    bucket: async () => {
      const name = `memento-${(buckets += 1)}`;
      await new Storage({ apiEndpoint: endpoint, projectId, useAuthWithCustomEndpoint: false }).createBucket(name);
      return name;
    },
    url: (bucket: string, prefix = "", port = server.port) =>
      `gs://${bucket}/${prefix}?endpoint=${encodeURIComponent(`http://127.0.0.1:${port}`)}`,
  });
}
