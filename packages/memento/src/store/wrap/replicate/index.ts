export type { ReplicaAuthority } from "./authority.ts";
export type { ReplicaComparison, ReplicaLag } from "./follower.ts";
export type { HealReport } from "./heal.ts";
export { promoteReplica, type PromoteOptions } from "./promote.ts";
export { fileReplicaState, memoryReplicaState, type ReplicaState } from "./replica-state.ts";
export { replicateStore, type ReplicatedStore, type ReplicaPlace, type ReplicateOptions } from "./replicate.ts";
