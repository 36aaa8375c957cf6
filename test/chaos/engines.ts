import type { Probe } from "../harness/engines.ts";
import { azuriteIsThere, startAzurite } from "../harness/servers/azurite.ts";
import { fakeGcsIsThere, startFakeGcs } from "../harness/servers/fake-gcs.ts";
import { probeMariadb, startMariadb } from "../harness/servers/mariadb.ts";
import { minioIsThere, startMinio } from "../harness/servers/minio.ts";
import { mongodbIsThere, startMongodb } from "../harness/servers/mongodb.ts";
import { probePostgres, startPostgres } from "../harness/servers/postgres.ts";
import { redisIsThere, startRedis } from "../harness/servers/redis.ts";
import type { S3Server } from "../harness/servers/s3-server.ts";
import type { Server } from "../harness/servers/server.ts";
import { startVersitygw, versitygwIsThere } from "../harness/servers/versitygw.ts";

/** An engine whose store is reached over the network. */
export interface NetworkedEngine {
  /** For `--only`, file names and the like. */
  readonly id: EngineId;
  /** What was run, for people: the engine, never the service that it stands for. */
  readonly name: string;
  /** True, or why it cannot be used here; for `requireEngine`. */
  readonly probe: Probe;
  /** The signal by which its operators stop it; null: restarts under load are not tested on it, as it stands for a service. */
  readonly stopSignal: NodeJS.Signals | null;
  readonly start: () => Promise<RunningEngine>;
}

export type EngineId = "postgres" | "mariadb" | "mongodb" | "redis" | "s3-minio" | "s3-versitygw" | "azure" | "gcs";

/** A private server of one engine. */
export interface RunningEngine extends AsyncDisposable {
  readonly server: Server;
  /** The variables by which a store finds credentials that its URL has not. */
  readonly environment: Readonly<Record<string, string>>;
  /** Makes an empty place; its URL, by the server's port or by another one (a proxy's). */
  place(): Promise<(port?: number) => string>;
}

/** Every networked engine, in the order of the documents. */
export const NETWORKED_ENGINES: readonly NetworkedEngine[] = [
  {
    id: "postgres",
    name: "PostgreSQL",
    probe: probePostgres,
    // At SIGTERM it waits until its clients leave by themselves.
    stopSignal: "SIGINT",
    start: async () => {
      const server = await startPostgres();
      return running(server, {}, async () => {
        const schema = newName();
        return (port?: number) => server.url(schema, port);
      });
    },
  },
  {
    id: "mariadb",
    name: "MariaDB",
    probe: probeMariadb,
    stopSignal: "SIGTERM",
    start: async () => {
      const server = await startMariadb();
      return running(server, {}, async () => {
        const prefix = `${newName()}_`;
        return (port?: number) => server.url(prefix, port);
      });
    },
  },
  {
    id: "mongodb",
    name: "MongoDB protocol (SecantusDB)",
    probe: mongodbIsThere,
    stopSignal: "SIGTERM",
    start: async () => {
      const server = await startMongodb();
      return running(server, {}, async () => atPort(server, server.url(newName())));
    },
  },
  {
    id: "redis",
    name: "Redis",
    probe: redisIsThere,
    stopSignal: "SIGTERM",
    start: async () => {
      const server = await startRedis();
      return running(server, {}, async () => atPort(server, server.url(newName())));
    },
  },
  {
    id: "s3-minio",
    name: "S3 (MinIO)",
    probe: minioIsThere,
    stopSignal: null,
    start: async () => ofBuckets(await startMinio()),
  },
  {
    id: "s3-versitygw",
    name: "S3 (versitygw)",
    probe: versitygwIsThere,
    stopSignal: null,
    start: async () => ofBuckets(await startVersitygw()),
  },
  {
    id: "azure",
    name: "Azure Blob Storage (azurite)",
    probe: azuriteIsThere,
    stopSignal: null,
    start: async () => {
      const server = await startAzurite();
      const place = async () => {
        const container = await server.container();
        return (port?: number) => server.url(container, "chaos", port);
      };
      return running(server, server.environment, place);
    },
  },
  {
    id: "gcs",
    name: "Google Cloud Storage (fake-gcs-server)",
    probe: fakeGcsIsThere,
    stopSignal: null,
    start: async () => {
      const server = await startFakeGcs();
      const place = async () => {
        const bucket = await server.bucket();
        return (port?: number) => server.url(bucket, "chaos", port);
      };
      return running(server, {}, place);
    },
  },
];

let names = 0;
const newName = (): string => `chaos_${(names += 1)}`;

/** The same URL by the server's own port, or by another one. */
function atPort(server: Server, url: string): (port?: number) => string {
  return (port = server.port) => url.replace(`:${server.port}`, `:${port}`);
}

function ofBuckets(server: S3Server): RunningEngine {
  return running(server, server.environment, async () => {
    const bucket = await server.bucket();
    return (port?: number) => server.url(bucket, "chaos", port);
  });
}

function running(
  server: Server,
  environment: Readonly<Record<string, string>>,
  place: RunningEngine["place"],
): RunningEngine {
  return { server, environment, place, [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose]() };
}
