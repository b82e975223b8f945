/**
 * A connection as `ss -ti` prints it.
 *
 * @module
 */

import type { SocketFacts } from "../facts.ts";
import type { TcpConnection } from "./connection.ts";
import { SS_STATE } from "./state.ts";

/** The facts of a connection whose path MTU is `pmtu`. */
export function describe(connection: TcpConnection, pmtu: number): SocketFacts {
  const { sender, receiver } = connection;
  const { congestion, rtt } = sender;
  return {
    protocol: "tcp",
    state: SS_STATE[connection.state],
    family: connection.localAddress.family,
    local: connection.localAddress.toString(),
    localPort: connection.localPort,
    remote: connection.remoteAddress.toString(),
    remotePort: connection.remotePort,
    receiveQueue: receiver.queue.length,
    sendQueue: sender.queue.length,
    tcp: {
      congestion: congestion.name,
      cwnd: congestion.cwnd,
      ...(Number.isFinite(congestion.ssthresh) ? { ssthresh: congestion.ssthresh } : {}),
      mss: sender.mss,
      pmtu,
      rtt: Math.round(rtt.srtt),
      rttvar: Math.round(rtt.rttvar),
      rto: Math.round(rtt.rto),
      bytesSent: sender.bytesSent,
      bytesAcked: sender.bytesAcked,
      bytesReceived: receiver.bytes,
      bytesRetransmitted: sender.bytesRetransmitted,
      retransmits: sender.retransmits,
      sendWindow: sender.window,
      receiveWindow: receiver.window,
      sendScale: connection.sendScale,
      receiveScale: receiver.scale,
      timestamps: connection.timestamps.enabled,
      sack: receiver.sack,
      ecn: connection.ecn,
    },
  };
}
