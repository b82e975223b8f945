/**
 * RTM_GETRULE: the rules that every Linux network begins with (`fib_nl_dumprule`). The stack has one table, so they say
 * what it does.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { FRA, NLM_F, RT_TABLE, RTM, RTN, RTPROT } from "./numbers.ts";
import type { ReplyWriter } from "./reply_writer.ts";
import { Refusal, type Request } from "./request.ts";
import type { NetworkFacts } from "./rtnetlink.ts";

/** Bytes of `struct fib_rule_hdr`. */
const FIB_RULE_HEADER = 12;
const NONE = 0xffffffff;

const RULES: Readonly<Record<number, readonly (readonly [priority: number, table: number])[]>> = {
  [AF.INET]: [[0, RT_TABLE.LOCAL], [32_766, RT_TABLE.MAIN], [32_767, RT_TABLE.DEFAULT]],
  [AF.INET6]: [[0, RT_TABLE.LOCAL], [32_766, RT_TABLE.MAIN]],
};

/** The rules of one family, or of both. */
export function dumpRules(request: Request, _facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  const { family, sequence, asker } = request;
  if (asker.strict && request.length < FIB_RULE_HEADER) {
    return new Refusal(Errno.EINVAL, "Invalid header for fib rule dump request");
  }
  if (family !== AF.UNSPEC && RULES[family] === undefined) return new Refusal(Errno.EAFNOSUPPORT);
  for (const which of [AF.INET, AF.INET6]) {
    if (family !== AF.UNSPEC && which !== family) continue;
    for (const [priority, table] of RULES[which]!) {
      const at = out.begin(RTM.NEWRULE, NLM_F.MULTI, sequence, asker.port, FIB_RULE_HEADER);
      out.view.setUint8(at, which);
      out.view.setUint8(at + 4, table);
      out.view.setUint8(at + 7, RTN.UNICAST); // `FR_ACT_TO_TBL`
      out.u32(FRA.TABLE, table);
      out.u32(FRA.SUPPRESS_PREFIXLEN, NONE);
      out.u8(FRA.PROTOCOL, RTPROT.kernel);
      if (priority !== 0) out.u32(FRA.PRIORITY, priority);
      out.end();
    }
  }
  return undefined;
}
