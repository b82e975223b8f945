/**
 * NewReno: additive increase, multiplicative decrease (RFC 5681, 6582), with appropriate byte counting (RFC 3465).
 *
 * @module
 */

import { WindowControl } from "./window.ts";

/** RFC 5681's congestion control. */
export class Reno extends WindowControl {
  override readonly name = "reno";

  protected override avoid(acked: number): number {
    // RFC 3465 section 2.1: one segment for each window of bytes that was acknowledged, whatever the number of ACKs.
    return acked * this.mss / this.cwnd;
  }

  protected override reduced(): number {
    return this.cwnd / 2;
  }

  protected override fitted(): void {}
  protected override save(): void {}
  protected override restore(): void {}
  protected override forget(): void {}
  protected override stand(): void {}
}
