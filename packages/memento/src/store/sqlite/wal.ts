import { open, type FileHandle } from "node:fs/promises";
import { endianness } from "node:os";

import { systemCode } from "../../core/path-errors.ts";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC = 0x377f0682;
const CHUNK_BYTES = 262_144;
const PAGE_SIZES = [512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536];

type Checksum = readonly [number, number];

interface WalHeader {
  readonly pageBytes: number;
  readonly salts: Checksum;
  /** True when the checksums were made of big endian words. */
  readonly bigEndian: boolean;
  readonly stored: Checksum;
  readonly sound: boolean;
}

interface Frame {
  readonly commits: boolean;
  readonly salts: Checksum;
  readonly stored: Checksum;
  /** The checksum over this frame, when the one before it ended with `seed`. */
  computed(seed: Checksum): Checksum;
}

/**
 * Looks for damage in the middle of an SQLite write-ahead log; null when there is none. SQLite itself takes the first
 * frame whose checksum fails for the end of the log and drops all that follows, which is right after a power loss and
 * wrong after a flipped byte. A transaction that is followed by a sound frame of a later one was complete on the disk
 * before that one began, so there a bad frame is damage. Inside the very last transaction the two cannot be told apart,
 * and the frame counts as torn. File format: https://www.sqlite.org/fileformat2.html#walformat
 */
export async function findWalDamage(path: string): Promise<string | null> {
  const file = await open(path, "r").catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return null;
    throw error;
  });
  if (file === null) return null;
  try {
    let damage = await scanLog(file);
    // Another process may be writing the log just now: what it was in the middle of is whole when looked at again.
    for (let look = 0; damage !== null && look < 3; look++) damage = await scanLog(file);
    return damage;
  } finally {
    await file.close();
  }
}

async function scanLog(file: FileHandle): Promise<string | null> {
  const header = readHeader(await readAt(file, 0, HEADER_BYTES));
  if (header === null) return null;
  if (!header.sound) {
    // The changed byte may be one that says which way round the words are, or how long a page is.
    for (const bigEndian of [true, false])
      for (const pageBytes of PAGE_SIZES)
        if (await isOwnHeader(framesOf(file, { ...header, bigEndian, pageBytes }), header))
          return "the log's header was changed";
    return null;
  }
  const frames = framesOf(file, header);
  let seed = header.stored;
  let index = 0;
  for await (const frame of frames) {
    const computed = frame.computed(seed);
    if (!same(frame.salts, header.salts) || !same(frame.stored, computed)) {
      const goesOn = await goesOnBehind(frames, header.salts, frame, computed);
      return goesOn ? `frame ${index} was changed, and later commits stand behind it` : null;
    }
    seed = frame.stored;
    index += 1;
  }
  return null;
}

/** True when a sound frame of this log stands behind the end of the transaction that the bad frame is in. */
async function goesOnBehind(
  frames: AsyncIterable<Frame>,
  salts: Checksum,
  bad: Frame,
  computed: Checksum,
): Promise<boolean> {
  // Either the bad frame's stored checksum still is what was written, or it alone was changed.
  let seeds: readonly Checksum[] = [bad.stored, computed];
  let ended = bad.commits;
  for await (const frame of frames) {
    const ofThisLog = same(frame.salts, salts);
    if (ended && ofThisLog && seeds.some((seed) => same(frame.stored, frame.computed(seed)))) return true;
    ended ||= ofThisLog && frame.commits;
    seeds = [frame.stored];
  }
  return false;
}

/**
 * A header that fails its own checksum makes SQLite drop the whole log: damage, where the frames are still those that
 * the header was written for. Behind a header that was torn while a new log was begun stand frames under other salts.
 */
async function isOwnHeader(frames: AsyncIterable<Frame>, header: WalHeader): Promise<boolean> {
  let before: Frame | null = null;
  for await (const frame of frames) {
    if (frame.salts[0] !== header.salts[0] && frame.salts[1] !== header.salts[1]) return false;
    if (before === null && same(frame.stored, frame.computed(header.stored))) return true;
    if (before !== null) return same(before.salts, frame.salts) && same(frame.stored, frame.computed(before.stored));
    before = frame;
  }
  return false;
}

function readHeader(bytes: Buffer): WalHeader | null {
  if (bytes.length < HEADER_BYTES) return null;
  const magic = bytes.readUInt32BE(0);
  const bigEndian = (magic & 1) === 1;
  const stored = [bytes.readInt32BE(24), bytes.readInt32BE(28)] as const;
  const sound = (magic & ~1) >>> 0 === MAGIC && same(stored, addWords([0, 0], bytes.subarray(0, 24), bigEndian));
  return {
    pageBytes: bytes.readUInt32BE(8),
    salts: [bytes.readInt32BE(16), bytes.readInt32BE(20)],
    bigEndian,
    stored,
    sound,
  };
}

/** The log's frames, one after the other; a second loop goes on where the first one stopped. */
function framesOf(file: FileHandle, { pageBytes, bigEndian }: WalHeader): AsyncIterable<Frame> {
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  const chunkBytes = frameBytes * Math.max(1, Math.floor(CHUNK_BYTES / frameBytes));
  let chunk: Buffer = Buffer.alloc(0);
  let position = HEADER_BYTES;
  const next = async (): Promise<IteratorResult<Frame, undefined>> => {
    if (chunk.length < frameBytes) {
      chunk = await readAt(file, position, chunkBytes);
      position += chunk.length;
    }
    if (chunk.length < frameBytes) return { done: true, value: undefined };
    const frame = readFrame(chunk.subarray(0, frameBytes), bigEndian);
    chunk = chunk.subarray(frameBytes);
    return { done: false, value: frame };
  };
  return { [Symbol.asyncIterator]: () => ({ next }) };
}

function readFrame(bytes: Buffer, bigEndian: boolean): Frame {
  return {
    commits: bytes.readUInt32BE(4) !== 0,
    salts: [bytes.readInt32BE(8), bytes.readInt32BE(12)],
    stored: [bytes.readInt32BE(16), bytes.readInt32BE(20)],
    computed: (seed) =>
      addWords(addWords(seed, bytes.subarray(0, 8), bigEndian), bytes.subarray(FRAME_HEADER_BYTES), bigEndian),
  };
}

/**
 * SQLite's checksum: two sums that feed each other, over pairs of 32-bit words. As signed numbers: the sums are the same, and
 * a log of some megabytes is read before anything is compiled, when larger ones are objects each.
 */
function addWords(seed: Checksum, bytes: Buffer, bigEndian: boolean): Checksum {
  let [first, second] = seed;
  const words = wordsOf(bytes, bigEndian);
  for (let index = 0; index + 2 <= words.length; index += 2) {
    first = (first + (words[index] ?? 0) + second) | 0;
    second = (second + (words[index + 1] ?? 0) + first) | 0;
  }
  return [first, second];
}

const isBigEndian = endianness() === "BE";

function wordsOf(bytes: Buffer, bigEndian: boolean): Int32Array {
  const isReady = bigEndian === isBigEndian && bytes.byteOffset % 4 === 0;
  const own = isReady ? bytes : Buffer.from(bytes.subarray(0, bytes.length & ~3));
  if (bigEndian !== isBigEndian) own.swap32();
  return new Int32Array(own.buffer, own.byteOffset, own.length >> 2);
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

const same = (a: Checksum, b: Checksum): boolean => a[0] === b[0] && a[1] === b[1];
