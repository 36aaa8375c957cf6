export { applyDelta } from "./apply-delta.ts";
export { applyDeltas, composeDeltas } from "./compose-deltas.ts";
export { DeltaEncoder, encodeDelta } from "./encode-delta.ts";
export { FrozenArrayEncoder } from "./frozen-array-encoder.ts";
