import path from "node:path";

import { answers, s3Account, type S3Server, startS3Server } from "./s3-server.ts";
import { enginesFolder, programIsThere } from "./server.ts";

const program = path.join(enginesFolder, "minio-v0.0.0-20260212201848-7aac2a2c5b7c");

/** For `requireEngine("MinIO", minioIsThere)`. */
export const minioIsThere = (): true | string => programIsThere(program);

/** Starts a private MinIO. */
export async function startMinio(): Promise<S3Server> {
  return await startS3Server({
    name: "minio",
    command: ({ port, folder }) => [program, "server", "--address", `127.0.0.1:${port}`, "--quiet", `${folder}/data`],
    env: () => ({
      MINIO_ROOT_USER: s3Account.accessKeyId,
      MINIO_ROOT_PASSWORD: s3Account.secretAccessKey,
      MINIO_BROWSER: "off",
      MINIO_UPDATE: "off",
      MINIO_CALLHOME_ENABLE: "off",
      // Without it a data folder on the root disk is refused.
      MINIO_CI_CD: "1",
      CI: "true",
    }),
    isReady: async (place) => await answers(place, "/minio/health/cluster"),
  });
}
