/**
 * Flags of runsc that mean nothing here. They are accepted, so that a working command line of runsc keeps working,
 * and named in one line on stderr; `--strict` makes them an error.
 *
 * Whether one takes a value must be known, or `-platform kvm do` could not be told from a switch and a command.
 *
 * @module
 */

/** Booleans: stand alone or take `=true|false`. */
const SWITCHES = `
  EXPERIMENTAL-xdp-need-wakeup TESTONLY-afs-syscall-panic TESTONLY-autosave-resume TESTONLY-nftables
  TESTONLY-unsafe-nonroot allow-connected-on-save allow-live-tcp-migration allow-packet-socket-write
  allow-rootfs-tar-annotation allow-suid alsologtostderr app-huge-pages buffer-pooling cgroupfs cpu-num-from-quota
  debug-to-user-log directfs enable-core-tags force-overlay fsgofer-host-uds fuse gvisor-gro gvisor-marker-file
  ignore-cgroups iouring kvm-use-cpu-nums lisafs net-disconnect-ok nvproxy nvproxy-allow-unsupported-driver
  nvproxy-docker oci-seccomp overlay pause-external-networking profile quiet rdmaproxy reproduce-nat
  reproduce-nftables save-restore-netstack strace strace-event systemd-cgroup systrap-disable-fast-path
  systrap-disable-syscall-patching tpuproxy vfs2
`;

/** Take a value. */
const VALUES = `
  EXPERIMENTAL-xdp TESTONLY-autosave-image-path TESTONLY-test-name-env character-device-policy
  control-rpc-stop-timeout coverage-report cuda-checkpoint-path dcache debug-command debug-log-format erofs fdlimit
  file-access file-access-mounts final-metrics-log gid-map gofer-network-namespace host-fifo host-settings
  in-sandbox-cgroup ip log metric-server network-processors-per-channel network-proxy-path num-network-channels
  nvproxy-allowed-driver-capabilities nvproxy-driver-version overlay2 override-procs panic-log panic-signal platform
  platform_device_path pod-init-config profile-block profile-cpu profile-gc-interval profile-heap profile-mutex
  profiling-metrics profiling-metrics-log profiling-metrics-rate-us ref-leak-mode restore-spec-validation root
  shared-root sidecar-release-enforcement-policy sidecar-usage-policy signal-unkillable-policy strace-log-size
  strace-syscalls trace traceback uid-map volume watchdog-action
`;

const IS_SWITCH: ReadonlyMap<string, boolean> = new Map([
  ...words(SWITCHES).map((name): [string, boolean] => [name, true]),
  ...words(VALUES).map((name): [string, boolean] => [name, false]),
]);

/** A flag of runsc that is accepted and ignored; undefined for any other name. */
export function findIgnoredFlag(name: string): { readonly isSwitch: boolean } | undefined {
  const isSwitch = IS_SWITCH.get(name);
  return isSwitch === undefined ? undefined : { isSwitch };
}

/** All of them, for tests and the documentation. */
export function ignoredFlags(): readonly string[] {
  return [...IS_SWITCH.keys()];
}

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}
