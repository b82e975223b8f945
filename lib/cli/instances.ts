/**
 * Running instances: each leaves `<id>.json` and, beside it, the socket of its API in the runtime directory.
 *
 * An entry is believed only if its process still runs (number and start time) and its API answers a connection; others
 * are what a killed instance left, and are removed by whoever sees them first.
 *
 * @module
 */

import { askHttp, type HttpStream, HttpUnreachable, streamHttp } from "../host/http_client.ts";
import { processStart, RuntimeFiles } from "../host/runtime_files.ts";
import { Failure, UsageFailure } from "./command.ts";

/** What `sluice ls` tells of an instance. */
export interface Instance {
  readonly id: string;
  readonly pid: number;
  /** Path of the API's unix socket or its URL; null with `--api off`. */
  readonly api: string | null;
  readonly network: string;
  readonly attach: string;
  readonly command: readonly string[];
  /** RFC 3339. */
  readonly started: string;
}

/** What the file holds besides, for our own eyes (its mode is 0600). */
interface Entry extends Instance {
  readonly processStart: string;
  /** The token of a TCP API. */
  readonly token?: string;
}

/** An instance that was found, and how to ask it. */
export interface FoundInstance extends Instance {
  /** The token of a TCP API. */
  readonly token?: string;
}

/** What an id may be: it is a file's name, a host's name in logs, a label in metrics. */
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** The directory's instances. */
export class Instances {
  readonly #files: RuntimeFiles;

  constructor(directory: string) {
    this.#files = new RuntimeFiles(directory);
  }

  /** Makes the directory if need be. */
  prepare(): void {
    this.#files.prepare();
  }

  /** Where the API of `id` listens. Throws a {@linkcode UsageFailure} if `id` is no name. */
  socketPath(id: string): string {
    return this.#files.path(`${checkId(id)}.sock`);
  }

  /** Makes room for a new instance: fails if one of that name runs, removes what a dead one left. */
  async claim(id: string): Promise<void> {
    this.prepare();
    const running = await this.#read(checkId(id));
    if (running !== undefined) {
      throw new Failure(
        `Cannot use id ${id}: an instance of that name runs (process ${running.pid})`,
        "choose another --id",
      );
    }
  }

  /** Tells others of this instance. Returns what takes it back. */
  register(instance: Instance, token?: string): () => void {
    const start = processStart(instance.pid);
    if (start === undefined) {
      throw new Failure(`Cannot register ${instance.id}: process ${instance.pid} is gone`);
    }
    const entry: Entry = { ...instance, processStart: start, ...(token === undefined ? {} : { token }) };
    this.#files.write(`${checkId(instance.id)}.json`, `${JSON.stringify(entry)}\n`);
    return () => this.#remove(instance.id);
  }

  /** All that run, oldest first. */
  async list(): Promise<FoundInstance[]> {
    const ids = this.#files.list().filter((name) => /^[^.].*\.json$/.test(name)).map((name) =>
      name.slice(0, -5)
    );
    const entries = await Promise.all(ids.filter((id) => ID.test(id)).map((id) => this.#read(id)));
    return entries.filter((entry) => entry !== undefined).sort((a, b) => a.started < b.started ? -1 : 1);
  }

  /** The one that is meant: by id, by an id's beginning, or the only one. */
  async pick(id?: string): Promise<FoundInstance> {
    const all = await this.list();
    const meant = id === undefined ? all : all.filter((one) => one.id === id || one.id.startsWith(id));
    const exact = meant.find((one) => one.id === id) ?? (meant.length === 1 ? meant[0] : undefined);
    if (exact !== undefined) return exact;
    const names = (some: readonly Instance[]) => some.map((one) => one.id).join(", ");
    if (all.length === 0) {
      throw new Failure("Cannot find an instance: none runs", "start one: sluice do -- PROGRAM");
    }
    if (meant.length === 0) {
      throw new Failure(`Cannot find instance ${JSON.stringify(id)}: running are ${names(all)}`);
    }
    throw new UsageFailure(
      `Cannot tell which instance is meant: running are ${names(meant)}`,
      "name one of them",
    );
  }

  /** The entry of a living instance; removes that of a dead one. */
  async #read(id: string): Promise<FoundInstance | undefined> {
    const text = this.#files.read(`${id}.json`);
    const entry = text === undefined ? undefined : parseEntry(text);
    // A file that we do not understand may be a newer version's: it is skipped, not removed.
    if (text !== undefined && entry === undefined) return undefined;
    if (entry !== undefined && processStart(entry.pid) === entry.processStart && await answers(entry)) {
      const { processStart: _, ...found } = entry;
      return found;
    }
    this.#remove(id);
    return undefined;
  }

  #remove(id: string): void {
    this.#files.remove(`${id}.json`);
    this.#files.remove(`${id}.sock`);
  }
}

/** A GET of one resource of an instance's API. Throws a {@linkcode Failure} with the API's own words if it refuses. */
export async function askInstance<Answer>(instance: FoundInstance, path: string): Promise<Answer> {
  const { api, id, token } = instance;
  if (api === null) throw new Failure(`Cannot ask ${id}: it runs with --api off`);
  const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const { status, text } = await askHttp(api, path, { headers });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Failure(`Cannot ask ${id}: its API does not answer in JSON`);
  }
  if (status === 200) return value as Answer;
  throw new Failure(`Cannot ask ${id}: ${detailOf(text) ?? `status ${status}`}`);
}

/** A resource that goes on, as it comes. Throws a {@linkcode Failure} with the API's own words if it refuses. */
export async function streamInstance(instance: FoundInstance, path: string): Promise<HttpStream> {
  const { api, id, token } = instance;
  if (api === null) throw new Failure(`Cannot ask ${id}: it runs with --api off`);
  const stream = await streamHttp(api, path, token === undefined ? {} : { Authorization: `Bearer ${token}` });
  if (stream.status === 200) return stream;
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream.body) text += decoder.decode(bytes, { stream: true });
  stream.close();
  throw new Failure(`Cannot ask ${id}: ${detailOf(text) ?? `status ${stream.status}`}`);
}

function detailOf(text: string): string | undefined {
  try {
    const detail = (JSON.parse(text) as { detail?: unknown } | null)?.detail;
    return typeof detail === "string" ? detail : undefined;
  } catch {
    return undefined;
  }
}

async function answers(entry: Entry): Promise<boolean> {
  if (entry.api === null) return true;
  try {
    // Any answer will do: whether it likes us is another question.
    await askHttp(entry.api, "/v1/health", { timeout: 2000 });
    return true;
  } catch (error) {
    // A busy instance is not a dead one.
    return error instanceof HttpUnreachable && (error.cause as Error | undefined)?.name === "TimeoutError";
  }
}

function checkId(id: string): string {
  if (ID.test(id)) return id;
  throw new UsageFailure(
    `Cannot use id ${JSON.stringify(id)}: it must be 1 to 64 letters, digits, ".", "_" and "-"`,
  );
}

function parseEntry(text: string): Entry | undefined {
  try {
    const entry = JSON.parse(text) as Partial<Entry> | null;
    const good = typeof entry === "object" && entry !== null && typeof entry.id === "string" &&
      Number.isInteger(entry.pid) && (entry.api === null || typeof entry.api === "string") &&
      typeof entry.network === "string" && typeof entry.attach === "string" && Array.isArray(entry.command) &&
      typeof entry.started === "string" && typeof entry.processStart === "string";
    return good ? entry as Entry : undefined;
  } catch {
    return undefined;
  }
}
