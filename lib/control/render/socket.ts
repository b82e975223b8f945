/**
 * Endpoints as JSON. `ss` has no JSON output of its own; keys and units are those of its columns and of `ss -i`.
 *
 * @module
 */

import type { SocketFacts, TcpFacts } from "../../engine/messages.ts";

/** One endpoint of the stack. */
export interface SocketJson {
  /** `icmp` for ping endpoints, which `ss` counts among the raw ones. */
  readonly netid: SocketFacts["protocol"];
  readonly state: string;
  readonly recv_q: number;
  readonly send_q: number;
  readonly family: "inet" | "inet6";
  readonly local: string;
  readonly local_port: number;
  readonly peer: string;
  /** 0: any. */
  readonly peer_port: number;
  readonly tcp?: TcpJson;
}

/** What `ss -i` prints; times in milliseconds, windows in segments where `ss` counts segments. */
export interface TcpJson {
  readonly congestion: string;
  readonly ts: boolean;
  readonly sack: boolean;
  readonly ecn: boolean;
  readonly snd_wscale: number;
  readonly rcv_wscale: number;
  readonly rto: number;
  readonly rtt: number;
  readonly rttvar: number;
  readonly mss: number;
  readonly pmtu: number;
  readonly cwnd: number;
  readonly ssthresh?: number;
  readonly bytes_sent: number;
  readonly bytes_retrans: number;
  readonly bytes_acked: number;
  readonly bytes_received: number;
  readonly retrans: number;
  readonly snd_wnd: number;
  readonly rcv_wnd: number;
}

/** One endpoint. */
export function socketJson(socket: SocketFacts): SocketJson {
  return {
    netid: socket.protocol,
    state: socket.state,
    recv_q: socket.receiveQueue,
    send_q: socket.sendQueue,
    family: socket.family === 4 ? "inet" : "inet6",
    local: socket.local,
    local_port: socket.localPort,
    peer: socket.remote,
    peer_port: socket.remotePort,
    ...(socket.tcp === undefined ? {} : { tcp: tcpJson(socket.tcp) }),
  };
}

function tcpJson(tcp: TcpFacts): TcpJson {
  const segments = (bytes: number) => tcp.mss > 0 ? Math.floor(bytes / tcp.mss) : 0;
  return {
    congestion: tcp.congestion,
    ts: tcp.timestamps,
    sack: tcp.sack,
    ecn: tcp.ecn,
    snd_wscale: tcp.sendScale,
    rcv_wscale: tcp.receiveScale,
    rto: milliseconds(tcp.rto),
    rtt: milliseconds(tcp.rtt),
    rttvar: milliseconds(tcp.rttvar),
    mss: tcp.mss,
    pmtu: tcp.pmtu,
    cwnd: segments(tcp.cwnd),
    ...(tcp.ssthresh === undefined ? {} : { ssthresh: segments(tcp.ssthresh) }),
    bytes_sent: tcp.bytesSent,
    bytes_retrans: tcp.bytesRetransmitted,
    bytes_acked: tcp.bytesAcked,
    bytes_received: tcp.bytesReceived,
    retrans: tcp.retransmits,
    snd_wnd: tcp.sendWindow,
    rcv_wnd: tcp.receiveWindow,
  };
}

function milliseconds(microseconds: number): number {
  return Math.round(microseconds) / 1000;
}
