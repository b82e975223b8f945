/**
 * The netlink protocol proper: one datagram of requests in, datagrams of answers out (`netlink_rcv_skb`,
 * `netlink_dump` and `netlink_ack` of the kernel).
 *
 * @module
 */

import { MESSAGE_HEADER, NLM_F, NLMSG, NLMSGERR_ATTR_MSG } from "./numbers.ts";
import { ReplyWriter } from "./reply_writer.ts";
import { type Asker, Refusal, Request } from "./request.ts";
import type { Outcome } from "./rtnetlink.ts";

/** Answers one request of a protocol; what it writes is put in front of the acknowledgement or the end. */
export type Answerer = (request: Request, out: ReplyWriter) => Outcome;

/** Most requests of one datagram that are carried out; a guest may put thousands of dumps into one. */
export const MAX_REQUESTS = 64;

/** The datagrams that answer one datagram of requests. */
export function answerDatagram(
  datagram: Uint8Array,
  asker: Asker,
  answer: Answerer,
): Uint8Array<ArrayBuffer>[] {
  const out = new ReplyWriter();
  let rest = datagram;
  for (let i = 0; i < MAX_REQUESTS && rest.length >= MESSAGE_HEADER; i++) {
    const size = new DataView(rest.buffer, rest.byteOffset).getUint32(0, true);
    if (size < MESSAGE_HEADER || size > rest.length) break;
    answerOne(new Request(rest.subarray(0, size), asker), out, answer);
    rest = rest.subarray(Math.min((size + 3) & ~3, rest.length));
  }
  return out.datagrams;
}

function answerOne(request: Request, out: ReplyWriter, answer: Answerer): void {
  if ((request.flags & NLM_F.REQUEST) === 0) return;
  if (request.type < NLMSG.MIN_TYPE) {
    if ((request.flags & NLM_F.ACK) !== 0) acknowledge(request, out, undefined);
    return;
  }
  const { refusal, dump, apart } = answer(request, out);
  if (dump) {
    if (apart) out.cut();
    done(request, out, refusal);
    return;
  }
  out.cut();
  if (refusal !== undefined || (request.flags & NLM_F.ACK) !== 0) acknowledge(request, out, refusal);
}

/** NLMSG_ERROR: an error number, the header of the request, and in case of an error the request itself. */
function acknowledge(request: Request, out: ReplyWriter, refusal: Refusal | undefined): void {
  const { asker, bytes } = request;
  const whole = refusal !== undefined && !asker.capAck;
  const message = asker.extendedAck ? refusal?.message ?? "" : "";
  const flags = (whole ? 0 : NLM_F.CAPPED) | (message === "" ? 0 : NLM_F.ACK_TLVS);
  const at = out.begin(NLMSG.ERROR, flags, request.sequence, asker.port, 4);
  out.view.setInt32(at, -(refusal?.errno ?? 0), true);
  out.raw(whole ? bytes : bytes.subarray(0, MESSAGE_HEADER));
  if (message !== "") out.text(NLMSGERR_ATTR_MSG, message);
  out.end();
  out.cut();
}

/** NLMSG_DONE, with the error of a dump that failed. */
function done(request: Request, out: ReplyWriter, refusal: Refusal | undefined): void {
  const { asker } = request;
  const message = asker.extendedAck ? refusal?.message ?? "" : "";
  const flags = request.endFiltered ? NLM_F.MULTI | NLM_F.DUMP_FILTERED : NLM_F.MULTI;
  const at = out.begin(
    NLMSG.DONE,
    flags | (message === "" ? 0 : NLM_F.ACK_TLVS),
    request.sequence,
    asker.port,
    4,
  );
  out.view.setInt32(at, -(refusal?.errno ?? 0), true);
  if (message !== "") out.text(NLMSGERR_ATTR_MSG, message);
  out.end();
  out.cut();
}
