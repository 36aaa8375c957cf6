import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";

import { type Server, type ServerPlace, type ServerRecipe, startServer } from "./server.ts";

/** A private server that speaks S3. */
export interface S3Server extends Server {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** The variables by which the SDK finds the credentials: for `process.env`, or for a worker's environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Makes an empty bucket; returns its name. */
  bucket(): Promise<string>;
  /** `s3://bucket/prefix?endpoint=...`, without credentials; through another port where one is given (a proxy's). */
  url(bucket: string, prefix?: string, port?: number): string;
}

/** The account of every private S3 server; the secret is one that a search finds where it should not be. */
export const s3Account = { accessKeyId: "AKtest", secretAccessKey: "SKtest1234" } as const;

const REGION = "us-east-1";

/** Starts a server that speaks S3 under the test account. */
export async function startS3Server(recipe: ServerRecipe): Promise<S3Server> {
  const server = await startServer(recipe);
  const endpointAt = (port: number): string => `http://127.0.0.1:${port}`;
  let buckets = 0;
  return Object.assign(server, {
    endpoint: endpointAt(server.port),
    region: REGION,
    credentials: s3Account,
    environment: {
      AWS_ACCESS_KEY_ID: s3Account.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3Account.secretAccessKey,
      AWS_REGION: REGION,
    },
    bucket: async () => {
      const client = clientOf(endpointAt(server.port));
      const name = `memento-${(buckets += 1)}`;
      try {
        await client.send(new CreateBucketCommand({ Bucket: name }));
        return name;
      } finally {
        client.destroy();
      }
    },
    url: (bucket: string, prefix = "", port = server.port) =>
      `s3://${bucket}/${prefix}?endpoint=${encodeURIComponent(endpointAt(port))}`,
  });
}

/** True when an address answers a GET with success: for `isReady`. */
export async function answers(place: ServerPlace, path: string): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${place.port}${path}`, { signal: AbortSignal.timeout(5_000) });
  await response.arrayBuffer();
  return response.ok;
}

function clientOf(endpoint: string): S3Client {
  return new S3Client({ endpoint, region: REGION, credentials: s3Account, forcePathStyle: true });
}
