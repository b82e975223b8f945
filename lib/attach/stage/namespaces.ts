/**
 * How to get a process into namespaces of its own without being root: an argument vector of a program that every
 * distribution has.
 *
 * A script runtime is multi-threaded, and `unshare(CLONE_NEWUSER)` refuses such a process (user_namespaces(7)); so
 * `unshare` of util-linux or, failing that, bubblewrap makes the namespaces and executes our stage in them.
 *
 * @module
 */

/** What the machine has, as found in PATH. */
export interface Tools {
  readonly unshare?: string;
  readonly bwrap?: string;
  readonly nsenter?: string;
}

/** A command that executes `stage` in fresh network and mount namespaces. */
export interface NamespaceCommand {
  readonly argv: readonly string[];
  /** Whether a user namespace is made, and the stage therefore holds capabilities that the guest must not have. */
  readonly ownsUserNamespace: boolean;
  /** Whether the process that is started stays, and the program is its only child. */
  readonly isMonitored: boolean;
}

/**
 * The command for a new namespace.
 *
 * @param stage argument vector of our own stage
 * @param root whether we are root and need no user namespace
 * @throws {RangeError} if neither program is there
 */
export function enterNew(stage: readonly string[], root: boolean, tools: Tools): NamespaceCommand {
  if (tools.unshare !== undefined) {
    const user = root ? [] : ["--user", "--map-current-user", "--keep-caps"];
    return {
      argv: [tools.unshare, ...user, "--net", "--mount", "--", ...stage],
      ownsUserNamespace: !root,
      isMonitored: false,
    };
  }
  if (tools.bwrap !== undefined) {
    const capabilities = ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"].flatMap((name) => ["--cap-add", name]);
    const user = root ? [] : ["--unshare-user", ...capabilities];
    return {
      argv: [
        tools.bwrap,
        "--die-with-parent",
        "--dev-bind",
        "/",
        "/",
        "--unshare-net",
        ...user,
        "--",
        ...stage,
      ],
      ownsUserNamespace: !root,
      isMonitored: true,
    };
  }
  throw new RangeError(
    "Cannot make a network namespace: neither unshare nor bwrap is in PATH (install util-linux or bubblewrap)",
  );
}

/** Somebody else's namespace: that of a process, or one bound to a path as `ip netns` does. */
export type Target =
  | { readonly pid: number; readonly ownUserNamespace: boolean }
  | { readonly path: string };

/**
 * The command for a namespace that somebody else made.
 *
 * @throws {RangeError} if `nsenter` is missing
 */
export function enterExisting(stage: readonly string[], target: Target, tools: Tools): NamespaceCommand {
  if (tools.nsenter === undefined) {
    throw new RangeError("Cannot enter a network namespace: nsenter is not in PATH (install util-linux)");
  }
  if ("path" in target) {
    return {
      argv: [tools.nsenter, `--net=${target.path}`, "--", ...stage],
      ownsUserNamespace: false,
      isMonitored: false,
    };
  }
  // The capabilities that let us make a device there come with the user namespace that owns it.
  const user = target.ownUserNamespace ? ["--user", "--preserve-credentials"] : [];
  return {
    argv: [tools.nsenter, "-t", String(target.pid), ...user, "--net", "--", ...stage],
    ownsUserNamespace: target.ownUserNamespace,
    isMonitored: false,
  };
}
