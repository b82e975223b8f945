/**
 * The names of the hidden subcommands of our own binary.
 *
 * @module
 */

/** Inside the guest's namespaces. Known to `cli.ts`, which loads nothing else for it: the guest waits meanwhile. */
export const STAGE_COMMAND = "__stage";
/** Standard input and output as a connection to a unix socket; see ssh_forwards.ts. */
export const DIAL_COMMAND = "__dial";
