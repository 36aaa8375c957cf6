import { MementoError } from "../../../core/errors.ts";
import type { Clock } from "../../../core/ports.ts";
import { systemRandom } from "../../../core/ports.ts";
import { Requests } from "../../../store/blobs/requests.ts";

/** An object, as a listing says. */
export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
  /** What changes whenever the object is written anew: an ETag or a generation. */
  readonly tag: string;
}

/** Some objects, and where the listing goes on; undefined at its end. */
export interface ObjectPage {
  readonly objects: readonly ListedObject[];
  readonly next: string | undefined;
}

/** A bucket or container that objects are read from. */
export interface ObjectBucket {
  page(prefix: string, token: string | undefined): Promise<ObjectPage>;
  /** The bytes from `start` up to `end` of the object as it was listed; SOURCE_MOVED where it was written anew or is gone. */
  range(object: ListedObject, start: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A bucket that is found by a URL. */
export interface BucketPlace {
  /** What stands before the keys, with a slash at its end, or nothing. */
  readonly prefix: string;
  /** For people, without secrets. */
  readonly shown: string;
  readonly open: (clock: Clock) => Promise<ObjectBucket>;
}

/** Sends requests again while the service cannot be reached, each within a bounded time. */
export function readingRequests(clock: Clock, failureOf: (error: unknown, doing: string) => MementoError): Requests {
  return new Requests({ clock, random: systemRandom, failureOf });
}

/** The error for an object that is not what it was when it was listed. */
export function changedObject({ key }: ListedObject): MementoError {
  return new MementoError("SOURCE_MOVED", `The object ${key} was written anew or taken away while it was read`, {
    details: { object: key },
    hint: "Run again: what was taken of it is rolled back, or bring the object back as it was.",
  });
}
