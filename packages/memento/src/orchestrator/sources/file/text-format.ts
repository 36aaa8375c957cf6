import { MementoError } from "../../../core/errors.ts";
import { bytePlace, replacedFile } from "./file-place.ts";
import type { BytePlace } from "./file-place.ts";
import type { FileFormat } from "./file-source.ts";
import { prefixFingerprints, wholeFingerprint } from "./fingerprint.ts";
import type { InputFile } from "./input-file.ts";
import { inBatches } from "./record-blocks.ts";
import type { RecordBlock } from "./record-blocks.ts";
import { textView, type TextViewOptions } from "./text-view.ts";

/** What a format of text files knows. */
export interface TextFormat<Row> {
  readonly kind: string;
  readonly title: string;
  /** True: a file may grow at its end between two reads. False: any change makes it another file. */
  readonly grows: boolean;
  /** How the text is to be had from the file's bytes. */
  readonly view: TextViewOptions;
  /** The records from a place on; null is the beginning. Gives sound records before it throws. */
  blocks(file: InputFile, from: BytePlace | null, signal: AbortSignal): AsyncIterable<RecordBlock<Row>>;
}

/** A format whose offsets are `{ file, byte, record }`, from which reading goes on in the middle of the file. */
export function textFormat<Row>(text: TextFormat<Row>): FileFormat<Row> {
  const grows = (file: InputFile): boolean =>
    text.grows && (file.view?.grows ?? true) && (file.view?.of ?? file).identity === undefined;
  const fingerprintsOf = async (file: InputFile): Promise<(byte: number) => Promise<string>> => {
    if (grows(file)) return prefixFingerprints(file);
    const whole = await wholeFingerprint(file);
    return async () => await Promise.resolve(whole);
  };

  async function check(file: InputFile, place: BytePlace): Promise<void> {
    const { path } = file;
    const { byte } = place;
    if (grows(file) && !(await reaches(file, byte))) {
      const message = `${path} is shorter than what was read from it: its records up to byte ${byte} are gone`;
      throw new MementoError("SOURCE_RANGE_GONE", message, { details: { path, byte } });
    }
    const fingerprintAt = await fingerprintsOf(file);
    if ((await fingerprintAt(byte)) !== place.file) throw replacedFile(path);
    // The very file, so the place was set by hand. Where its text has to be unpacked to know, the read finds out.
    if (file.view !== undefined || (await reaches(file, byte))) return;
    throw new MementoError("SOURCE_RANGE_GONE", `${path} ends before byte ${byte}`, { details: { path, byte } });
  }

  return {
    kind: text.kind,
    title: text.title,
    view: async (file) => await textView(file, text.view),
    grows,
    isRead: async (file, offset) => {
      const { byte } = bytePlace(file.path, offset);
      return grows(file) && file.view === undefined && byte === (await file.size());
    },
    check: async (file, offset) => await check(file, bytePlace(file.path, offset)),
    recordsBefore: (path, offset) => bytePlace(path, offset).record,
    async *batches(file, from, { batchRecords, signal }) {
      const place = from === null ? null : bytePlace(file.path, from);
      if (place !== null) await check(file, place);
      const fingerprintAt = await fingerprintsOf(file);
      let record = place?.record ?? 0;
      for await (const { records, end } of inBatches(text.blocks(file, place, signal), batchRecords)) {
        record += records.length;
        const share = (await file.view?.share()) ?? Math.min(1, end / Math.max(1, await file.size()));
        yield { records, offset: { file: await fingerprintAt(end), byte: end, record }, share };
      }
    },
  };
}

async function reaches(file: InputFile, byte: number): Promise<boolean> {
  return file.view === undefined ? (await file.size()) >= byte : await file.view.reaches(byte);
}
