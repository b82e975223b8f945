/**
 * The name of the hidden subcommand under which our own binary runs inside the guest's namespaces.
 *
 * @module
 */

/** Known to `cli.ts`, which loads nothing else for it: the guest waits meanwhile. */
export const STAGE_COMMAND = "__stage";
