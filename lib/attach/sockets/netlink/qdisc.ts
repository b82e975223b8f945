/**
 * RTM_GETQDISC: the root queueing discipline of each interface (`tc_fill_qdisc`).
 *
 * @module
 */

import { Errno } from "../../../host/errno.ts";
import type { NicFacts, QdiscFacts } from "../../../stack/facts.ts";
import { QDISC_NAMES } from "./link.ts";
import { NLM_F, RTM, TC_H_ROOT, TCA } from "./numbers.ts";
import type { ReplyWriter } from "./reply_writer.ts";
import { Refusal, type Request } from "./request.ts";
import type { NetworkFacts } from "./rtnetlink.ts";

/** Bytes of `struct tcmsg`. */
const TCMSG = 20;
const TCA_STATS_BASIC = 1, TCA_STATS_QUEUE = 3, TCA_TBF_PARMS = 1;
/** Packets that a fifo holds. */
const FIFO_LIMIT = 1_000;
/** Where the kernel begins to number the handles that nobody chose (`qdisc_alloc_handle`). */
const FIRST_HANDLE = 0x8001;
/** A tick of the packet scheduler is 64 ns (`PSCHED_SHIFT`). */
const TICKS_PER_SECOND = 1e9 / 64;
/** `TC_LINKLAYER_ETHERNET` */
const LINKLAYER_ETHERNET = 1;

/** All disciplines. */
export function dumpQdiscs(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  let next = FIRST_HANDLE;
  for (const nic of facts.nics) {
    writeQdisc(request, nic, nic.qdisc.kind === "none" ? 0 : next++, NLM_F.MULTI, out);
  }
  return undefined;
}

/** The discipline of one interface, by its handle or as the root. */
export function getQdisc(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  if (request.length < TCMSG) return new Refusal(Errno.EINVAL);
  const index = request.u32(4);
  const handle = request.u32(8), parent = request.u32(12);
  let next = FIRST_HANDLE;
  for (const nic of facts.nics) {
    const own = nic.qdisc.kind === "none" ? 0 : next++;
    if (nic.index !== index) continue;
    if (parent !== TC_H_ROOT && parent !== 0) {
      return new Refusal(Errno.ENOENT, "Failed to find qdisc with specified classid");
    }
    if (parent === 0 && (handle === 0 || handle !== own * 0x10000)) {
      return new Refusal(Errno.ENOENT, "Failed to find qdisc with specified handle");
    }
    writeQdisc(request, nic, own, 0, out);
    return undefined;
  }
  return new Refusal(Errno.ENODEV);
}

function writeQdisc(request: Request, nic: NicFacts, handle: number, flags: number, out: ReplyWriter): void {
  const { qdisc } = nic;
  const at = out.begin(RTM.NEWQDISC, flags, request.sequence, request.asker.port, TCMSG);
  out.view.setInt32(at + 4, nic.index, true);
  out.view.setUint32(at + 8, handle * 0x10000, true);
  out.view.setUint32(at + 12, TC_H_ROOT, true);
  out.view.setUint32(at + 16, 2, true); // References.
  out.text(TCA.KIND, QDISC_NAMES[qdisc.kind]);
  writeOptions(qdisc, out);
  out.u8(TCA.HW_OFFLOAD, 0);
  const nest = out.nest(TCA.STATS2);
  const basic = out.zeros(TCA_STATS_BASIC, 16);
  setU64(out.view, basic, qdisc.bytes);
  out.view.setUint32(basic + 8, qdisc.packets, true);
  out.words(TCA_STATS_QUEUE, queueOf(qdisc));
  out.endNest(nest);
  // `struct tc_stats`: the same again, as it was before there was anything better.
  const old = out.zeros(TCA.STATS, 40);
  setU64(out.view, old, qdisc.bytes);
  out.view.setUint32(old + 8, qdisc.packets, true);
  out.view.setUint32(old + 12, qdisc.drops, true);
  out.view.setUint32(old + 16, qdisc.overlimits, true);
  out.view.setUint32(old + 28, qdisc.qlen, true);
  out.view.setUint32(old + 32, qdisc.backlog, true);
  out.end();
}

/** `struct gnet_stats_queue` */
function queueOf({ qlen, backlog, drops, requeues, overlimits }: QdiscFacts): number[] {
  return [qlen, backlog, drops, requeues, overlimits];
}

function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 4294967296, true);
  view.setUint32(at + 4, value / 4294967296, true);
}

function writeOptions(qdisc: QdiscFacts, out: ReplyWriter): void {
  if (qdisc.kind === "fifo") out.u32(TCA.OPTIONS, qdisc.limit ?? FIFO_LIMIT);
  if (qdisc.kind !== "tbf") return;
  const rate = qdisc.rate ?? 0, burst = qdisc.burst ?? 0;
  const nest = out.nest(TCA.OPTIONS);
  // `struct tc_tbf_qopt`: rate and peak rate of 12 bytes each, limit, buffer in ticks, mtu.
  const at = out.zeros(TCA_TBF_PARMS, 36);
  out.view.setUint8(at + 1, LINKLAYER_ETHERNET);
  out.view.setUint32(at + 8, rate, true);
  // It holds the burst and one second of rate: tc prints the rest as a latency of one second.
  out.view.setUint32(at + 24, Math.min(burst + rate, 0xffffffff), true);
  out.view.setUint32(at + 28, rate === 0 ? 0 : Math.round(burst / rate * TICKS_PER_SECOND), true);
  out.endNest(nest);
}
