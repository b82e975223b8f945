/**
 * A thread of our own with its own copy of the program, and plain data both ways.
 *
 * @module
 */

/** A running worker. Set the callbacks in the turn of the event loop that started it. */
export interface WorkerHandle {
  onMessage: (message: unknown) => void;
  /** It threw, or could not be loaded; it is over. */
  onError: (why: string) => void;
  post(message: unknown): void;
  /**
   * Ends it, whatever it does. In Deno a thread that sits in a system call is waited for when the event loop
   * runs dry: end its loop first, or the process by `exit()`.
   */
  terminate(): void;
}

/** Where a binary made by `bun build --compile` keeps its files. */
const BUN_ROOT = "file:///$bunfs/root/";

/**
 * Starts the module at `url` in a thread.
 *
 * In a compiled Bun binary all of the program is one file, so a URL relative to `import.meta.url` names
 * nothing: there the worker is the entry point of the same path below the program's root.
 *
 * @param path the module's path below the program's root, `lib/engine/worker.ts`
 */
export function startWorker(url: URL, path = "lib/engine/worker.ts"): WorkerHandle {
  const compiled = url.href.startsWith(BUN_ROOT);
  const where = compiled ? new URL(path.replace(/\.ts$/, ".js"), BUN_ROOT) : url;
  const worker = new Worker(where, { type: "module" });
  const handle: WorkerHandle = {
    onMessage: () => {},
    onError: () => {},
    post: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
  };
  worker.onmessage = (event) => handle.onMessage(event.data);
  worker.onerror = (event) => {
    // Deno would end the whole program otherwise.
    event.preventDefault();
    handle.onError(event.message === "" ? "the worker could not be loaded" : event.message);
  };
  return handle;
}

interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
}

/** In the worker: calls `take` with the first message and listens to no other. */
export function onFirstMessage<Message>(take: (message: Message) => void): void {
  const scope = globalThis as unknown as WorkerScope;
  scope.onmessage = (event) => {
    scope.onmessage = null;
    take(event.data as Message);
  };
}

/** In the worker: sends plain data to who started it. Needs no event loop: a synchronous loop may call it. */
export function postToParent(message: unknown): void {
  (globalThis as unknown as WorkerScope).postMessage(message);
}
