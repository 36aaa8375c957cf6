import { ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";

import { requireEngine } from "../engines.ts";
import { minioIsThere, startMinio } from "./minio.ts";
import type { S3Server } from "./s3-server.ts";
import { startVersitygw, versitygwIsThere } from "./versitygw.ts";

const engines: readonly (readonly [name: string, probe: () => true | string, start: () => Promise<S3Server>])[] = [
  ["MinIO", minioIsThere, startMinio],
  ["versitygw", versitygwIsThere, startVersitygw],
];

for (const [name, probe, start] of engines) {
  describe.skipIf(!(await requireEngine(name, probe)))(name, () => {
    test("keeps what it acknowledged over kill -9, and creates only what is absent", async () => {
      await using server = await start();
      const { endpoint, region, credentials } = server;
      const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
      const Bucket = await server.bucket();
      const put = new PutObjectCommand({ Bucket, Key: "a/b", Body: Buffer.from("1"), IfNoneMatch: "*" });
      await client.send(put);
      await server.kill();
      await server.start();
      await expect(client.send(put)).rejects.toMatchObject({ $metadata: { httpStatusCode: 412 } });
      const listed = await client.send(new ListObjectsV2Command({ Bucket }));
      client.destroy();
      expect(listed.Contents?.map(({ Key }) => Key)).toEqual(["a/b"]);
      expect(await server.bucket()).not.toBe(Bucket);
    }, 300_000);
  });
}
