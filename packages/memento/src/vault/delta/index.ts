export { ArrayEncoder } from "./array-encoder.ts";
export { applyDelta, applyDeltas, DeltaTarget } from "./apply-delta.ts";
export { composeDeltas } from "./compose-deltas.ts";
export { DeltaEncoder, encodeDelta } from "./encode-delta.ts";
export type { ArrayVersion } from "./array-version.ts";
