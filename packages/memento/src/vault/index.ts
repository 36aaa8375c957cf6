export { decodeValue, encodeValue, type EncodedValue, type PieceEncoding } from "./codec.ts";
export { createKeyFile, keyRingFromFile } from "./keys/key-file.ts";
export { rawKeyRing, ringKeyId, type KeyRing, type WrappedKey } from "./keys/key-ring.ts";
export { formatKey, parseKeys } from "./keys/key-text.ts";
export { resolveKeys, type KeySource } from "./keys/resolve-keys.ts";
export { OpenedMemento } from "./opened-memento.ts";
export { TimelineWriter, type MementoDraft, type SavedMemento } from "./timeline-writer.ts";
export { Vault, type VaultOptions } from "./vault.ts";
