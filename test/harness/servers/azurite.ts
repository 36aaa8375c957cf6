import process from "node:process";
import { fileURLToPath } from "node:url";

import { BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";

import { requiresEverything } from "../engines.ts";
import { programIsThere, type Server, startServer } from "./server.ts";

const program = fileURLToPath(new URL("../../../node_modules/azurite/dist/src/blob/main.js", import.meta.url));

/** A private server that speaks Azure Blob Storage. */
export interface AzuriteServer extends Server {
  readonly endpoint: string;
  readonly account: string;
  readonly accountKey: string;
  /** The variables by which a store finds the key: for `process.env`, or for a worker's environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Makes an empty container; returns its name. */
  container(): Promise<string>;
  /** `azure://account/container/prefix?endpoint=...`, without credentials; through another port where one is given (a proxy's). */
  url(container: string, prefix?: string, port?: number): string;
}

/** For `requireEngine("azurite", azuriteIsThere)`. It comes with the packages, but its tests alone would take minutes of a plain run. */
export const azuriteIsThere = (): true | string =>
  requiresEverything() ? programIsThere(program) : "slow; MEMENTO_TEST=all runs its tests";

const ACCOUNT = "mementotest";
const ACCOUNT_KEY = Buffer.from("a key that only the tests of azurite have").toString("base64");

/**
 * Starts a private azurite, with an account and key of its own. It writes its index down every 5 s and when it is stopped:
 * kill -9 loses what it acknowledged since.
 */
export async function startAzurite(): Promise<AzuriteServer> {
  const server = await startServer({
    name: "azurite",
    command: ({ port, folder }) => [
      process.execPath,
      program,
      "--blobHost=127.0.0.1",
      `--blobPort=${port}`,
      `--location=${folder}`,
      "--silent",
      "--disableTelemetry",
      "--skipApiVersionCheck",
    ],
    env: () => ({ AZURITE_ACCOUNTS: `${ACCOUNT}:${ACCOUNT_KEY}`, NODE_OPTIONS: "" }),
  });
  const endpointAt = (port: number): string => `http://127.0.0.1:${port}/${ACCOUNT}`;
  let containers = 0;
  return Object.assign(server, {
    endpoint: endpointAt(server.port),
    account: ACCOUNT,
    accountKey: ACCOUNT_KEY,
    environment: { AZURE_STORAGE_KEY: ACCOUNT_KEY },
    container: async () => {
      const name = `memento-${(containers += 1)}`;
      const credential = new StorageSharedKeyCredential(ACCOUNT, ACCOUNT_KEY);
      await new BlobServiceClient(endpointAt(server.port), credential).getContainerClient(name).create();
      return name;
    },
    url: (container: string, prefix = "", port = server.port) =>
      `azure://${ACCOUNT}/${container}/${prefix}?endpoint=${encodeURIComponent(endpointAt(port))}`,
  });
}
