import { mkdir } from "node:fs/promises";
import path from "node:path";

import { answers, s3Account, type S3Server, startS3Server } from "./s3-server.ts";
import { enginesFolder, programIsThere } from "./server.ts";

const program = path.join(enginesFolder, "versitygw-v1.8.0");

/** For `requireEngine("versitygw", versitygwIsThere)`. */
export const versitygwIsThere = (): true | string => programIsThere(program);

/** Starts a private versitygw on a folder. Never with `--keep-alive`: a refused PUT would spoil the next request of its socket. */
export async function startVersitygw(): Promise<S3Server> {
  return await startS3Server({
    name: "versitygw",
    command: ({ port, folder }) => [
      program,
      "--port",
      `127.0.0.1:${port}`,
      "--quiet",
      "--health",
      "/health",
      "posix",
      `${folder}/root`,
    ],
    env: () => ({ ROOT_ACCESS_KEY: s3Account.accessKeyId, ROOT_SECRET_KEY: s3Account.secretAccessKey }),
    prepare: async ({ folder }) => {
      await mkdir(`${folder}/root`);
    },
    isReady: async (place) => await answers(place, "/health"),
  });
}
