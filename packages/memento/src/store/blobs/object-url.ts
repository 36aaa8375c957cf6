import { MementoError } from "../../core/errors.ts";

/** What a URL of an object store says. */
export interface ObjectUrl {
  /** The first name: a bucket's or an account's. */
  readonly host: string;
  /** The names between the slashes behind it. */
  readonly segments: readonly string[];
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * Takes `scheme://host/segment/...?parameter=...` apart. INVALID_ARGUMENT, without what the URL says, for one of another
 * form, with a user or password, or with a parameter that is not among `known`: it could be a secret, and those come from
 * the environment.
 */
export function parseObjectUrl(text: string, scheme: string, known: readonly string[]): ObjectUrl {
  const url = URL.parse(text);
  if (url === null || url.protocol !== `${scheme}:` || url.host === "") {
    throw invalid(`A URL of this store begins with ${scheme}:// and a name`);
  }
  if (url.username !== "" || url.password !== "") {
    throw invalid(`A ${scheme}: URL has no user and no password; credentials come from the environment`);
  }
  if (url.hash !== "") throw invalid(`A ${scheme}: URL has no part behind #`);
  const parameters = new Map(url.searchParams);
  for (const name of parameters.keys()) {
    if (!known.includes(name)) {
      throw invalid(`A ${scheme}: URL has no parameter ${JSON.stringify(name)}; it may have ${known.join(", ")}`);
    }
  }
  return { host: decoded(url.host), segments: segmentsOf(decoded(url.pathname)), parameters };
}

/** The names of a path; INVALID_ARGUMENT for empty ones, `.` and `..` in its midst. */
export function segmentsOf(path: string): readonly string[] {
  const trimmed = path.replace(/^\/|\/$/g, "");
  const segments = trimmed === "" ? [] : trimmed.split("/");
  if (segments.some((segment) => segment === "" || segment === "." || segment === "..")) {
    throw invalid("The names in a store's prefix are not empty, and neither . nor ..");
  }
  return segments;
}

/** An address of a service without a slash at its end. INVALID_ARGUMENT, without what it says, for other than http(s), or with a user, a query or a fragment. */
export function endpointOf(text: string): string {
  const url = URL.parse(text);
  const plain = url !== null && url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (!plain || !/^https?:$/.test(url.protocol)) {
    throw invalid("An endpoint is an http: or https: address without user, query or fragment");
  }
  return url.href.replace(/\/+$/, "");
}

/** `scheme://host/segments?parameters` for people; parameters that are undefined are left out. */
export function shownUrl(
  scheme: string,
  names: readonly string[],
  parameters: Readonly<Record<string, string | undefined>>,
): string {
  const query = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  const path = names.map((name) => encodeURIComponent(name)).join("/");
  return `${scheme}://${path}${query.length === 0 ? "" : `?${query.join("&")}`}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) throw invalid("The URL has a % that stands for nothing");
    throw error;
  }
}

function invalid(message: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", message);
}
