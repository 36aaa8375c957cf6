import { decodePackHeader, encodeHeader } from "../../store/header.ts";
import type { AppendBatch, AppendRecord, KeyRecord } from "../../store/store.ts";
import type { StoreFixture } from "./fixture.ts";

/** A pack as a vault seals it, as far as a store can see: under a data key, and with a nonce of its own. */
export function sealedBatch(
  make: StoreFixture,
  records: readonly AppendRecord[],
  dataKey: KeyRecord,
  body: Uint8Array = make.random.bytes(60),
): AppendBatch {
  const batch = make.batch(records, { suite: "A256GCM", dataKey, body });
  const header = decodePackHeader(batch.header, "the batch");
  const nonce = Buffer.from(make.random.bytes(12)).toString("base64url");
  const sections = [{ codec: "none" as const, plainBytes: body.byteLength - 16, sealedBytes: body.byteLength }];
  return { ...batch, header: encodeHeader({ ...header, nonce, sections }), body };
}
