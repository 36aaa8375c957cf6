import { afterAll, beforeAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { mongodbIsThere, startMongodb } from "../../../../../../test/harness/servers/mongodb.ts";
import { type KitCollection, mongodbCollectionPlace } from "../../../../../../test/workers/mongodb-collection.ts";
import { testSink } from "../../../testing/sink/sink-kit.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);

const collections: Record<string, KitCollection> = {
  "append, in transactions": { mode: "append", commit: "transaction" },
  "upsert by a field, in transactions": { mode: "upsert", commit: "transaction", key: "id" },
  "append, staged": { mode: "append", commit: "staged" },
  "upsert by a field, staged": { mode: "upsert", commit: "staged", key: "id" },
};

for (const [name, collection] of Object.entries(collections)) {
  describe.skipIf(!isThere)(`mongodbCollection(): ${name}`, () => {
    // A server each: the transactions that killed clients leave open slow the engine down for a minute.
    let server: Awaited<ReturnType<typeof startMongodb>> | null = null;
    beforeAll(async () => void (server = await startMongodb()));
    afterAll(async () => await server?.[Symbol.asyncDispose]());

    testSink({
      describe,
      test,
      mode: collection.mode,
      place: mongodbCollectionPlace((database) => server?.url(database) ?? "", collection),
      // The server of the tests takes milliseconds for each document that it finds or deletes.
      bulkRows: 1_500,
      killAfterMsMax: 2_500,
      badRow: { row: { id: "bad", amount: () => 1, note: null }, code: "UNSUPPORTED_VALUE" },
      workerModule: new URL("../../../../../../test/workers/mongodb-collection.ts", import.meta.url),
    });
  });
}
